"""How a command ends: its exit code, and how errors become one clear line."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import NoReturn

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._runtime.redis_client import explain, open_redis
from services._runtime.settings import SettingsError, load
from services.tradectl.settings import TradectlSettings


class Ending(IntEnum):
    """The exit codes, for scripts."""

    DONE = 0  # carried out: accepted, filled, cancelled, all is well
    NO = 1  # the answer is no: rejected, not there, not ready, a check failed
    USAGE = 2  # arguments or settings that can't be used; nothing was sent
    REDIS = 3  # Redis can't be reached or refuses; nothing was sent
    UNKNOWN = 4  # it isn't known whether it happened; ask again with the same --id
    NO_ANSWER = 5  # no answer, or no end, within --timeout
    INTERRUPTED = 130


class StopError(Exception):
    """A command that can't go on; the message is what the person is told."""

    def __init__(self, ending: Ending, message: str) -> None:
        super().__init__(message)
        self.ending = ending


def tell(message: str) -> None:
    """One line to the person: on stderr, so that stdout holds results only."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


Work = Callable[[Redis, TradectlSettings], Awaitable[Ending]]


def run(work: Work) -> NoReturn:
    """Load the settings, open Redis, do *work*, and exit by how it ended."""
    raise typer.Exit(_ending(work))


def _ending(work: Work) -> Ending:
    try:
        return asyncio.run(_with_redis(work))
    except StopError as e:
        tell(f"tradectl: {e}")
        return e.ending
    except BrokenPipeError:  # the reader of our output has seen enough: `tradectl tail | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Ending.DONE
    except (RedisError, OSError) as e:
        tell(f"tradectl: {explain(e)}")
        return Ending.REDIS
    except KeyboardInterrupt:
        return Ending.INTERRUPTED


async def _with_redis(work: Work) -> Ending:
    try:
        settings = load(TradectlSettings)
    except SettingsError as e:
        raise StopError(Ending.USAGE, f"settings: {e}") from None
    async with open_redis(settings.redis_url, "tradectl") as redis:
        return await work(redis, settings)
