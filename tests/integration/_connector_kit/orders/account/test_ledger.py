"""What was told of orders, on a real server: each change once."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from common_models import OrderStatusUpdateEvent
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import (
    LOST,
    Fill,
    OrderStatusReport,
    Status,
)
from services._connector_kit.orders.account.venue import TradeEvidence
from services._connector_kit.orders.commands.answers import accepted
from services._connector_kit.orders.execution.record import dump
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._connector_kit.orders.keys import OrderRef, open_key, order_key
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import CommandEntry, VenueOrder
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.metrics import numbers
from tests.support.network.fault_proxy import FaultProxy
from tests.support.orders.commands import command, record

NAME = "luno_connector"
NOW = 1_700_000_000_000
# The record of the order that `report` shows.
ASKED = record(command(symbol="XBT/ZAR", quantity=10))
ANSWERED = ASKED.closed(accepted(ASKED, VenueOrder("7", "order-1", "0"), NOW))


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    """An empty one."""
    return Ledger(redis, NAME, "luno", 1000)


def report(
    *,
    filled: int = 0,
    status: Status = "open",
    client_order_id: str | None = "order-1",
    **more: Any,
) -> OrderStatusReport:
    """An order for 10 at 100, of which so much is filled in fills of 1."""
    fills = tuple(
        Fill(str(i), NOW, Decimal(100), Decimal(1), "ZAR", Decimal("0.1")) for i in range(filled)
    )
    amounts = {
        "quantity": Decimal(10),
        "filled": Decimal(filled),
        "quote_filled": Decimal(filled) * 100,
    }
    return OrderStatusReport(
        **{
            "order_id": "7",
            "client_order_id": client_order_id,
            "symbol": "XBT/ZAR",
            "side": "buy",
            "status": status,
            "milliseconds": NOW,
            "fills": fills,
            **amounts,
            **more,
        }
    )


async def statuses(redis: Redis) -> list[OrderStatusUpdateEvent]:
    """What was told of orders."""
    entries: Any = await redis.xrange(f"{NAME}:events:order_status")
    assert all(list(fields) == [b"data"] for _, fields in entries)
    return [OrderStatusUpdateEvent.model_validate_json(f[b"data"]) for _, f in entries]


async def test_several_instances_publish_each_change_once(
    redis: Redis, redis_server: RedisServer
) -> None:
    """Two instances with connections of their own tell the same story, over and over."""
    story = [report(filled=filled) for filled in range(10)] + [report(filled=9, status="canceled")]

    async def publish() -> None:
        async with open_redis(redis_server.url, "instance") as client:
            mine = Ledger(client, NAME, "luno", 1000)
            for one in story:
                await mine.publish(one)

    await asyncio.gather(*(publish() for _ in range(4)))
    events = await statuses(redis)
    published = [trade.trade_id for event in events for trade in event.trades or ()]
    assert sorted(str(trade_id) for trade_id in published) == [str(i) for i in range(9)]
    assert [e.filled_quantity for e in events] == sorted(e.filled_quantity for e in events)
    assert [event.status for event in events].count("canceled") == 1
    assert events[-1].status == "canceled"


@pytest.mark.parametrize("lost", ["cut_replies_after", "cut_requests_after"])
async def test_a_report_is_published_once_though_the_connection_breaks(
    redis: Redis, proxy: FaultProxy, lost: str
) -> None:
    """The connection is cut at every few bytes in turn; telling again is safe."""
    for number, after in enumerate(range(0, 1200, 13)):
        async with open_redis(proxy.url, "through_the_proxy") as through:
            mine = Ledger(through, NAME, "luno", 1000)
            await mine.trades_cursor()  # connected: what is cut is the telling
            setattr(proxy, lost, after)
            one = report(filled=1)._replace(order_id=str(number))
            try:
                await mine.publish(one)
            except TransientError:
                await mine.publish(one)
            setattr(proxy, lost, None)
    assert proxy.cuts > 5
    published = [event.order_id for event in await statuses(redis)]
    assert sorted(published) == sorted(set(published))


async def test_open_orders_are_kept_and_closed_ones_let_go(ledger: Ledger, redis: Redis) -> None:
    """What is kept of a closed one lives for a week."""
    assert await ledger.publish(report())
    assert not await ledger.publish(report())
    ((order_id, published),) = await ledger.open_orders()
    assert (order_id, published.symbol, published.filled) == ("7", "XBT/ZAR", Decimal(0))
    assert await redis.ttl(f"{NAME}:state:told:XBT/ZAR:7") == -1
    assert await ledger.publish(report(filled=10, status="filled"))
    assert await ledger.open_orders() == []
    assert 7 * 24 * 3600 - 60 < await redis.ttl(f"{NAME}:state:told:XBT/ZAR:7") <= 7 * 24 * 3600


async def test_open_orders_and_fills_are_counted_when_they_are_published(redis: Redis) -> None:
    """A fill by its own time, when it is published."""
    counts = OrderMetrics(lambda: NOW + 250)
    counting = Ledger(redis, NAME, "luno", 1000, counts)
    await counting.publish(report(filled=2))
    await counting.publish(report(filled=2))  # nothing new
    await counting.publish(report(order_id="8", client_order_id="order-2"))
    found = numbers(counts.metrics())
    assert found["orders_open", "XBT/ZAR"] == 2
    assert (found["fill_seconds_count",], found["fill_seconds_sum",]) == (1, 0.25)
    await counting.publish(report(filled=10, status="filled", fee={}, fills=(), order_id="8"))
    assert numbers(counts.metrics())["fill_seconds_count",] == 1
    await counting.publish(report(filled=10, status="filled", fee={}, order_id="8"))
    found = numbers(counts.metrics())
    assert found["fill_seconds_count",] == 2
    assert found["orders_open", "XBT/ZAR"] == 1


async def test_a_run_that_follows_knows_which_orders_are_open(ledger: Ledger, redis: Redis) -> None:
    """From the first comparison on."""
    await ledger.publish(report())
    counts = OrderMetrics()
    await Ledger(redis, NAME, "luno", 1000, counts).open_orders()
    assert numbers(counts.metrics())["orders_open", "XBT/ZAR"] == 1


async def test_an_order_of_ours_is_not_external(ledger: Ledger, redis: Redis) -> None:
    """Also under the client id that a cancel gave it; one placed elsewhere is."""
    await redis.set(order_key(NAME, "order-1"), dump(ASKED))
    await ledger.publish(report())
    await ledger.publish(report(status="canceled", client_order_id="of the cancel"))
    await ledger.publish(report(client_order_id="elsewhere")._replace(order_id="8"))
    await ledger.publish(report(client_order_id=None)._replace(order_id="9"))
    assert [(e.client_order_id, e.external) for e in await statuses(redis)] == [
        ("order-1", False),
        ("order-1", False),
        ("elsewhere", True),
        (None, True),
    ]


async def test_an_accepted_order_is_known_before_its_first_status_is_published(
    ledger: Ledger, redis: Redis
) -> None:
    """By the id that its command gave it, though it was cancelled meanwhile by somebody else."""
    taken = record()
    closed = taken.closed(accepted(taken, VenueOrder("7", "order-1", "0"), NOW))
    entry = CommandEntry("place_order", taken.entry_id, b"", redelivered=False)
    await RedisJournal(redis, NAME, 10).close(closed, entry)
    assert set(await ledger.accepted()) == {OrderRef("BTC/USDT", "7")}
    cancel = report(status="canceled", client_order_id="of the cancel", symbol="BTC/USDT")
    await ledger.publish(cancel)
    (event,) = await statuses(redis)
    assert (event.client_order_id, event.external) == ("order-1", False)
    assert set(await ledger.accepted()) == set()


async def test_our_record_says_how_much_a_market_order_asked_for(
    ledger: Ledger, redis: Redis
) -> None:
    """Where the venue doesn't."""
    await redis.set(order_key(NAME, "order-1"), dump(record(command(symbol="XBT/ZAR", quantity=4))))
    await ledger.publish(report(filled=1, quantity=Decimal(0)))
    await ledger.publish(report(filled=4, quantity=Decimal(0)))
    assert [(e.status, e.remaining_quantity) for e in await statuses(redis)] == [
        ("partially_filled", 3.0),
        ("filled", 0.0),
    ]


