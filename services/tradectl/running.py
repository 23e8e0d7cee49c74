"""Runs one command: connects to Redis, runs the command, and exits with its exit code."""

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
    """Connect to Redis, run *work*, and exit with its exit code.

    A command that only shows something (*shows*) exits with UNKNOWN if stdout can't be written. A
    closed pipe is not an error: `tradectl tail | head`.
    """
    exit_code = _exit_code(work)
    if (fault := output_error()) is not None and not isinstance(fault, BrokenPipeError):
        print_message(f"tradectl: stdout can't be written: {fault.strerror}")
        if shows and exit_code is ExitCode.DONE:
            exit_code = ExitCode.UNKNOWN
    raise typer.Exit(exit_code)


def show(work: Command, watch: float | None, *, as_json: bool) -> NoReturn:
    """Run a command that shows a state; with *watch*, every *watch* seconds until Ctrl-C."""
    if watch is None:
        run(work, shows=True)
    if math.isnan(watch):
        print_message("tradectl: --watch nan: expected a number of seconds, e.g. 2")
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
    # A bug. Python would exit with 1 after a traceback, but 1 means "rejected" here.
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
        # The command is done; an error while the connection closes does not matter.
    return exit_code


def _tls_hint(url: str, error: Exception) -> str:
    """A hint if the server closed the connection without an error message."""
    if url.startswith("redis://") and "closed" in str(error).lower():
        return "; a server that accepts only TLS closes such a connection: try rediss://"
    return ""
