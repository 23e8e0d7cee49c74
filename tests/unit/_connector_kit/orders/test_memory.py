"""What a connector makes of the Redis that it meets, on a real server."""

import pytest
from redis.asyncio import Redis

from common_models.stream_names import CommandStream
from services._connector_kit.orders.memory import Memory
from services._connector_kit.orders.redis_bus import RedisBus

CAREFUL_MS = 600_000


def bus_on(redis: Redis) -> RedisBus:
    """A bus as a process has it that has just begun."""
    return RedisBus(redis, "binance_connector", ("place_order",), "one")


async def test_an_empty_redis_is_a_first_start_and_orders_wait_all_the_same(redis: Redis) -> None:
    """Nothing is doubted; but it may have lost what a process sent that has just been killed."""
    memory = Memory(CAREFUL_MS)
    now = (await bus_on(redis).server()).milliseconds
    assert not await memory.check(bus_on(redis))
    assert not memory.doubts(now)
    assert memory.careful(now)
    assert memory.began_at >= now


async def test_the_wait_of_a_first_start_outlives_the_process(redis: Redis) -> None:
    """Killed and started again within it, the connector knows since when to wait."""
    first, second = Memory(CAREFUL_MS), Memory(CAREFUL_MS)
    await first.check(bus_on(redis))
    assert not await second.check(bus_on(redis))
    assert second.began_at == first.began_at


@pytest.mark.parametrize("careful_for", [0, CAREFUL_MS])
async def test_commands_without_groups_are_something_forgotten(
    redis: Redis, careful_for: int
) -> None:
    """The groups exist before anything is published: up to here everything is doubted."""
    await redis.xadd(str(CommandStream("binance_connector", "place_order")), {"data": "{}"})
    memory = Memory(careful_for)
    now = (await bus_on(redis).server()).milliseconds
    assert await memory.check(bus_on(redis))
    assert memory.doubts(now)
    assert memory.began_at == memory.forgotten_at
