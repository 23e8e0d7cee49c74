"""The operator's part in tests: resumes trading, once or whenever it is halted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

from common_models.stream_names import HALT, TRADING
from services._runtime.halt import halt_reason, permission

LOOK_EVERY = 0.1


async def resume(redis: Any) -> None:
    """As `tradectl resume` does it."""
    async with redis.pipeline(transaction=True) as both:
        both.set(TRADING, permission("the test"))
        both.delete(HALT)
        await both.execute()


async def is_halted(redis: Any) -> bool:
    """As Redis says."""
    return halt_reason(*await redis.mget(TRADING, HALT)) is not None


@asynccontextmanager
async def resuming(redis: Any) -> AsyncIterator[None]:
    """Somebody who resumes as soon as it is halted, as it is where Redis lost data."""
    task = asyncio.create_task(_resume_always(redis))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _resume_always(redis: Any) -> None:
    while True:
        with suppress(RedisError, OSError):  # the server may be gone just now
            if await is_halted(redis):
                await resume(redis)
        await asyncio.sleep(LOOK_EVERY)
