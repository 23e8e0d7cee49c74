"""Wait for a condition, never for time."""

import asyncio
from collections.abc import Awaitable, Callable

# Generous: a machine that is busy with other tests must not fail this one.
WITHIN = 20.0


async def eventually(condition: Callable[[], object], within: float = WITHIN) -> None:
    """Return as soon as *condition* is true.

    Raises:
        AssertionError: it wasn't true within *within* seconds.
    """
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {within} s")
        await asyncio.sleep(0.005)


async def eventually_async(
    condition: Callable[[], Awaitable[object]], within: float = WITHIN
) -> None:
    """Return as soon as awaiting *condition* gives something true.

    Raises:
        AssertionError: it didn't within *within* seconds.
    """
    deadline = asyncio.get_running_loop().time() + within
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {within} s")
        await asyncio.sleep(0.02)
