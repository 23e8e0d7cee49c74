"""Starts and stops a service.

SIGTERM or SIGINT cancels the service's task; everything under it is a TaskGroup or an
`async with`, so the cancellation unwinds all of it. Exit code 0: stopped by a signal. 1: failed,
with one clear error in the log.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop

from services._runtime import failpoints, logs, redaction
from services._runtime.settings import ServiceSettings, SettingsError, load

S = TypeVar("S", bound=ServiceSettings)

# In seconds. A stop that takes longer is forced, before the orchestrator sends SIGKILL.
STOP_TIMEOUT = 4.5

log = structlog.get_logger()


class FatalError(Exception):
    """The service can't continue, and a retry would not help; the message says what to do."""


def run(service: str, settings_type: type[S], serve: Callable[[S], Awaitable[None]]) -> int:
    """Run *serve* until it ends or a signal stops it; return the exit code of the process."""
    try:
        settings = load(settings_type)
    except SettingsError as e:
        for line in str(e).splitlines():
            sys.stderr.write(f"{service}: settings: {line}\n")
        return 1
    redaction.register_secrets(settings.secrets)
    logs.configure(service, settings.log_level)
    failpoints.arm(settings.failpoint)
    return uvloop.run(_run_until_signal(serve, settings))


async def _run_until_signal(serve: Callable[[S], Awaitable[None]], settings: S) -> int:
    asked_to_stop = False
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(serve(settings))

    def stop(signal_name: str) -> None:
        nonlocal asked_to_stop
        if not asked_to_stop:
            asked_to_stop = True
            log.info("service_stopping", signal=signal_name)
            task.cancel()
            loop.call_later(STOP_TIMEOUT, _force_exit)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    log.info("service_started", pid=os.getpid())
    await asyncio.wait([task])
    # asyncio now waits for running threads, which can't be cancelled.
    loop.call_later(STOP_TIMEOUT, _force_exit)
    return _exit_code(task, asked_to_stop=asked_to_stop)


def _exit_code(task: asyncio.Future[None], *, asked_to_stop: bool) -> int:
    """Log why the service ended; return its exit code."""
    if not task.cancelled() and (error := task.exception()):
        return _report(error)
    if not asked_to_stop:
        log.error("service_failed", error="the service ended without being asked to stop")
        return 1
    log.info("service_stopped")
    return 0


def _report(error: BaseException) -> int:
    """Log the error once: only the message of a `FatalError`, else with a traceback."""
    causes = list(_flatten(error))
    fatal = [str(e) for e in causes if isinstance(e, FatalError)]
    if fatal:
        log.error("service_failed", error="; ".join(dict.fromkeys(fatal)))
    else:
        log.error("service_failed", error=repr(causes[0]), exc_info=causes[0])
    return 1


def _flatten(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _flatten(inner)]
    return [error]


def _force_exit() -> None:
    log.error("stop_took_too_long", seconds=STOP_TIMEOUT)
    sys.stderr.flush()
    os._exit(1)
