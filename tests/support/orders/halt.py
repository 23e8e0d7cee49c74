"""Halting in tests: whether it holds; and the operator, who resumes once or again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

from common_models.stream_names import HALT, TRADING
from services._runtime.halt import halt_reason, trading_permission
from tests.support.orders.trading import TradingDesk

LOOK_EVERY = 0.1
NO_NEW_ORDER_WITHIN = 2.0


async def resume(redis: Any) -> None:
    """As `tradectl resume` does it."""
    async with redis.pipeline(transaction=True) as both:
        both.set(TRADING, trading_permission("the test"))
        both.delete(HALT)
        await both.execute()


async def is_halted(redis: Any) -> bool:
    """As Redis says."""
    return halt_reason(*await redis.mget(TRADING, HALT)) is not None


async def late(desk: TradingDesk, since: float) -> bool:
    """Whether an order reached the venue more than two seconds after the moment *since*."""
    created = [order["created_ms"] / 1000 for order in (await desk.ledger())["orders"]]
    return max(created, default=0.0) - since > NO_NEW_ORDER_WITHIN


async def refused_after(desk: TradingDesk, since: float) -> bool:
    """Whether orders are still refused, well over two seconds after *since*."""
    return any(
        answer.reason_code in ("halted", "expired")
        and answer.timestamp.timestamp() > since + 2 * NO_NEW_ORDER_WITHIN
        for answer in await desk.events("order_response")
    )


async def open_at_venue(desk: TradingDesk) -> int:
    """How many orders are open, by the venue's own truth."""
    return sum(order["state"] == "open" for order in (await desk.ledger())["orders"])


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
