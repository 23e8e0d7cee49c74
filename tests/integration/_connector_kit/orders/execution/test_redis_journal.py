"""The journal on a real server: each change once, whoever asks for it and how often."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from common_models import OrderResponseEvent
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.commands.answers import accepted, outcome_unknown, rejected
from services._connector_kit.orders.execution.record import Record, dump
from services._connector_kit.orders.execution.redis_journal import MAX_REFUSALS, RedisJournal
from services._connector_kit.orders.keys import OrderRef, order_key
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import CommandEntry, Rejection, VenueOrder
from services._runtime.redis_client import open_redis
from tests.support.metrics import numbers
from tests.support.network.fault_proxy import FaultProxy
from tests.support.orders.commands import command, record

NAME = "binance_connector"
STREAM = f"{NAME}:commands:place_order"
AT = 1_700_000_000_500
FOUND = VenueOrder("28", "order-1", "0.1")
DAY = 24 * 3600
REPORTED = VenueOrder("28", "order-1", "0.1", "BTC/USDT", "buy", quantity="0.1")


@dataclass
class Journaled:
    """One claimed order, pending in its stream."""

    redis: Any
    journal: RedisJournal
    entry: CommandEntry
    record: Record

    async def responses(self, stream: str = "order_response") -> list[OrderResponseEvent]:
        """The answers that were published, each with nothing but the field `data`."""
        entries = await self.redis.xrange(f"{NAME}:events:{stream}")
        assert all(list(fields) == [b"data"] for _, fields in entries)
        return [OrderResponseEvent.model_validate_json(f[b"data"]) for _, f in entries]

    async def pending(self) -> int:
        """How many commands nobody acknowledged."""
        return int((await self.redis.xpending(STREAM, NAME))["pending"])

    def accepted(self) -> Record:
        """The record, closed as accepted."""
        return self.record.closed(accepted(self.record, FOUND, AT))

    def not_found(self) -> Record:
        """The record, given up."""
        refusal = Rejection("not_found", "nowhere")
        answer = rejected(self.record.order, self.entry, refusal, AT, self.record)
        return self.record.closed(answer, provisional=True)


def journal(
    redis: Redis, woken: list[None] | None = None, counts: OrderMetrics | None = None
) -> RedisJournal:
    """A journal of the connector."""
    wake = (lambda: woken.append(None)) if woken is not None else (lambda: None)
    return RedisJournal(redis, NAME, 1000, on_accepted=wake, counts=counts)


@pytest.fixture
async def order(redis: Redis) -> Journaled:
    """Read and claimed."""
    client: Any = redis
    await client.xgroup_create(STREAM, NAME, id="0", mkstream=True)
    entry_id = (await client.xadd(STREAM, {"data": "{}"})).decode()
    await client.xreadgroup(NAME, "one", {STREAM: ">"})
    taken = record(entry_id=entry_id)
    await client.set(order_key(NAME, taken.client_order_id), dump(taken))
    entry = CommandEntry("place_order", entry_id, b"{}", redelivered=False)
    return Journaled(client, journal(redis), entry, taken)


async def test_an_order_is_closed_answered_and_acknowledged_at_once(order: Journaled) -> None:
    """The record stays until its order has closed, and the order is noted for the account."""
    closed = order.accepted()
    assert await order.journal.close(closed, order.entry) == closed
    (answer,) = await order.responses()
    assert (answer.status, answer.order_id, answer.command_id) == (
        "accepted",
        "28",
        order.entry.entry_id,
    )
    assert await order.journal.get("order-1") == closed
    assert await order.pending() == 0
    assert await order.redis.ttl(order_key(NAME, "order-1")) == -1
    assert await Ledger(order.redis, NAME, "binance", 10).accepted() == {
        OrderRef("BTC/USDT", "28"): "order-1"
    }


async def test_a_closed_order_is_closed_once(order: Journaled) -> None:
    """By two instances at once, many times; the first answer stays."""
    other = journal(order.redis)
    kept = await asyncio.gather(
        *(order.journal.close(order.accepted(), order.entry) for _ in range(5)),
        *(other.close(order.not_found(), order.entry) for _ in range(5)),
    )
    assert len(await order.responses()) == 1
    assert len({dump(one) for one in kept}) == 1
    assert await order.pending() == 0


@pytest.mark.parametrize("first", ["close", "answer"])
async def test_an_entry_is_answered_once_with_a_record_or_without(
    order: Journaled, first: str
) -> None:
    """Redis lost its record in between, or another entry had its id: one answer is enough."""
    without = order.accepted().answer or ""

    async def answer() -> None:
        await order.journal.answer(order.entry, without.encode(), None)

    async def close() -> None:
        await order.journal.close(order.accepted(), order.entry)

    for step in (close, answer) if first == "close" else (answer, close):
        await step()
    assert len(await order.responses()) == 1
    assert await order.journal.get("order-1") == order.accepted()


async def test_an_order_counts_where_its_answer_was_given(order: Journaled) -> None:
    """Another instance that closes it too, a moment later, has answered nothing."""
    mine, others = OrderMetrics(), OrderMetrics()
    for counts in (mine, others):
        counts.unknown_published(order.record)
    await journal(order.redis, counts=mine).close(order.accepted(), order.entry)
    await journal(order.redis, counts=others).close(order.not_found(), order.entry)
    found = [numbers(counts.metrics()) for counts in (mine, others)]
    answered = [
        [n["order_commands_total", "place_order", outcome] for n in found]
        for outcome in ("accepted", "rejected")
    ]
    assert answered == [[1, 0], [0, 0]]
    assert [n["orders_unknown",] for n in found] == [0, 0]


async def test_a_dead_letter_and_a_late_order_are_counted(order: Journaled) -> None:
    """Each is worth a look by a person."""
    counts = OrderMetrics()
    counting = journal(order.redis, counts=counts)
    letter = CommandEntry("cancel_order", "1-1", b"{", redelivered=False)
    await counting.answer(letter, None, "no JSON")
    await counting.close(order.not_found(), order.entry)
    await counting.correct(order.accepted(), FOUND)
    found = numbers(counts.metrics())
    assert found["dead_letters_total", "cancel_order"] == 1
    assert found["dead_letters_total", "place_order"] == 0
    assert found["ghost_orders_total",] == 1
    assert found["order_refusals_total", "not_found"] == 1


async def test_an_id_that_another_entry_has_by_now_is_left_alone(order: Journaled) -> None:
    """Redis forgot this record, and a later command took the id."""
    other = record(entry_id="9-9")
    await order.redis.set(order_key(NAME, "order-1"), dump(other))
    assert await order.journal.close(order.accepted(), order.entry) == other
    answer = outcome_unknown(order.record, "no answer", AT)
    await order.journal.publish_unknown(order.record, order.entry, answer)
    assert await order.responses() == []
    assert await order.journal.get("order-1") == other
    assert await order.pending() == 1


async def test_a_lost_record_is_written_again(order: Journaled) -> None:
    """By either change."""
    await order.redis.delete(order_key(NAME, "order-1"))
    await order.journal.publish_unknown(
        order.record, order.entry, outcome_unknown(order.record, "no", AT)
    )
    found = await order.journal.get("order-1")
    assert found is not None
    assert found.state == "unknown"
    await order.redis.delete(order_key(NAME, "order-1"))
    await order.journal.close(order.accepted(), order.entry)
    assert await order.journal.get("order-1") == order.accepted()


async def test_unknown_is_said_once_and_never_after_the_end(order: Journaled) -> None:
    """The entry stays pending, and the record has no end yet."""
    answer = outcome_unknown(order.record, "no answer", AT)
    for _ in range(2):
        await order.journal.publish_unknown(order.record, order.entry, answer)
    assert [a.status for a in await order.responses()] == ["unknown"]
    assert await order.pending() == 1
    assert await order.redis.ttl(order_key(NAME, "order-1")) == -1
    await order.journal.close(order.accepted(), order.entry)
    await order.journal.publish_unknown(order.record, order.entry, answer)
    assert [a.status for a in await order.responses()] == ["unknown", "accepted"]


async def test_unknown_is_not_said_of_an_entry_that_was_answered_for_another(
    order: Journaled,
) -> None:
    """Another entry had its id first, and Redis lost that claim: this one was answered with it."""
    replay = order.accepted().answer
    assert replay is not None
    await order.journal.answer(order.entry, replay.encode(), None)
    await order.journal.publish_unknown(
        order.record, order.entry, outcome_unknown(order.record, "no answer", AT)
    )
    assert [a.status for a in await order.responses()] == ["accepted"]
    record = await order.journal.get("order-1")
    assert record is not None
    assert record.state == "unknown"


async def test_an_entry_without_a_record_is_answered_once(order: Journaled) -> None:
    """And remembered as answered for a day."""
    answer = outcome_unknown(order.record, "anything", AT).model_dump_json().encode()
    await asyncio.gather(*(order.journal.answer(order.entry, answer, None) for _ in range(4)))
    assert len(await order.responses()) == 1
    assert await order.pending() == 0
    (key,) = [k async for k in order.redis.scan_iter(f"{NAME}:state:answered:*")]
    assert DAY - 60 < await order.redis.ttl(key) <= DAY


async def test_other_commands_are_answered_on_their_own_stream(order: Journaled) -> None:
    """And an answer of nothing only acknowledges."""
    await order.journal.answer(
        CommandEntry("cancel_order", "1-1", b"", redelivered=False), b"{}", None
    )
    await order.journal.answer(order.entry, None, None)
    assert await order.redis.xlen(f"{NAME}:events:command_response") == 1
    assert await order.responses() == []
    assert await order.pending() == 0


@pytest.mark.parametrize(
    ("data", "encoding", "content"),
    [
        (b'{"what": "ever"}', "utf-8", '{"what": "ever"}'),
        ("Grüße".encode(), "utf-8", "Grüße"),
        (b"", "utf-8", ""),
        (b"\xff\xfe", "base64", "//4="),
    ],
)
async def test_a_dead_letter_holds_the_whole_entry(
    order: Journaled, data: bytes, encoding: str, content: str
) -> None:
    """One JSON field `data`; what is no text is base64. It goes there once."""
    entry = CommandEntry("place_order", order.entry.entry_id, data, redelivered=False)
    for _ in range(2):
        await order.journal.answer(entry, None, "it is no command")
    ((_, fields),) = await order.redis.xrange(f"{NAME}:dead_letter:place_order")
    assert list(fields) == [b"data"]
    assert json.loads(fields[b"data"]) == {
        "entry_id": order.entry.entry_id,
        "error": "it is no command",
        "encoding": encoding,
        "content": content,
    }
    assert await order.pending() == 0


async def test_a_not_found_order_is_watched_for_a_day_and_corrected_once(
    order: Journaled, redis: Redis
) -> None:
    """The account is woken to tell its status."""
    woken: list[None] = []
    watching = journal(redis, woken)
    given_up = order.not_found()
    seconds, _ = await redis.time()
    fresh = Record(**{**_fields(given_up), "timestamp": seconds * 1000})
    await watching.close(fresh, order.entry)
    assert await watching.provisional() == [fresh]
    corrected = order.accepted()
    for _ in range(2):
        await watching.correct(corrected, FOUND)
    assert await watching.provisional() == []
    assert await redis.zcard(f"{NAME}:state:ghosts") == 0
    assert await watching.get("order-1") == corrected
    assert woken
    accepted = await Ledger(redis, NAME, "binance", 10).accepted()
    assert accepted == {OrderRef("BTC/USDT", "28"): "order-1"}


async def test_only_a_provisional_record_is_corrected(order: Journaled) -> None:
    """The venue's own refusal stands."""
    refused = msgspec.structs.replace(order.not_found(), provisional=False)
    await order.journal.close(refused, order.entry)
    await order.journal.correct(order.accepted(), FOUND)
    assert await order.journal.get("order-1") == refused