async def test_equal_order_ids_on_two_symbols_are_two_orders(redis: Redis) -> None:
    """Binance numbers the orders of each symbol by themselves."""
    counts = OrderMetrics()
    ledger = Ledger(redis, NAME, "luno", 1000, counts)
    other: dict[str, Any] = {"symbol": "ETH/ZAR", "client_order_id": "eth"}
    await ledger.publish(report())
    await ledger.publish(report(filled=10, status="filled"))
    await ledger.publish(report(**other))
    assert [(t.symbol, i) for i, t in await ledger.open_orders()] == [("ETH/ZAR", "7")]
    assert numbers(counts.metrics())["orders_open", "ETH/ZAR"] == 1
    trades = [TradeEvidence(s, "7", "0", Decimal(0)) for s in ("XBT/ZAR", "ETH/ZAR")]
    assert await ledger.unpublished(trades) == trades[1:]
    await ledger.publish(report(filled=1, **other))
    assert await ledger.unpublished(trades) == []
    await ledger.end(OrderRef("XBT/ZAR", "7"), LOST, NOW)
    assert len(await ledger.open_orders()) == 1
    assert [
        (e.symbol, e.client_order_id, e.status, e.filled_quantity, len(e.trades or ()))
        for e in await statuses(redis)
    ] == [
        ("XBT/ZAR", "order-1", "open", 0.0, 0),
        ("XBT/ZAR", "order-1", "filled", 10.0, 10),
        ("ETH/ZAR", "eth", "open", 0.0, 0),
        ("ETH/ZAR", "eth", "partially_filled", 1.0, 1),
    ]


