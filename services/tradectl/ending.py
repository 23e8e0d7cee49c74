"""How a command ends: its exit code, and how errors become one clear line."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn, TypeVar

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._runtime.redis_client import explain, open_redis
from services._runtime.settings import Settings, SettingsError, load
from services.tradectl import show
from services.tradectl.output import lost


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
    """Say something to the person: on stderr, so that stdout holds results only."""
    for line in message.split("\n"):
        sys.stderr.write(show.clean(line) + "\n")
    sys.stderr.flush()


@contextmanager
def after(what: str) -> Iterator[None]:
    """What fails in here fails after *what*: it can't end as "nothing was sent"."""
    try:
        yield
    except (RedisError, OSError) as e:
        raise StopError(Ending.UNKNOWN, f"{what}, but {explain(e)}") from None


Work = Callable[[Redis], Awaitable[Ending]]
S = TypeVar("S", bound=Settings)


def told(settings_type: type[S]) -> S:
    """What the environment says.

    Raises:
        StopError: something in it can't be used.
    """
    try:
        return load(settings_type)
    except SettingsError as e:
        raise StopError(Ending.USAGE, f"settings: {e}") from None


def run(work: Work, *, shows: bool = False) -> NoReturn:
    """Open Redis, do *work*, and exit by how it ended.

    Where all that it does is to show (*shows*), it isn't done if that couldn't be written. A
    reader that has seen enough is no fault: `tradectl tail | head`.
    """
    ending = _ending(work)
    if (fault := lost()) is not None and not isinstance(fault, BrokenPipeError):
        tell(f"tradectl: stdout can't be written: {fault.strerror}")
        if shows and ending is Ending.DONE:
            ending = Ending.UNKNOWN
    raise typer.Exit(ending)


def _ending(work: Work) -> Ending:
    try:
        return asyncio.run(_with_redis(work))
    except StopError as e:
        tell(f"tradectl: {e}")
        return e.ending
    except (RedisError, OSError) as e:
        tell(f"tradectl: {explain(e)}")
        return Ending.REDIS
    except KeyboardInterrupt:
        return Ending.INTERRUPTED
    except Exception:  # noqa: BLE001 - told whole; Python's own exit code for it would say "no"
        tell(traceback.format_exc())
        return Ending.UNKNOWN


async def _with_redis(work: Work) -> Ending:
    # Of the settings only where Redis is: what is wrong with another keeps nobody from halting.
    url = told(Settings).redis_url
    ending: Ending | None = None
    try:
        async with open_redis(url, "tradectl") as redis:
            ending = await work(redis)
    except (RedisError, OSError):
        if ending is None:
            raise
        # The work was done; that the connection couldn't be closed changes nothing.
    return ending