async def test_an_entry_is_acknowledged_in_the_transaction_that_answers_it(
    order: Journaled,
) -> None:
    """A process that is killed between the two would leave an entry without an answer."""
    async with order.redis.monitor() as monitor:
        await order.journal.close(order.accepted(), order.entry)
        seen: list[str] = []
        while "EXEC" not in seen:
            seen.append((await monitor.next_command())["command"].split()[0])
    changes = seen[seen.index("MULTI") :]
    assert {"XADD", "SET", "ZREM", "XACK"} <= set(changes)


async def test_what_was_published_of_another_order_under_its_order_id_is_not_its_own(
    order: Journaled,
) -> None:
    """The venue began its ids anew, and another order of ours has that id."""
    ledger = Ledger(order.redis, NAME, "binance", 10)
    first = OrderStatusReport(
        *("28", "order-1", "BTC/USDT", "buy", "open"),
        *(Decimal(1), Decimal(0), Decimal(0)),
        milliseconds=AT,
        created=AT,
    )
    later = AT + 3_600_000
    await ledger.publish(first)
    second = first._replace(client_order_id="order-2", milliseconds=later, created=later)
    await ledger.publish(second)
    assert await order.journal.published_order("order-1") is None
    assert await order.journal.published_order("order-2") is not None


async def test_a_published_order_is_found_by_its_client_order_id(order: Journaled) -> None:
    """By who looks for the order; and who closes it needn't have it told again."""
    ledger = Ledger(order.redis, NAME, "binance", 10)
    assert await order.journal.published_order("order-1") is None
    report = OrderStatusReport(
        FOUND.order_id,
        "order-1",
        "BTC/USDT",
        "buy",
        "filled",
        quantity=Decimal("0.1"),
        filled=Decimal("0.1"),
        quote_filled=Decimal(10),
        milliseconds=AT,
    )
    assert await ledger.publish(report)
    assert await order.journal.published_order("order-1") == REPORTED
    await order.journal.close(order.accepted(), order.entry)
    assert set(await ledger.accepted()) == set()