# What the first release wrote, which kept all of an order by its id alone.
FIRST_PUBLISHED = (
    '{"client_order_id":"order-1","symbol":"XBT/ZAR","status":"%s","quantity":"10","filled":"2",'
    '"quote_filled":"200","fee":{"ZAR":"0.2"},"trade_ids":["0","1"]}'
)


async def test_what_the_first_release_kept_of_an_order_is_carried_over(redis: Redis) -> None:
    """Nothing is published twice; the order of another symbol is none of it."""
    await redis.set(f"{NAME}:state:told:7", FIRST_PUBLISHED % "partially_filled")
    await redis.set(f"{NAME}:state:told_as:order-1", "7")
    await redis.sadd(f"{NAME}:state:open_orders", "7")
    journal, counts = RedisJournal(redis, NAME, 10), OrderMetrics()
    ledger = Ledger(redis, NAME, "luno", 1000, counts)
    found = await journal.published_order("order-1")
    assert found is not None
    assert (found.symbol, found.order_id, found.filled_quantity) == ("XBT/ZAR", "7", "2")
    assert [(t.symbol, i) for i, t in await ledger.open_orders()] == [("XBT/ZAR", "7")]
    assert numbers(counts.metrics())["orders_open", "XBT/ZAR"] == 1
    assert await ledger.unpublished([TradeEvidence("XBT/ZAR", "7", "1", Decimal(2))]) == []
    assert not await ledger.publish(report(filled=2, status="partially_filled"))
    await ledger.publish(report(symbol="ETH/ZAR", client_order_id="eth"))
    await ledger.publish(report(filled=3))
    await ledger.publish(report(filled=3, status="canceled"))
    assert [
        (e.client_order_id, e.status, e.filled_quantity, [t.trade_id for t in e.trades or ()])
        for e in await statuses(redis)
    ] == [
        ("eth", "open", 0.0, []),
        ("order-1", "partially_filled", 3.0, ["2"]),
        ("order-1", "canceled", 3.0, []),
    ]
    assert [(t.symbol, i) for i, t in await ledger.open_orders()] == [("ETH/ZAR", "7")]
    assert await redis.exists(f"{NAME}:state:told:7") == 0
    found = await journal.published_order("order-1")
    assert found is not None
    assert (found.symbol, found.order_id, found.filled_quantity) == ("XBT/ZAR", "7", "3")


async def test_a_closed_order_of_the_first_release_is_not_published_again(redis: Redis) -> None:
    """Though it is asked for once more, as one that was accepted and not told yet."""
    await redis.set(f"{NAME}:state:told:7", FIRST_PUBLISHED % "canceled", ex=7 * 24 * 3600)
    noted = '{"symbol":"XBT/ZAR","client_order_id":"order-1"}'
    await redis.hset(f"{NAME}:state:accepted_orders", "7", noted)
    ledger = Ledger(redis, NAME, "luno", 1000)
    assert set(await ledger.accepted()) == {OrderRef("XBT/ZAR", "7")}
    assert not await ledger.publish(report(filled=2, status="canceled"))
    assert set(await ledger.accepted()) == set()
    assert await statuses(redis) == []


async def test_what_the_first_release_accepted_keeps_its_client_order_id(redis: Redis) -> None:
    """Though Binance shows the order under a cancel's."""
    noted = '{"symbol":"XBT/ZAR","client_order_id":"order-1"}'
    await redis.hset(f"{NAME}:state:accepted_orders", "7", noted)
    ledger = Ledger(redis, NAME, "luno", 1000)
    await ledger.publish(report(symbol="ETH/ZAR", client_order_id="eth"))
    await ledger.publish(report(status="canceled", client_order_id="of the cancel"))
    assert [e.client_order_id for e in await statuses(redis)] == ["eth", "order-1"]
    assert set(await ledger.accepted()) == set()


