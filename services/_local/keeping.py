"""Starts again what a signal has killed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from services._local.processes import ManagedProcessError, ending, last_words
from services._local.terminal import say

# What is killed sooner after its start isn't started again; in seconds.
LIVES_AT_LEAST = 2.0


async def keep_running(
    name: str,
    log: Path,
    ended: Callable[[], Awaitable[int]],
    start_again: Callable[[], Awaitable[None]],
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
        code = await ended()
        if code >= 0 or loop.time() - began < LIVES_AT_LEAST:
            raise ManagedProcessError(f"{name} {ending(code)}: {last_words(log)}\n  Its log: {log}")
        say(f"{name} {ending(code)}: it is started again.")
        await start_again()
