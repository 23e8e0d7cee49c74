"""The command streams on a real server: nothing is lost, and a claim is exact."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from shutil import rmtree
from typing import Any

import pytest
from redis.asyncio import Redis

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands import redis_command_queue
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.execution.record import dump
from services._connector_kit.orders.keys import order_key
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import DataLossRecord
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually_async
from tests.support.metrics import numbers
from tests.support.orders.commands import command, record

NAME = "binance_connector"
STREAM = f"{NAME}:commands:place_order"
MEMORY = DataLossRecord("this one", -1, -1)


class Buses:
    """Any number of buses, each on a connection of its own."""

    def __init__(self, stack: AsyncExitStack, server: RedisServer) -> None:
        self._stack = stack
        self._server = server
        self.states: list[str | None] = []

    def troubled(self) -> bool:
        """True when a bus said last that something is wrong."""
        return self.states[-1] is not None

    async def open(self, consumer: str = "one", *commands: str, **waits: Any) -> RedisCommandQueue:
        """A bus whose groups exist and that remembers."""
        client = await self._stack.enter_async_context(
            open_redis(self._server.url, consumer, single=True)
        )
        queue = RedisCommandQueue(
            client,
            NAME,
            commands or ("place_order",),
            consumer,
            on_state=self.states.append,
            **waits,
        )
        await queue.prepare()
        await queue.save_data_loss(MEMORY)
        return queue


@pytest.fixture
async def buses(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Buses]:
    """None is open yet; reading waits for 50 ms at most."""
    monkeypatch.setattr(redis_command_queue, "BLOCK_MS", 50)
    async with AsyncExitStack() as stack:
        yield Buses(stack, redis_server)


async def send(redis: Redis, *contents: str, stream: str = STREAM) -> list[str]:
    """Put entries into a command stream; their ids."""
    client: Any = redis
    return [(await client.xadd(stream, {"data": content})).decode() for content in contents]


async def test_what_was_sent_before_the_first_start_is_read(buses: Buses, redis: Redis) -> None:
    """The group begins at 0; making it again changes nothing."""
    sent = await send(redis, "a", "b")
    queue = await buses.open()
    assert not await queue.prepare()
    entries = await queue.new_entries()
    assert [(e.entry_id, e.data, e.command, e.redelivered) for e in entries] == [
        (sent[0], b"a", "place_order", False),
        (sent[1], b"b", "place_order", False),
    ]
    assert await queue.new_entries() == []


async def test_one_bus_reads_several_streams(buses: Buses, redis: Redis) -> None:
    """Each entry says which command it is."""
    queue = await buses.open("one", "cancel_order", "query_order")
    for name in ("query_order", "cancel_order"):
        await send(redis, name, stream=f"{NAME}:commands:{name}")
    found = {entry.command: entry.data for entry in await queue.new_entries()}
    assert found == {"query_order": b"query_order", "cancel_order": b"cancel_order"}
    assert len(await queue.own_pending()) == 2


async def test_what_was_read_and_not_acknowledged_comes_again(buses: Buses, redis: Redis) -> None:
    """To the same consumer, on whatever connection, as redelivered; nobody else gets it."""
    queue = await buses.open("one")
    (sent,) = await send(redis, "a")
    await queue.new_entries()
    again, other = await buses.open("one"), await buses.open("two")
    (entry,) = await again.own_pending()
    assert (entry.entry_id, entry.redelivered) == (sent, True)
    assert await other.own_pending() == []
    assert await other.new_entries() == []
    await redis.xack(STREAM, NAME, sent)
    assert await again.own_pending() == []


async def test_many_that_lie_there_come_all_at_once_in_their_order(
    buses: Buses, redis: Redis
) -> None:
    """More than a page, of several streams: so that one that is stuck hides none behind it."""
    queue = await buses.open("one", "cancel_order", "query_order")
    sent = {}
    for name in ("cancel_order", "query_order"):
        sent[name] = await send(redis, *map(str, range(33)), stream=f"{NAME}:commands:{name}")
    read = 0
    while read < 66:
        read += len(await queue.new_entries())
    left = await queue.own_pending()
    for name, ids in sent.items():
        assert [entry.entry_id for entry in left if entry.command == name] == ids


async def test_huge_ones_that_lie_there_are_not_read_all_at_once(
    buses: Buses, redis: Redis
) -> None:
    """Whoever left 40 MB behind hadn't the memory for it; the rest comes once these are done."""
    queue = await buses.open()
    sent = await send(redis, *["x" * (1 << 20)] * 40)
    while await queue.new_entries():
        pass
    found: list[str] = []
    while left := await queue.own_pending():
        assert sum(len(entry.data) for entry in left) < 30 << 20
        found += [entry.entry_id for entry in left]
        await redis.xack(STREAM, NAME, *[entry.entry_id for entry in left])
    assert found == sent