def number(*fills: int) -> tuple[Fill, ...]:
    """Fills of 1 with these ids."""
    return tuple(Fill(str(i), NOW, Decimal(100), Decimal(1), "ZAR", Decimal("0.1")) for i in fills)


async def test_an_id_of_another_life_is_another_order(redis: Redis) -> None:
    """The open one of the life before has ended; the new one has its own client id and fills."""
    ledger, journal = Ledger(redis, NAME, "luno", 1000), RedisJournal(redis, NAME, 10)
    first: dict[str, Any] = {"created": NOW, "version": NOW, "client_order_id": "a"}
    second: dict[str, Any] = {"client_order_id": "b", "created": NOW + 9000, "version": NOW + 9000}
    with capture_logs() as logs:
        for order_id in ("7", "8"):
            await ledger.publish(report(filled=2, order_id=order_id, **first))
            await ledger.publish(report(filled=1, order_id=order_id, **second))
            await ledger.publish(report(filled=3, order_id=order_id, **first))  # late, of the first
    assert [
        (e.client_order_id, e.status, e.venue_status, e.filled_quantity, len(e.trades or ()))
        for e in await statuses(redis)
    ] == [
        ("a", "partially_filled", None, 2.0, 2),
        ("a", "expired", "LOST", 2.0, 0),
        ("b", "partially_filled", None, 1.0, 1),
    ] * 2
    assert [entry["event"] for entry in logs] == ["venue_ids_restarted"]
    assert {(i, t.client_order_id) for i, t in await ledger.open_orders()} == {
        ("7", "b"),
        ("8", "b"),
    }
    assert await journal.published_order("a") is None
    found = await journal.published_order("b")
    assert found is not None
    assert (found.order_id, found.created, found.side) == ("8", NOW + 9000, "buy")


async def test_a_closed_order_of_the_life_before_is_put_aside(redis: Redis) -> None:
    """Its last status was published; the next restart of ids is logged again."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    generations = [{"created": NOW + n * 9000, "version": NOW + n * 9000} for n in range(3)]
    with capture_logs() as logs:
        for n, generation in enumerate(generations):
            one: dict[str, Any] = {"client_order_id": f"client-{n}", **generation}
            await ledger.publish(report(filled=1, **one))
            await ledger.publish(report(filled=1, status="canceled", **one))
    assert [(e.client_order_id, e.status) for e in await statuses(redis)] == [
        (f"client-{n}", status) for n in range(3) for status in ("partially_filled", "canceled")
    ]
    assert [entry["event"] for entry in logs] == ["venue_ids_restarted"] * 2


async def test_a_trade_of_another_life_is_news(redis: Redis) -> None:
    """Though its id and its order's were published before."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    await ledger.publish(report(filled=1, created=NOW, version=NOW))
    trades = [TradeEvidence("XBT/ZAR", "7", "0", Decimal(0), at) for at in (0, NOW, NOW + 5000)]
    assert await ledger.unpublished(trades) == trades[2:]


async def test_a_status_with_missing_fills_is_held(redis: Redis) -> None:
    """What was said to be missing before doesn't hold anything back."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    assert await ledger.publish_complete(report())
    last = report(filled=5, status="canceled", fills=number(1, 2))
    assert not await ledger.publish_complete(last)
    assert len(await statuses(redis)) == 1
    assert await ledger.fills_missing() == []
    assert await ledger.publish(last)
    assert await ledger.fills_missing() == [OrderRef("XBT/ZAR", "7")]
    assert await ledger.open_orders() == []
    assert await ledger.publish_complete(last._replace(fills=number(1, 2, 3)))
    assert await ledger.publish_complete(last._replace(fills=number(1, 2, 3, 4, 5)))
    assert await ledger.fills_missing() == []
    assert [
        (e.status, e.fills_complete, [t.trade_id for t in e.trades or ()])
        for e in (await statuses(redis))[1:]
    ] == [
        ("canceled", False, ["1", "2"]),
        ("canceled", False, ["3"]),
        ("canceled", None, ["4", "5"]),
    ]


async def test_fills_are_asked_for_a_day_long(redis: Redis) -> None:
    """Then the venue will never show them."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    seconds, _ = await redis.time()
    key = f"{NAME}:state:fills_missing"
    for member, age in (("XBT/ZAR 7", 24 * 3600 + 60), ("XBT/ZAR 8", 24 * 3600 - 60)):
        await redis.zadd(key, {member: (seconds - age) * 1000})
    assert await ledger.fills_missing() == [OrderRef("XBT/ZAR", "8")]


