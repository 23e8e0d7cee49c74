"""Runs one command: opens Redis, does the work, and exits by how it ended."""

import asyncio
import math
import traceback
from typing import NoReturn

import typer
from redis.exceptions import RedisError

from services._runtime.redis_client import explain, open_redis
from services.tradectl.exit_codes import CommandError, ExitCode, print_message
from services.tradectl.output import output_error
from services.tradectl.target import redis_url
from services.tradectl.watching import Command, watching


def run(work: Command, *, shows: bool = False) -> NoReturn:
    """Open Redis, do *work*, and exit by how it ended.

    Where all that it does is to show (*shows*), it isn't done if that couldn't be written. A
    reader that has seen enough is no fault: `tradectl tail | head`.
    """
    exit_code = _exit_code(work)
    if (fault := output_error()) is not None and not isinstance(fault, BrokenPipeError):
        print_message(f"tradectl: stdout can't be written: {fault.strerror}")
        if shows and exit_code is ExitCode.DONE:
            exit_code = ExitCode.UNKNOWN
    raise typer.Exit(exit_code)


def show(work: Command, watch: float | None, *, as_json: bool) -> NoReturn:
    """The same for what shows a state; with *watch* again every so many seconds, until Ctrl-C."""
    if watch is None:
        run(work, shows=True)
    if math.isnan(watch):
        print_message("tradectl: --watch nan: want a number of seconds, e.g. 2")
        raise typer.Exit(ExitCode.USAGE)
    run(lambda redis: watching(redis, work, watch, as_json=as_json), shows=True)


def _exit_code(work: Command) -> ExitCode:
    try:
        return asyncio.run(_with_redis(work))
    except CommandError as e:
        print_message(f"tradectl: {e}")
        return e.exit_code
    except (RedisError, OSError) as e:
        print_message(f"tradectl: {explain(e)}")
        return ExitCode.REDIS
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    # A bug of ours: the traceback is printed. Python's own exit code for it, 1, means "rejected".
    except Exception:  # noqa: BLE001
        print_message(traceback.format_exc())
        return ExitCode.UNKNOWN


async def _with_redis(work: Command) -> ExitCode:
    url = redis_url()
    exit_code: ExitCode | None = None
    try:
        async with open_redis(url, "tradectl") as redis:
            exit_code = await work(redis)
    except (RedisError, OSError) as e:
        if exit_code is None:
            raise CommandError(ExitCode.REDIS, explain(e) + _tls_hint(url, e)) from None
        # The work was done; that the connection couldn't be closed changes nothing.
    return exit_code


def _tls_hint(url: str, error: Exception) -> str:
    """What to try where the server closes the connection without an error message."""
    if url.startswith("redis://") and "closed" in str(error).lower():
        return "; a server that takes TLS only closes such a connection: is it rediss://?"
    return ""
