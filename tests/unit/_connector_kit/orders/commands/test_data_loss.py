"""What a connector makes of the Redis that it meets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models.stream_names import CommandStream
from services._connector_kit.orders.commands.data_loss import DataLossDetector
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.ports import DataLossRecord
from tests.support.order_core import START, MemoryBus, MemoryJournal

CAREFUL_MS = 600_000


@pytest.fixture
async def connection(redis: Redis) -> AsyncIterator[Redis]:
    """All commands go over this one."""
    async with redis.client() as client:
        yield client


def bus_on(connection: Redis) -> RedisCommandQueue:
    """A bus as a process has it that has just begun."""
    return RedisCommandQueue(connection, "binance_connector", ("place_order",), "one")


async def test_an_empty_redis_is_a_first_start_and_orders_wait_all_the_same(
    connection: Redis,
) -> None:
    """Nothing is doubted; but it may have lost what a process sent that has just been killed."""
    memory = DataLossDetector(CAREFUL_MS)
    now = (await bus_on(connection).server()).milliseconds
    assert not await memory.check(bus_on(connection))
    assert not memory.doubts(now)
    assert memory.careful(now)
    assert memory.began_at >= now


async def test_the_wait_of_a_first_start_outlives_the_process(connection: Redis) -> None:
    """Killed and started again within it, the connector knows since when to wait."""
    first, second = DataLossDetector(CAREFUL_MS), DataLossDetector(CAREFUL_MS)
    await first.check(bus_on(connection))
    assert not await second.check(bus_on(connection))
    assert second.began_at == first.began_at


@pytest.mark.parametrize("careful_for", [0, CAREFUL_MS])
async def test_commands_without_groups_are_something_forgotten(
    connection: Redis, careful_for: int
) -> None:
    """The groups exist before anything is published: up to here everything is doubted."""
    await connection.xadd(str(CommandStream("binance_connector", "place_order")), {"data": "{}"})
    memory = DataLossDetector(careful_for)
    now = (await bus_on(connection).server()).milliseconds
    assert await memory.check(bus_on(connection))
    assert memory.doubts(now)
    assert memory.began_at == memory.forgotten_at


# Each way to find out, without a server


async def met(memory: DataLossDetector, bus: MemoryBus, **state: Any) -> bool:
    """Whether Redis, in that state, is taken for one that may have forgotten."""
    for name, value in state.items():
        setattr(bus, name, value)
    return await memory.check(bus)


@pytest.mark.parametrize(
    ("state", "forgot"),
    [
        ({}, False),
        ({"newest": START}, False),
        ({"identity": "redis-2"}, True),
        ({"made_groups": True}, True),
        ({"kept": None}, False),
        ({"kept": None, "newest": START - 1}, True),
    ],
)
async def test_what_a_start_takes_for_a_loss_of_data(state: dict[str, Any], forgot: bool) -> None:
    """Another server, groups that are gone, or commands that nobody remembers."""
    assert await met(DataLossDetector(CAREFUL_MS), MemoryBus(MemoryJournal()), **state) is forgot


@pytest.mark.parametrize(
    ("state", "forgot"),
    [
        ({}, False),
        ({"kept": None}, True),
        ({"identity": "redis-2", "kept": DataLossRecord("redis-2", -1, -1)}, True),
    ],
)
async def test_what_a_new_connection_takes_for_one(state: dict[str, Any], forgot: bool) -> None:
    """What it remembers is gone, or it is another server, whoever met that one before."""
    memory, bus = DataLossDetector(CAREFUL_MS), MemoryBus(MemoryJournal())
    assert not await met(memory, bus)
    assert await met(memory, bus, **state) is forgot


async def test_everything_up_to_a_loss_is_doubted_and_looked_up_for_a_while() -> None:
    """To the millisecond; the newest entry counts where its clock was ahead."""
    memory, bus = DataLossDetector(CAREFUL_MS), MemoryBus(MemoryJournal())
    lost = START + 10**12  # whatever the machine's own clock says
    assert await met(memory, bus, made_groups=True, newest=lost)
    assert (memory.doubts(lost), memory.doubts(lost + 1)) == (True, False)
    assert (memory.careful(lost + CAREFUL_MS), memory.careful(lost + CAREFUL_MS + 1)) == (
        True,
        False,
    )
    assert memory.began_at == lost


async def test_the_time_of_a_loss_is_the_servers_where_nothing_is_newer() -> None:
    """What came in and was acknowledged is gone from the streams, too."""
    memory, bus = DataLossDetector(CAREFUL_MS), MemoryBus(MemoryJournal())
    before = (await bus.server()).milliseconds
    assert await met(memory, bus, made_groups=True, newest=START - 5)
    assert memory.forgotten_at >= before


async def test_a_loss_is_remembered_by_the_next_process() -> None:
    """And by the same one, after the next check."""
    bus = MemoryBus(MemoryJournal())
    first, second = DataLossDetector(CAREFUL_MS), DataLossDetector(CAREFUL_MS)
    await met(first, bus, made_groups=True)
    assert not await first.check(bus)
    assert not await second.check(bus)
    assert bus.kept == DataLossRecord("redis-1", first.forgotten_at, second.began_at + CAREFUL_MS)
    assert second.forgotten_at == first.forgotten_at > START - 1
    assert second.careful(first.forgotten_at + CAREFUL_MS)


async def test_an_older_memory_takes_nothing_back() -> None:
    """The later of two losses counts, whoever noticed it."""
    memory, bus = DataLossDetector(CAREFUL_MS), MemoryBus(MemoryJournal())
    await met(memory, bus, made_groups=True)
    lost, began_at = memory.forgotten_at, memory.began_at
    await met(memory, bus, kept=DataLossRecord("redis-1", 5, 6))
    assert (memory.forgotten_at, memory.began_at) == (lost, began_at)
    later = DataLossRecord("redis-1", lost + 1000, lost + 1000 + CAREFUL_MS)
    await met(memory, bus, kept=later)
    assert (memory.forgotten_at, memory.began_at) == (lost + 1000, lost + 1000)
