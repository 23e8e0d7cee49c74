"""A connector without keys, on a real server: what it can't find out waits, and nothing else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from common_models import OrderResponseEvent
from services._connector_kit.clock import SystemClock
from services._connector_kit.orders.commands.place_order_consumer import (
    ConsumerTimings,
    PlaceOrderConsumer,
)
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.execution.no_credentials import (
    NoCredentialsExecutor,
    NoCredentialsVenue,
)
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually_async
from tests.support.orders.commands import command

NAME = "binance_connector"
STREAM = f"{NAME}:commands:place_order"
# More than a desk carries out at once.
MANY = PlaceOrderConsumer.MAX_IN_FLIGHT + 6


@asynccontextmanager
async def desk(server: RedisServer, redis: Redis) -> AsyncIterator[None]:
    """An order desk without keys while the block runs."""
    journal = RedisJournal(redis, NAME, 100_000)
    clock = SystemClock()
    async with open_redis(server.url, "orders", single=True) as client:
        queue = RedisCommandQueue(client, NAME, ("place_order",), "one")
        venue = NoCredentialsVenue()
        executor = NoCredentialsExecutor(venue, venue, journal, clock)
        running = asyncio.create_task(
            PlaceOrderConsumer(queue, executor, clock, ConsumerTimings(settle=0.1)).run()
        )
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def send(redis: Any, client_order_id: str) -> None:
    """Put a limit order into the stream."""
    data = command(client_order_id=client_order_id).model_dump_json()
    await redis.xadd(STREAM, {"data": data})


async def answers(redis: Any) -> Counter[tuple[str, str, str | None]]:
    """What was answered, how often: client order id, status and reason."""
    entries = await redis.xrange(f"{NAME}:events:order_response")
    found = [OrderResponseEvent.model_validate_json(fields[b"data"]) for _, fields in entries]
    return Counter((a.client_order_id, a.status, a.reason_code) for a in found)


async def test_an_order_that_may_have_been_sent_is_published_as_unknown_once_and_waits_for_keys(
    redis_server: RedisServer, redis: Redis
) -> None:
    """It keeps nobody waiting: new orders are refused at once, however many lie there."""
    client: Any = redis
    old = [f"old-{n}" for n in range(MANY)]
    for client_order_id in old:  # before any connector ran, as far as Redis knows
        await send(redis, client_order_id)
    for new in ("new", "newer"):
        async with desk(redis_server, redis):

            async def refused(new: str = new) -> bool:
                return (new, "rejected", "no_credentials") in await answers(redis)

            async def all_told() -> bool:
                return len(await answers(redis)) >= MANY

            await eventually_async(all_told)
            await send(redis, new)
            await eventually_async(refused)
    expected = {(client_order_id, "unknown", "no_credentials"): 1 for client_order_id in old}
    expected |= {(new, "rejected", "no_credentials"): 1 for new in ("new", "newer")}
    assert await answers(redis) == expected
    assert (await client.xpending(STREAM, NAME))["pending"] == MANY
