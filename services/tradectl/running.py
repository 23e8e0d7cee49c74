"""Runs one command: opens Redis, does the work, and exits by how it ended."""

import asyncio
import math
import traceback
from typing import NoReturn

import typer
from redis.exceptions import RedisError

from services._runtime.redis_client import explain, open_redis
from services.tradectl.exit_codes import CommandError, ExitCode, tell
from services.tradectl.output import lost
from services.tradectl.watching import Work, watching
from services.tradectl.where import redis_url


def run(work: Work, *, shows: bool = False) -> NoReturn:
    """Open Redis, do *work*, and exit by how it ended.

    Where all that it does is to show (*shows*), it isn't done if that couldn't be written. A
    reader that has seen enough is no fault: `tradectl tail | head`.
    """
    ending = _ending(work)
    if (fault := lost()) is not None and not isinstance(fault, BrokenPipeError):
        tell(f"tradectl: stdout can't be written: {fault.strerror}")
        if shows and ending is ExitCode.DONE:
            ending = ExitCode.UNKNOWN
    raise typer.Exit(ending)


def show(work: Work, watch: float | None, *, as_json: bool) -> NoReturn:
    """The same for what shows a state; with *watch* again every so many seconds, until Ctrl-C."""
    if watch is None:
        run(work, shows=True)
    if math.isnan(watch):
        tell("tradectl: --watch nan: want a number of seconds, e.g. 2")
        raise typer.Exit(ExitCode.USAGE)
    run(lambda redis: watching(redis, work, watch, as_json=as_json), shows=True)


def _ending(work: Work) -> ExitCode:
    try:
        return asyncio.run(_with_redis(work))
    except CommandError as e:
        tell(f"tradectl: {e}")
        return e.ending
    except (RedisError, OSError) as e:
        tell(f"tradectl: {explain(e)}")
        return ExitCode.REDIS
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    # A bug of ours: the traceback is printed. Python's own exit code for it, 1, means "rejected".
    except Exception:  # noqa: BLE001
        tell(traceback.format_exc())
        return ExitCode.UNKNOWN


async def _with_redis(work: Work) -> ExitCode:
    url = redis_url()
    ending: ExitCode | None = None
    try:
        async with open_redis(url, "tradectl") as redis:
            ending = await work(redis)
    except (RedisError, OSError) as e:
        if ending is None:
            raise CommandError(ExitCode.REDIS, explain(e) + _hint(url, e)) from None
        # The work was done; that the connection couldn't be closed changes nothing.
    return ending


def _hint(url: str, error: Exception) -> str:
    """What to try where the server closes the connection without an error message."""
    if url.startswith("redis://") and "closed" in str(error).lower():
        return "; a server that takes TLS only closes such a connection: is it rediss://?"
    return ""