async def test_an_orders_record_lives_as_long_as_the_order(redis: Redis) -> None:
    """And a week longer; so does what was published of it, and under which id."""
    ledger, week = Ledger(redis, NAME, "luno", 1000), 7 * 24 * 3600
    await redis.set(order_key(NAME, "order-1"), dump(ANSWERED))
    kept = [order_key(NAME, "order-1"), f"{NAME}:state:told_as:order-1"]
    kept.append(f"{NAME}:state:told:XBT/ZAR:7")
    await ledger.publish(report(filled=1))
    assert [await redis.ttl(key) for key in kept] == [-1, -1, -1]
    await ledger.publish(report(filled=1, status="canceled", client_order_id="of the cancel"))
    assert all([week - 60 < await redis.ttl(key) <= week for key in kept])


async def test_an_order_that_ended_is_kept_until_it_is_answered_too(redis: Redis) -> None:
    """However long the connector is away: its fills would be published again."""
    ledger, week = Ledger(redis, NAME, "luno", 1000), 7 * 24 * 3600
    await redis.set(order_key(NAME, "order-1"), dump(ASKED))
    kept = [order_key(NAME, "order-1"), f"{NAME}:state:told_as:order-1"]
    kept.append(f"{NAME}:state:told:XBT/ZAR:7")
    await ledger.publish(report(filled=1, status="canceled"))
    assert [await redis.ttl(key) for key in kept] == [-1, -1, -1]
    entry = CommandEntry("place_order", ASKED.entry_id, b"", redelivered=False)
    await RedisJournal(redis, NAME, 10).close(ANSWERED, entry)
    assert all([week - 60 < await redis.ttl(key) <= week for key in kept])


@pytest.mark.parametrize(("later", "ours"), [(1000, True), (1001, False)])
async def test_an_order_with_the_id_of_an_accepted_one_and_made_later_is_another(
    redis: Redis, later: int, ours: bool
) -> None:
    """The venue was reset before anything of the accepted one was published."""
    made = ASKED.timestamp
    answer = accepted(ASKED, VenueOrder("7", "order-1", "0"), NOW)
    entry = CommandEntry("place_order", ASKED.entry_id, b"", redelivered=False)
    await RedisJournal(redis, NAME, 10).close(ASKED.closed(answer, created=made), entry)
    ledger = Ledger(redis, NAME, "luno", 1000)
    await ledger.publish(report(client_order_id="another", created=made + later))
    (event,) = await statuses(redis)
    assert event.client_order_id == ("order-1" if ours else "another")
    assert event.external is not ours


async def test_a_different_order_with_our_client_id_does_not_change_our_record(
    redis: Redis,
) -> None:
    """Under our client order id, of another symbol, side or quantity."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    await redis.set(order_key(NAME, "order-1"), dump(ASKED))
    await ledger.publish(report(status="canceled", symbol="ETH/ZAR"))
    others: list[dict[str, Any]] = [{"side": "sell"}, {"quantity": Decimal(11)}]
    for number, other in enumerate(others):
        await ledger.publish(report(status="canceled", order_id=str(number), **other))
    assert [e.external for e in await statuses(redis)] == [True, True, True]
    assert await redis.ttl(order_key(NAME, "order-1")) == -1


async def test_an_order_of_another_symbol_with_our_client_id_is_not_ours_when_it_is_lost(
    redis: Redis,
) -> None:
    """Its end says nothing about ours, whose record lives on."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    key = order_key(NAME, "order-1")
    await redis.set(key, dump(ASKED))
    await ledger.publish(report(symbol="ETH/ZAR"))
    await ledger.end(OrderRef("ETH/ZAR", "7"), LOST, NOW)
    assert [(e.status, e.external) for e in await statuses(redis)] == [
        ("open", True),
        ("expired", True),
    ]
    assert await redis.ttl(key) == -1


@pytest.mark.parametrize(("later", "external"), [(0, False), (3_600_000, True)])
async def test_an_order_that_was_made_long_after_ours_was_sent_is_not_ours(
    redis: Redis, later: int, external: bool
) -> None:
    """Somebody used the id again, for the same terms: the venue no longer took ours by then."""
    await redis.set(order_key(NAME, "order-1"), dump(ASKED))
    await Ledger(redis, NAME, "luno", 1000).publish(report(created=ASKED.timestamp + later))
    assert [event.external for event in await statuses(redis)] == [external]


