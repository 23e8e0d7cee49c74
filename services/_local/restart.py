"""Starts again what a signal has killed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from services._local.processes import ManagedProcessError, describe_exit, failure_reason
from services._local.terminal import print_message

# What is killed sooner after its start isn't started again; in seconds.
MIN_LIFETIME = 2.0


async def restart_when_killed(
    name: str,
    log: Path,
    wait_for_exit: Callable[[], Awaitable[int]],
    restart: Callable[[], Awaitable[None]],
) -> None:
    """Start a process again whenever a signal kills it.

    *ended* waits for its end and gives its exit code.

    Raises:
        PartError: it ended by itself, or was killed as soon as it was started; with how, and its
            last words.
    """
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        code = await wait_for_exit()
        if code >= 0 or loop.time() - began < MIN_LIFETIME:
            raise ManagedProcessError(
                f"{name} {describe_exit(code)}: {failure_reason(log)}\n  Its log: {log}"
            )
        print_message(f"{name} {describe_exit(code)}: it is started again.")
        await restart()
