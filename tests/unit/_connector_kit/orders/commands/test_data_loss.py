"""What a connector makes of the Redis that it meets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models.stream_names import CommandStream
from services._connector_kit.orders.commands.data_loss import DataLossDetector
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.ports import DataLossRecord
from tests.support.orders.core import START, MemoryJournal, MemoryQueue

RECOVERY_WINDOW_MS = 600_000


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
    memory = DataLossDetector(RECOVERY_WINDOW_MS)
    now = (await bus_on(connection).server()).milliseconds
    assert not await memory.check(bus_on(connection))
    assert not memory.predates_data_loss(now)
    assert memory.in_recovery_window(now)
    assert memory.recovery_began_at >= now


async def test_the_wait_of_a_first_start_outlives_the_process(connection: Redis) -> None:
    """Killed and started again within it, the connector knows since when to wait."""
    first, second = DataLossDetector(RECOVERY_WINDOW_MS), DataLossDetector(RECOVERY_WINDOW_MS)
    await first.check(bus_on(connection))
    assert not await second.check(bus_on(connection))
    assert second.recovery_began_at == first.recovery_began_at


@pytest.mark.parametrize("recovery_window", [0, RECOVERY_WINDOW_MS])
async def test_commands_without_groups_are_a_loss_of_data(
    connection: Redis, recovery_window: int
) -> None:
    """The groups exist before anything is published: up to here everything is doubted."""
    await connection.xadd(str(CommandStream("binance_connector", "place_order")), {"data": "{}"})
    memory = DataLossDetector(recovery_window)
    now = (await bus_on(connection).server()).milliseconds
    assert await memory.check(bus_on(connection))
    assert memory.predates_data_loss(now)
    assert memory.recovery_began_at == memory.data_lost_at


# Each way to find out, without a server


async def met(memory: DataLossDetector, queue: MemoryQueue, **state: Any) -> bool:
    """Whether Redis, in that state, is taken for one that may have forgotten."""
    for name, value in state.items():
        setattr(queue, name, value)
    return await memory.check(queue)


@pytest.mark.parametrize(
    ("state", "lost_data"),
    [
        ({}, False),
        ({"newest": START}, False),
        ({"identity": "redis-2"}, True),
        ({"created_groups": True}, True),
        ({"kept": None}, False),
        ({"kept": None, "newest": START - 1}, True),
    ],
)
async def test_what_a_start_takes_for_a_loss_of_data(
    state: dict[str, Any], lost_data: bool
) -> None:
    """Another server, groups that are gone, or commands that nobody remembers."""
    assert (
        await met(DataLossDetector(RECOVERY_WINDOW_MS), MemoryQueue(MemoryJournal()), **state)
        is lost_data
    )


@pytest.mark.parametrize(
    ("state", "lost_data"),
    [
        ({}, False),
        ({"kept": None}, True),
        ({"identity": "redis-2", "kept": DataLossRecord("redis-2", -1, -1)}, True),
    ],
)
async def test_what_a_new_connection_takes_for_one(state: dict[str, Any], lost_data: bool) -> None:
    """What it remembers is gone, or it is another server, whoever met that one before."""
    memory, queue = DataLossDetector(RECOVERY_WINDOW_MS), MemoryQueue(MemoryJournal())
    assert not await met(memory, queue)
    assert await met(memory, queue, **state) is lost_data


async def test_everything_up_to_a_loss_is_doubted_and_looked_up_for_a_while() -> None:
    """To the millisecond; the newest entry counts where its clock was ahead."""
    memory, queue = DataLossDetector(RECOVERY_WINDOW_MS), MemoryQueue(MemoryJournal())
    lost = START + 10**12  # whatever the machine's own clock says
    assert await met(memory, queue, created_groups=True, newest=lost)
    assert (memory.predates_data_loss(lost), memory.predates_data_loss(lost + 1)) == (True, False)
    assert (
        memory.in_recovery_window(lost + RECOVERY_WINDOW_MS),
        memory.in_recovery_window(lost + RECOVERY_WINDOW_MS + 1),
    ) == (
        True,
        False,
    )
    assert memory.recovery_began_at == lost


async def test_the_time_of_a_loss_is_the_servers_unless_an_entry_is_newer() -> None:
    """What came in and was acknowledged is gone from the streams, too."""
    memory, queue = DataLossDetector(RECOVERY_WINDOW_MS), MemoryQueue(MemoryJournal())
    before = (await queue.server()).milliseconds
    assert await met(memory, queue, created_groups=True, newest=START - 5)
    assert memory.data_lost_at >= before


async def test_a_loss_is_remembered_by_the_next_process() -> None:
    """And by the same one, after the next check."""
    queue = MemoryQueue(MemoryJournal())
    first, second = DataLossDetector(RECOVERY_WINDOW_MS), DataLossDetector(RECOVERY_WINDOW_MS)
    await met(first, queue, created_groups=True)
    assert not await first.check(queue)
    assert not await second.check(queue)
    assert queue.kept == DataLossRecord(
        "redis-1", first.data_lost_at, second.recovery_began_at + RECOVERY_WINDOW_MS
    )
    assert second.data_lost_at == first.data_lost_at > START - 1
    assert second.in_recovery_window(first.data_lost_at + RECOVERY_WINDOW_MS)


async def test_an_older_memory_takes_nothing_back() -> None:
    """The later of two losses counts, whoever noticed it."""
    memory, queue = DataLossDetector(RECOVERY_WINDOW_MS), MemoryQueue(MemoryJournal())
    await met(memory, queue, created_groups=True)
    lost, recovery_began_at = memory.data_lost_at, memory.recovery_began_at
    await met(memory, queue, kept=DataLossRecord("redis-1", 5, 6))
    assert (memory.data_lost_at, memory.recovery_began_at) == (lost, recovery_began_at)
    later = DataLossRecord("redis-1", lost + 1000, lost + 1000 + RECOVERY_WINDOW_MS)
    await met(memory, queue, kept=later)
    assert (memory.data_lost_at, memory.recovery_began_at) == (lost + 1000, lost + 1000)
