"""Waiting for a condition, with a deadline: tests never wait for time to pass."""

import asyncio
from collections.abc import Callable

POLL = 0.01


async def eventually(condition: Callable[[], object], within: float = 10.0) -> None:
    """Return as soon as *condition* holds.

    Raises:
        AssertionError: it didn't hold within *within* seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"{condition} didn't hold within {within} s")
        await asyncio.sleep(POLL)