async def test_what_another_left_lying_is_taken_over(buses: Buses, redis: Redis) -> None:
    """Once it lay there for long enough."""
    one, two = await buses.open("one"), await buses.open("two")
    hasty = await buses.open("two", take_over_after_ms=0)
    (sent,) = await send(redis, "a")
    await one.new_entries()
    assert await two.take_over() == []
    (entry,) = await hasty.take_over()
    assert (entry.entry_id, entry.data, entry.redelivered) == (sent, b"a", True)
    assert await one.own_pending() == []
    assert [e.entry_id for e in await two.own_pending()] == [sent]


async def test_an_entry_that_was_deleted_while_pending_has_no_content(
    buses: Buses, redis: Redis
) -> None:
    """It still comes, so that it can be acknowledged, and is told from one without `data`."""
    queue = await buses.open()
    (sent,) = await send(redis, "a")
    client: Any = redis
    await client.xadd(STREAM, {"other": "b"})
    assert [entry.data for entry in await queue.new_entries()] == [b"a", b""]
    await client.xdel(STREAM, sent)
    assert [(e.data, e.deleted) for e in await queue.own_pending()] == [(b"", True), (b"", False)]


async def test_a_stream_that_is_gone_is_trouble_and_made_again(buses: Buses, redis: Redis) -> None:
    """NOGROUP: the next `prepare` says that a group had to be made."""
    queue = await buses.open()
    await redis.delete(STREAM)
    with pytest.raises(TransientError, match="NOGROUP"):
        await queue.new_entries()
    assert buses.troubled()
    assert await queue.prepare()
    assert not buses.troubled()
    (sent,) = await send(redis, "a")
    assert [entry.entry_id for entry in await queue.new_entries()] == [sent]


async def test_of_many_claims_for_an_id_one_is_made(buses: Buses, redis: Redis) -> None:
    """From four instances at once; the others learn who has it."""
    several = [await buses.open(f"consumer_{i}") for i in range(4)]

    async def claim(queue: RedisCommandQueue, number: int) -> list[bool]:
        made = []
        for order in range(25):
            wanted = record(command(client_order_id=f"order-{order}"), entry_id=f"{order}-{number}")
            found = (await queue.claim(wanted)).found
            made.append(found is None)
            assert found is None or found.client_order_id == wanted.client_order_id
        return made

    made = await asyncio.gather(*(claim(queue, i) for i, queue in enumerate(several)))
    assert [sum(of_one) for of_one in zip(*made, strict=True)] == [1] * 25
    assert await redis.ttl(order_key(NAME, "order-1")) == -1


async def test_a_claim_of_another_entry_leaves_the_first_as_it_is(
    buses: Buses, redis: Redis
) -> None:
    """The second entry learns what the first asked for."""
    queue = await buses.open()
    first, second = record(entry_id="1-0"), record(command(quantity=0.7), entry_id="2-0")
    assert (await queue.claim(first)).found is None
    assert (await queue.claim(second)).found == first
    assert await redis.get(order_key(NAME, "order-1")) == dump(first)


async def test_an_id_stands_in_the_book_of_record_before_it_is_taken(
    buses: Buses, redis: Redis
) -> None:
    """A Redis that is killed between the two leaves no record that the book doesn't know."""
    queue = await buses.open()
    async with redis.monitor() as monitor:
        await queue.claim(record())
        seen: list[str] = []
        while "SET" not in seen:
            seen.append((await monitor.next_command())["command"].split()[0])
    assert "ZADD" in seen


async def test_a_claim_says_when_it_was_made_by_the_clock_that_gives_entries_their_ids(
    buses: Buses, redis: Redis
) -> None:
    """So that a command's age is known without another question."""
    queue = await buses.open()
    (before,) = await send(redis, "a")
    claimed = (await queue.claim(record())).milliseconds
    (after,) = await send(redis, "b")
    assert int(before.partition("-")[0]) <= claimed <= int(after.partition("-")[0])


async def test_a_claim_is_timed_from_the_entrys_id_and_from_when_it_was_read(
    buses: Buses, redis: Redis
) -> None:
    """By Redis's clock and by ours; one that meets a claim of before is no hop of an order."""
    counts = OrderMetrics()
    queue = await buses.open(counts=counts)
    started = asyncio.get_running_loop().time()
    (sent,) = await send(redis, "a")
    await queue.new_entries()
    for _ in range(2):
        await queue.claim(record(entry_id=sent))
    took = asyncio.get_running_loop().time() - started
    found = numbers(counts.metrics())
    for hop in ("waited", "claimed"):
        assert found["order_hop_seconds_count", hop] == 1
        assert found["order_hop_seconds_sum", hop] <= took + 0.002  # the ids are to the millisecond
    assert found["order_hop_seconds_sum", "claimed"] > 0


