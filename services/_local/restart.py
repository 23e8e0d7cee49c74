"""Restarts processes that a signal has killed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from services._local.processes import ManagedProcessError, describe_exit, failure_reason
from services._local.terminal import print_message

# In seconds: a process that is killed sooner after its start is not restarted.
MIN_LIFETIME = 2.0


async def restart_when_killed(
    name: str,
    log: Path,
    wait_for_exit: Callable[[], Awaitable[int]],
    restart: Callable[[], Awaitable[None]],
) -> None:
    """Restart a process whenever a signal kills it.

    *wait_for_exit* returns the exit code, which is negative after a signal.

    Raises:
        ManagedProcessError: the process exited by itself, or was killed right after its start; the
            message has the exit and the error from its *log*.
    """
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        code = await wait_for_exit()
        if code >= 0 or loop.time() - began < MIN_LIFETIME:
            raise ManagedProcessError(
                f"{name} {describe_exit(code)}: {failure_reason(log)}\n  Its log: {log}"
            )
        print_message(f"{name} {describe_exit(code)}: restarting it.")
        await restart()