async def test_a_lost_order_gets_one_last_status(redis: Redis) -> None:
    """Once, whoever finds out; and if it is there after all, it is open again."""
    ledger, order = Ledger(redis, NAME, "luno", 1000), OrderRef("XBT/ZAR", "7")
    await redis.set(order_key(NAME, "order-1"), dump(ANSWERED))
    await ledger.publish(report(filled=2))
    await asyncio.gather(*(ledger.end(order, LOST, NOW) for _ in range(4)))
    assert await redis.ttl(order_key(NAME, "order-1")) > 0
    assert await ledger.open_orders() == []
    await ledger.publish(report(filled=2))
    assert [order_id for order_id, _ in await ledger.open_orders()] == ["7"]
    assert await redis.ttl(order_key(NAME, "order-1")) == -1
    assert [
        (e.status, e.venue_status, e.filled_quantity, e.external) for e in await statuses(redis)
    ] == [
        ("partially_filled", None, 2.0, False),
        ("expired", "LOST", 2.0, False),
        ("partially_filled", None, 2.0, False),
    ]


async def test_an_accepted_order_that_never_showed_gets_a_last_status(redis: Redis) -> None:
    """With what its command asked for."""
    taken = ASKED
    closed = taken.closed(accepted(taken, VenueOrder("7", "order-1", "0"), NOW))
    entry = CommandEntry("place_order", taken.entry_id, b"", redelivered=False)
    await RedisJournal(redis, NAME, 10).close(closed, entry)
    ledger = Ledger(redis, NAME, "luno", 1000)
    await ledger.end(OrderRef("XBT/ZAR", "7"), LOST, NOW)
    (event,) = await statuses(redis)
    assert (event.client_order_id, event.status, event.external) == ("order-1", "expired", False)
    assert (event.filled_quantity, event.remaining_quantity) == (0.0, 10.0)
    assert set(await ledger.accepted()) == set()
    await ledger.end(OrderRef("XBT/ZAR", "9"), LOST, NOW)  # of which nothing is known
    assert len(await statuses(redis)) == 1


async def test_an_order_that_ended_before_all_that_is_kept_comes_without_fills(
    redis: Redis,
) -> None:
    """They were published then; an order of yesterday comes with them."""
    ledger = Ledger(redis, NAME, "luno", 1000)
    seconds, _ = await redis.time()
    for order_id, days in (("7", 8), ("8", 1)):
        at = (seconds - days * 24 * 3600) * 1000
        one = report(filled=3, status="canceled", order_id=order_id, milliseconds=at)
        assert await ledger.publish(one, again=True)
        assert await ledger.publish(one, again=True)
    assert [
        (e.order_id, e.filled_quantity, len(e.trades or ())) for e in await statuses(redis)
    ] == [
        ("7", 3.0, 0),
        ("7", 3.0, 0),
        ("8", 3.0, 3),
        ("8", 3.0, 0),
    ]


async def test_an_open_order_without_a_record_is_removed_without_an_event(
    ledger: Ledger, redis: Redis
) -> None:
    """Once the venue shows nothing of it either."""
    client: Any = redis
    await client.sadd(open_key(NAME), "XBT/ZAR 7")
    await ledger.end(OrderRef("XBT/ZAR", "7"), LOST, NOW)
    assert await client.scard(open_key(NAME)) == 0
    assert await statuses(redis) == []


async def test_an_order_is_found_by_its_client_id_on_its_own_symbol_only(ledger: Ledger) -> None:
    """The same id on two symbols is two orders."""
    await ledger.publish(report())
    assert await ledger.published_as("XBT/ZAR", "order-1") == OrderRef("XBT/ZAR", "7")
    assert await ledger.published_as("ETH/ZAR", "order-1") is None


async def test_what_the_venue_never_had_is_let_go(ledger: Ledger) -> None:
    """Neither asked for nor listed any more."""
    await ledger.publish(report())
    await ledger.end(OrderRef("XBT/ZAR", "7"), LOST, NOW)
    assert await ledger.open_orders() == []


async def test_the_mark_is_kept(ledger: Ledger) -> None:
    """Up to where trades were compared."""
    assert await ledger.trades_cursor() is None
    await ledger.set_trades_cursor("12")
    assert await ledger.trades_cursor() == "12"
