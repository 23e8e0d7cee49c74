"""Command streams on a real server that somebody blocks or empties."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from common_models.stream_names import CommandStream, OperatorStream
from services._connector_kit.clock import SystemClock
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.commands.stream_guard import AHEAD_MS, Stream, StreamGuard
from services._connector_kit.orders.execution.redis_journal import MAX_KEPT, RedisJournal
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import CommandEntry

NAME = "binance_connector"
CANCELS = CommandStream(NAME, "cancel_order")
OPERATORS = OperatorStream(NAME, "cancel_all_orders")
LARGEST = f"{2**64 - 1}-{2**64 - 1}"


class Streams:
    """Two command streams, what their connector reads, and their guard."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self.counts = OrderMetrics()

    async def begin(self) -> "Streams":
        """Empty, with a group each."""
        await self.redis.flushall()
        each: tuple[Stream, ...] = (CANCELS, OPERATORS)
        for stream in each:
            operator = isinstance(stream, OperatorStream)
            queue = RedisCommandQueue(self.redis, NAME, [stream.command], "one", operator=operator)
            await queue.prepare()
        return self

    def guard(self, keep: int = 10) -> StreamGuard:
        """A connector that has just been started."""
        streams: list[Stream] = [CANCELS, CommandStream(NAME, "query_order"), OPERATORS]
        return StreamGuard(self.redis, NAME, streams, SystemClock(), self.counts, keep=keep)

    async def add(self, data: str, stream: object = CANCELS, **options: Any) -> bytes:
        """A command."""
        entry_id: bytes = await self.redis.xadd(str(stream), {"data": data}, **options)
        return entry_id

    async def read(self, stream: object = CANCELS) -> list[bytes]:
        """What the connector reads now."""
        reply = await self.redis.xreadgroup(NAME, "one", {str(stream): ">"}) or []
        return [fields[b"data"] for _, entries in reply for _, fields in entries]

    async def letters(self, command: str = "cancel_order") -> list[dict[str, Any]]:
        """The dead letters."""
        entries = await self.redis.xrange(f"{NAME}:dead_letter:{command}")
        return [msgspec.json.decode(fields[b"data"]) for _, fields in entries]

    @property
    def tampered(self) -> dict[tuple[str, ...], int]:
        """What was counted."""
        return {key: number for key, number in self.counts.tampered.items() if number}


@pytest.fixture
async def streams(redis: Redis) -> Streams:
    """Untouched."""
    return await Streams(redis).begin()


@pytest.mark.parametrize("ahead", ["largest", "a minute"])
async def test_a_stream_that_was_blocked_takes_commands_again(streams: Streams, ahead: str) -> None:
    """What was sent before it was read; what blocked it is a dead letter, whole, once."""
    await streams.add("before")
    seconds, _ = await streams.redis.time()
    entry_id = LARGEST if ahead == "largest" else f"{(seconds + 60) * 1000}-0"
    await streams.add("poison", id=entry_id)
    assert await streams.read() == [b"before", b"poison"]
    await streams.guard().check()
    await streams.guard().check()
    after = await streams.add("after")
    assert int(after.partition(b"-")[0]) < (seconds + 30) * 1000
    assert await streams.read() == [b"after"]
    (letter,) = await streams.letters()
    assert (letter["entry_id"], letter["content"]) == (entry_id, "poison")
    assert streams.tampered == {("cancel_order", "future_id"): 1}
    # What was read before is still there to be acknowledged.
    pending = await streams.redis.xpending(str(CANCELS), NAME)
    assert pending["pending"] == 3
    assert await streams.redis.xack(str(CANCELS), NAME, entry_id) == 1


async def test_a_stream_is_repaired_again_and_again(streams: Streams) -> None:
    """And the operator's as the others."""
    for number in range(3):
        await streams.add("poison", OPERATORS, id=LARGEST)
        with pytest.raises(ResponseError):
            await streams.add("stop", OPERATORS)
        assert await streams.read(OPERATORS) == [b"poison"]
        await streams.guard().check()
        await streams.add(f"stop {number}", OPERATORS)
        assert await streams.read(OPERATORS) == [b"stop %d" % number]
    assert streams.tampered == {("cancel_all_orders", "future_id"): 3}
    assert len(await streams.letters("cancel_all_orders")) == 3


