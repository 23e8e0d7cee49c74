"""Runs one command: opens Redis, does the work, and exits by how it ended."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import NoReturn

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._runtime.redis_client import explain, open_redis
from services.tradectl.ending import Ending, StopError, tell
from services.tradectl.output import lost
from services.tradectl.where import redis_url

Work = Callable[[Redis], Awaitable[Ending]]


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
    # A bug of ours: the traceback is printed. Python's own exit code for it, 1, means "rejected".
    except Exception:  # noqa: BLE001
        tell(traceback.format_exc())
        return Ending.UNKNOWN


async def _with_redis(work: Work) -> Ending:
    url = redis_url()
    ending: Ending | None = None
    try:
        async with open_redis(url, "tradectl") as redis:
            ending = await work(redis)
    except (RedisError, OSError) as e:
        if ending is None:
            raise StopError(Ending.REDIS, explain(e) + _hint(url, e)) from None
        # The work was done; that the connection couldn't be closed changes nothing.
    return ending


def _hint(url: str, error: Exception) -> str:
    """What to try where the server closes the connection without an error message."""
    if url.startswith("redis://") and "closed" in str(error).lower():
        return "; a server that takes TLS only closes such a connection: is it rediss://?"
    return ""