async def test_a_redis_that_was_emptied_lets_nothing_be_claimed(buses: Buses, redis: Redis) -> None:
    """Under the open connection: what it remembers is gone."""
    queue = await buses.open()
    await redis.flushall()
    with pytest.raises(TransientError, match="the saved one"):
        await queue.claim(record())
    await redis.set(f"{NAME}:state:redis", json.dumps({"identity": "another's"}))
    with pytest.raises(TransientError, match="the saved one"):
        await queue.claim(record())


@pytest.mark.parametrize("keeps_data", [True, False])
async def test_a_server_that_came_back_is_noticed_before_anything_is_claimed_on_it(
    buses: Buses, redis: Redis, redis_server: RedisServer, *, keeps_data: bool
) -> None:
    """What was read from the old one ends in an error, whatever connection there might be."""
    queue = await buses.open()
    await send(redis, "a")
    before = await queue.server()
    assert len(await queue.new_entries()) == 1
    assert (await queue.claim(record())).found is None  # the connection it uses is made by now
    await redis_server.kill()
    if not keeps_data:
        rmtree(redis_server.data_dir)
    await redis_server.start()
    with pytest.raises(TransientError):
        await queue.claim(record(command(client_order_id="order-2")))
    assert buses.troubled()
    async with open_redis(redis_server.url, "fresh") as fresh:
        assert not await fresh.exists(order_key(NAME, "order-2"))
    assert (await queue.server()).identity != before.identity
    assert await queue.prepare() is not keeps_data


async def test_a_dead_server_is_trouble(buses: Buses, redis_server: RedisServer) -> None:
    """Every call says so in one line."""
    queue = await buses.open()
    await redis_server.kill()
    for call in (
        queue.server,
        queue.prepare,
        queue.load_data_loss,
        queue.newest_entry,
        queue.hold_lease,
        queue.own_pending,
        queue.take_over,
        queue.new_entries,
    ):
        with pytest.raises(TransientError, match="Redis can't be reached"):
            await call()


async def test_it_remembers_which_redis_it_was(buses: Buses, redis: Redis) -> None:
    """In Redis itself, so that another instance reads it."""
    queue, other = await buses.open("one"), await buses.open("two")
    server = await queue.server()
    await queue.save_data_loss(DataLossRecord(server.identity, 5, 7))
    assert await other.load_data_loss() == DataLossRecord(server.identity, 5, 7)
    assert (await other.server()).identity == server.identity
    await redis.flushall()
    assert await other.load_data_loss() is None
    seconds, _ = await redis.time()
    assert abs(server.milliseconds / 1000 - seconds) < 60


async def test_a_memory_that_is_wiped_after_it_was_read_is_not_written_back(
    buses: Buses, redis: Redis
) -> None:
    """Or nobody would notice that Redis has forgotten; a process may be frozen in between."""
    queue = await buses.open("one")
    assert await queue.load_data_loss() == MEMORY
    await redis.flushall()
    with pytest.raises(TransientError, match="has just changed"):
        await queue.save_data_loss(MEMORY)
    assert buses.troubled()
    assert await queue.load_data_loss() is None
    await queue.save_data_loss(MEMORY)
    assert await queue.load_data_loss() == MEMORY


async def test_the_newest_entry_shows_how_far_redis_got(buses: Buses, redis: Redis) -> None:
    """0 where nothing was ever sent."""
    queue = await buses.open()
    assert await queue.newest_entry() == 0
    client: Any = redis
    for moment in (5, 7):
        await client.xadd(STREAM, {"data": "a"}, id=f"{moment}-0")
    assert await queue.newest_entry() == 7
    await client.xadd(f"{NAME}:commands:cancel_order", {"data": "a"}, id="6-0")
    several = await buses.open("one", "place_order", "cancel_order")
    assert await several.newest_entry() == 7


async def test_a_lease_that_is_renewed_lasts_as_long_as_at_first(
    buses: Buses, redis: Redis
) -> None:
    """However often it is renewed."""
    queue = await buses.open("one", lease_ms=60_000)
    assert await queue.hold_lease()
    await redis.pexpire(f"{NAME}:state:lease", 1000)
    assert await queue.hold_lease()
    assert await redis.pttl(f"{NAME}:state:lease") > 50_000


async def test_one_instance_is_active_until_its_lease_runs_out(buses: Buses, redis: Redis) -> None:
    """It may renew it; the others wait."""
    one, two = await buses.open("one", lease_ms=200), await buses.open("two", lease_ms=200)
    assert await one.hold_lease()
    assert not await two.hold_lease()
    assert await one.hold_lease()
    await eventually_async(two.hold_lease)
    assert not await one.hold_lease()
    assert 0 < await redis.pttl(f"{NAME}:state:lease") <= 200