def _fields(taken: Record) -> dict[str, Any]:
    return {name: getattr(taken, name) for name in taken.__struct_fields__}


async def test_a_not_found_order_of_the_day_before_is_no_longer_watched(order: Journaled) -> None:
    """Its record says `not_found` for the rest of its week."""
    seconds, _ = await order.redis.time()
    old = Record(**{**_fields(order.not_found()), "timestamp": (seconds - DAY - 1) * 1000})
    await order.journal.close(old, order.entry)
    assert await order.journal.provisional() == []
    assert await order.redis.zcard(f"{NAME}:state:ghosts") == 0


Change = Callable[[RedisJournal, Journaled], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "close": lambda j, o: j.close(o.accepted(), o.entry),
    "unclear": lambda j, o: j.publish_unknown(
        o.record, o.entry, outcome_unknown(o.record, "no answer", AT)
    ),
    "answer": lambda j, o: j.answer(
        o.entry, outcome_unknown(o.record, "any", AT).model_dump_json().encode(), None
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("lost", ["reply", "request"])
async def test_whatever_is_lost_on_the_way_each_change_happens_once(
    order: Journaled, proxy: FaultProxy, change: str, lost: str
) -> None:
    """The connection is cut at every few bytes of it in turn; then it is asked for again.

    It counts once, too.
    """
    client: Any = order.redis
    start = await client.dump(order_key(NAME, "order-1"))
    cuts = 0
    for after in range(0, 2000, 7 if lost == "reply" else 19):
        await client.delete(f"{NAME}:events:order_response", f"{NAME}:state:accepted_orders")
        async for key in client.scan_iter(f"{NAME}:state:answered:*"):
            await client.delete(key)
        await client.restore(order_key(NAME, "order-1"), 0, start, replace=True)
        async with open_redis(proxy.url, "through_the_proxy") as through:
            counts = OrderMetrics()
            cutting = journal(through, counts=counts)
            await cutting.get("nothing")  # connected: what is cut is the change
            before = proxy.cuts
            setattr(proxy, "cut_replies_after" if lost == "reply" else "cut_requests_after", after)
            try:
                await CHANGES[change](cutting, order)
            except TransientError:
                await CHANGES[change](cutting, order)
            assert len(await order.responses()) == 1
            assert counts.commands.total() == 1
            if proxy.cuts == before:
                break  # beyond the end of it
            cuts += 1
    assert cuts > 5
    proxy.cut_replies_after = proxy.cut_requests_after = None


def test_the_order_of_the_tests_record_is_the_commands() -> None:
    """What the helper makes is what the core would journal."""
    assert record().order == command()


def refused(name: str, entry_id: str, *, unsent: bool) -> Record:
    """A record, closed as refused."""
    taken = record(command(client_order_id=name), entry_id=entry_id)
    entry = CommandEntry("place_order", entry_id, b"{}", redelivered=False)
    answer = rejected(taken.order, entry, Rejection("halted", "it is"), AT, taken)
    return taken.closed(answer, unsent=unsent)


async def test_a_refusal_before_the_sending_is_kept_for_a_day(order: Journaled) -> None:
    """One by the venue for a week: it was sent."""
    kept = {}
    for number, (name, unsent) in enumerate((("before", True), ("by-venue", False))):
        entry = CommandEntry("place_order", f"{number + 1}-0", b"{}", redelivered=False)
        await order.journal.close(refused(name, entry.entry_id, unsent=unsent), entry)
        kept[name] = await order.redis.ttl(order_key(NAME, name))
    assert DAY - 60 < kept["before"] <= DAY
    assert 7 * DAY - 60 < kept["by-venue"] <= 7 * DAY


async def test_in_a_flood_of_refusals_little_is_kept_of_each_and_each_is_answered(
    order: Journaled,
) -> None:
    """Beyond 600 in a minute: a record for a minute, so that nobody else answers it."""
    for number in range(1, MAX_REFUSALS + 21):
        entry = CommandEntry("place_order", f"{number}-0", b"{}", redelivered=False)
        closed = refused(f"flood-{number}", entry.entry_id, unsent=True)
        await order.journal.close(closed, entry)
    lives = [
        await order.redis.ttl(order_key(NAME, f"flood-{number}"))
        for number in range(1, MAX_REFUSALS + 21)
    ]
    assert sum(life > DAY - 60 for life in lives) == MAX_REFUSALS
    assert sum(0 < life <= 60 for life in lives) == 20
    assert len(await order.responses()) == MAX_REFUSALS + 20
    again = CommandEntry("place_order", f"{MAX_REFUSALS + 20}-0", b"{}", redelivered=True)
    await order.journal.answer(again, b"{}", None)
    assert len(await order.responses()) == MAX_REFUSALS + 20
    answered = f"{NAME}:state:answered:place_order:{MAX_REFUSALS + 20}-0"
    assert 60 < await order.redis.ttl(answered) <= 600


async def test_the_newest_entry_of_a_stream_is_no_later_than_now(order: Journaled) -> None:
    """What comes after an id of the future, once that was repaired, may have a lower one."""
    entry = CommandEntry("cancel_all_orders", "1-0", b"", redelivered=False, operator=True)
    stream = entry.stream(NAME)
    assert await order.journal.newest_entry(entry) == 0
    first = (await order.redis.xadd(stream, {"data": "{}"})).decode()
    assert await order.journal.newest_entry(entry) == int(first.partition("-")[0])
    await order.redis.xadd(stream, {"data": "{}"}, id="9999999999999-0")
    now = (await order.redis.time())[0] * 1000
    assert now <= await order.journal.newest_entry(entry) < now + 60_000


@pytest.mark.parametrize("size", [4096, 4097])
async def test_a_large_command_leaves_its_stream_with_its_answer(
    order: Journaled, size: int
) -> None:
    """A usual one stays there, to be looked at; those behind it are still known as waiting."""
    entry_id = (await order.redis.xadd(STREAM, {"data": b"x" * size})).decode()
    await order.redis.xreadgroup(NAME, "one", {STREAM: ">"})
    entry = CommandEntry("place_order", entry_id, b"x" * size, redelivered=False)
    await order.journal.answer(entry, b"{}", None)
    await order.journal.close(order.accepted(), order.entry)
    kept = [entry_id.decode() for entry_id, _ in await order.redis.xrange(STREAM)]
    assert kept == [order.entry.entry_id] + ([entry_id] if size <= 4096 else [])
    assert not await order.journal.orders_waiting()
    await order.redis.xadd(STREAM, {"data": "{}"})
    assert await order.journal.orders_waiting()