async def test_what_was_not_read_yet_is_not_thrown_away(streams: Streams) -> None:
    """A command behind an id of the future gets such an id too, and is read first."""
    seconds, _ = await streams.redis.time()
    await streams.add("poison", id=f"{(seconds + 60) * 1000}-0")
    assert await streams.read() == [b"poison"]
    await streams.add("a bot's own")
    await streams.guard().check()
    assert await streams.read() == [b"a bot's own"]
    await streams.guard().check()
    await streams.add("after")
    assert await streams.read() == [b"after"]
    assert streams.tampered == {("cancel_order", "future_id"): 1}


async def test_a_clock_set_back_a_little_does_not_count_as_tampering(streams: Streams) -> None:
    """An id just ahead of it stays."""
    seconds, _ = await streams.redis.time()
    await streams.add("early", id=f"{seconds * 1000 + AHEAD_MS - 1000}-0")
    await streams.read()
    await streams.guard().check()
    assert (await streams.redis.xlen(str(CANCELS)), streams.tampered) == (1, {})


async def test_deleted_commands_are_noticed_once_and_over_a_restart(streams: Streams) -> None:
    """By XADD with MAXLEN, whether they were read or not."""
    await streams.add("read")
    await streams.read()
    await streams.guard().check()
    assert streams.tampered == {}
    await streams.add("never read")
    await streams.add("the vandal's", maxlen=0, approximate=False)
    await streams.guard().check()
    assert streams.tampered == {("cancel_order", "deleted"): 3}
    await streams.guard().check()
    assert streams.tampered == {("cancel_order", "deleted"): 3}
    await streams.add("the vandal's again", maxlen=0, approximate=False)
    await streams.guard().check()
    assert streams.tampered == {("cancel_order", "deleted"): 4}
    await streams.add("fine")
    assert await streams.read() == [b"fine"]
    await streams.guard().check()
    assert streams.tampered == {("cancel_order", "deleted"): 4}


async def test_a_stream_goes_back_as_far_as_redis_lets_it(streams: Streams) -> None:
    """An entry of the near future that was deleted by XDEL: ids go on from there."""
    seconds, _ = await streams.redis.time()
    ahead = f"{(seconds + 30) * 1000}-0"
    await streams.add("deleted", id=ahead)
    await streams.add("poison", id=LARGEST)
    assert await streams.read() == [b"deleted", b"poison"]
    await streams.redis.xdel(str(CANCELS), ahead)
    await streams.guard().check()
    assert await streams.add("after") > ahead.encode()
    assert await streams.read() == [b"after"]


async def test_a_large_command_of_the_future_is_not_deleted_by_its_answer(streams: Streams) -> None:
    """Else Redis remembered its id. A large one of now is deleted, and that is no alarm."""
    journal = RedisJournal(streams.redis, NAME, 1000)
    for entry_id in ("*", LARGEST):
        large = "x" * (MAX_KEPT + 1)
        added = (await streams.add(large, id=entry_id)).decode()
        assert await streams.read() == [large.encode()]
        entry = CommandEntry("cancel_order", added, large.encode(), redelivered=False)
        await journal.answer(entry, b'{"status": "rejected"}', None)
        await streams.guard().check()
        await streams.add("after")
        assert await streams.read() == [b"after"]
        await streams.guard().check()
    assert streams.tampered == {("cancel_order", "future_id"): 1}


async def test_what_is_deleted_before_anything_was_read_is_noticed(streams: Streams) -> None:
    """On a stream that is new."""
    await streams.add("never read")
    await streams.add("the vandal's", maxlen=0, approximate=False)
    await streams.guard().check()
    assert streams.tampered == {("cancel_order", "deleted"): 2}


async def test_our_own_trimming_does_not_count_as_deletion(streams: Streams) -> None:
    """It leaves the last ones; and what is deleted after that is noticed."""
    for number in range(15):
        await streams.add(str(number))
        await streams.read()
    await streams.redis.xtrim(str(CANCELS), maxlen=10, approximate=False)
    await streams.guard(keep=10).check()
    assert streams.tampered == {}
    await streams.redis.xtrim(str(CANCELS), maxlen=9, approximate=False)
    await streams.guard(keep=10).check()
    assert streams.tampered == {("cancel_order", "deleted"): 1}
