"""What was told of orders, on a real server: each change once."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import OrderStatusUpdateEvent
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.answers import accepted
from services._connector_kit.orders.bookkeeping import Fill, Report, Status
from services._connector_kit.orders.counts import OrderCounts
from services._connector_kit.orders.keys import OrderRef, order_key
from services._connector_kit.orders.ledger import Ledger, Trace
from services._connector_kit.orders.ports import Entry, VenueOrder
from services._connector_kit.orders.record import dump
from services._connector_kit.orders.redis_journal import RedisJournal
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.fault_proxy import FaultProxy
from tests.support.metrics import numbers
from tests.support.orders import record

NAME = "luno_connector"
NOW = 1_700_000_000_000


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
) -> Report:
    """An order for 10 at 100, of which so much is filled in fills of 1."""
    fills = tuple(
        Fill(str(i), NOW, Decimal(100), Decimal(1), "ZAR", Decimal("0.1")) for i in range(filled)
    )
    amounts = {
        "quantity": Decimal(10),
        "filled": Decimal(filled),
        "quote_filled": Decimal(filled) * 100,
    }
    return Report(
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


async def test_each_change_is_told_once_by_whoever_comes_first(
    redis: Redis, redis_server: RedisServer
) -> None:
    """Two instances with connections of their own tell the same story, over and over."""
    story = [report(filled=filled) for filled in range(10)] + [report(filled=9, status="canceled")]

    async def tell() -> None:
        async with open_redis(redis_server.url, "instance") as client:
            mine = Ledger(client, NAME, "luno", 1000)
            for one in story:
                await mine.tell(one)

    await asyncio.gather(*(tell() for _ in range(4)))
    events = await statuses(redis)
    told = [trade.trade_id for event in events for trade in event.trades or ()]
    assert sorted(str(trade_id) for trade_id in told) == [str(i) for i in range(9)]
    assert [e.filled_quantity for e in events] == sorted(e.filled_quantity for e in events)
    assert [event.status for event in events].count("canceled") == 1
    assert events[-1].status == "canceled"


@pytest.mark.parametrize("lost", ["cut_replies_after", "cut_requests_after"])
async def test_whatever_is_lost_on_the_way_it_is_told_once(
    redis: Redis, proxy: FaultProxy, lost: str
) -> None:
    """The connection is cut at every few bytes in turn; telling again is safe."""
    for number, after in enumerate(range(0, 1200, 13)):
        async with open_redis(proxy.url, "through_the_proxy") as through:
            mine = Ledger(through, NAME, "luno", 1000)
            await mine.mark()  # connected: what is cut is the telling
            setattr(proxy, lost, after)
            one = report(filled=1)._replace(order_id=str(number))
            try:
                await mine.tell(one)
            except TransientError:
                await mine.tell(one)
            setattr(proxy, lost, None)
    assert proxy.cuts > 5
    told = [event.order_id for event in await statuses(redis)]
    assert sorted(told) == sorted(set(told))


async def test_open_orders_are_kept_and_closed_ones_let_go(ledger: Ledger, redis: Redis) -> None:
    """What is kept of a closed one lives for a week."""
    assert await ledger.tell(report())
    assert not await ledger.tell(report())
    ((order_id, told),) = await ledger.open_orders()
    assert (order_id, told.symbol, told.filled) == ("7", "XBT/ZAR", Decimal(0))
    assert await redis.ttl(f"{NAME}:state:told:XBT/ZAR:7") == -1
    assert await ledger.tell(report(filled=10, status="filled"))
    assert await ledger.open_orders() == []
    assert 7 * 24 * 3600 - 60 < await redis.ttl(f"{NAME}:state:told:XBT/ZAR:7") <= 7 * 24 * 3600


async def test_open_orders_and_fills_count_as_they_are_told(redis: Redis) -> None:
    """A fill by its own time, and where the venue gives it none only one that closes the order."""
    counts = OrderCounts(lambda: NOW + 250)
    counting = Ledger(redis, NAME, "luno", 1000, counts)
    await counting.tell(report(filled=2))
    await counting.tell(report(filled=2))  # nothing new
    await counting.tell(report(order_id="8", client_order_id="order-2"))
    found = numbers(counts.metrics())
    assert found["orders_open", "XBT/ZAR"] == 2
    assert (found["fill_seconds_count",], found["fill_seconds_sum",]) == (1, 0.25)
    without_times: dict[str, Any] = {"fee": {}, "fills": (), "order_id": "8"}
    await counting.tell(report(filled=2, **without_times))
    assert numbers(counts.metrics())["fill_seconds_count",] == 1
    await counting.tell(report(filled=10, status="filled", **without_times))
    found = numbers(counts.metrics())
    assert found["fill_seconds_count",] == 2
    assert found["orders_open", "XBT/ZAR"] == 1


async def test_a_run_that_follows_knows_which_orders_are_open(ledger: Ledger, redis: Redis) -> None:
    """From the first comparison on."""
    await ledger.tell(report())
    counts = OrderCounts()
    await Ledger(redis, NAME, "luno", 1000, counts).open_orders()
    assert numbers(counts.metrics())["orders_open", "XBT/ZAR"] == 1


async def test_an_order_of_ours_is_not_external(ledger: Ledger, redis: Redis) -> None:
    """Also under the client id that a cancel gave it; one placed elsewhere is."""
    await redis.set(order_key(NAME, "order-1"), dump(record()))
    await ledger.tell(report())
    await ledger.tell(report(status="canceled", client_order_id="of the cancel"))
    await ledger.tell(report(client_order_id="elsewhere")._replace(order_id="8"))
    await ledger.tell(report(client_order_id=None)._replace(order_id="9"))
    assert [(e.client_order_id, e.external) for e in await statuses(redis)] == [
        ("order-1", False),
        ("order-1", False),
        ("elsewhere", True),
        (None, True),
    ]


async def test_an_accepted_order_is_known_before_anything_was_told(
    ledger: Ledger, redis: Redis
) -> None:
    """By the id that its command gave it, though it was cancelled meanwhile by somebody else."""
    taken = record()
    closed = taken.closed(accepted(taken, VenueOrder("7", "order-1", "0"), NOW))
    entry = Entry("place_order", taken.entry_id, b"", redelivered=False)
    await RedisJournal(redis, NAME, 10).close(closed, entry)
    assert await ledger.accepted() == {OrderRef("BTC/USDT", "7")}
    cancel = report(status="canceled", client_order_id="of the cancel", symbol="BTC/USDT")
    await ledger.tell(cancel)
    (event,) = await statuses(redis)
    assert (event.client_order_id, event.external) == ("order-1", False)
    assert await ledger.accepted() == set()


async def test_our_record_says_how_much_a_market_order_asked_for(
    ledger: Ledger, redis: Redis
) -> None:
    """Where the venue doesn't."""
    await redis.set(order_key(NAME, "order-1"), dump(record(sent_quantity="4")))
    await ledger.tell(report(filled=1, quantity=Decimal(0)))
    await ledger.tell(report(filled=4, quantity=Decimal(0)))
    assert [(e.status, e.remaining_quantity) for e in await statuses(redis)] == [
        ("partially_filled", 3.0),
        ("filled", 0.0),
    ]


async def test_equal_order_ids_on_two_symbols_are_two_orders(redis: Redis) -> None:
    """Binance numbers the orders of each symbol by themselves."""
    counts = OrderCounts()
    ledger = Ledger(redis, NAME, "luno", 1000, counts)
    other: dict[str, Any] = {"symbol": "ETH/ZAR", "client_order_id": "eth"}
    await ledger.tell(report(filled=10, status="filled"))
    await ledger.tell(report(**other))
    assert [(t.symbol, i) for i, t in await ledger.open_orders()] == [("ETH/ZAR", "7")]
    assert numbers(counts.metrics())["orders_open", "ETH/ZAR"] == 1
    traces = [Trace(s, "7", "0", Decimal(0)) for s in ("XBT/ZAR", "ETH/ZAR")]
    assert await ledger.untold(traces) == traces[1:]
    await ledger.tell(report(filled=1, **other))
    assert await ledger.untold(traces) == []
    await ledger.forget(OrderRef("XBT/ZAR", "7"))
    assert len(await ledger.open_orders()) == 1
    assert [
        (e.symbol, e.client_order_id, e.status, e.filled_quantity, len(e.trades or ()))
        for e in await statuses(redis)
    ] == [
        ("XBT/ZAR", "order-1", "filled", 10.0, 10),
        ("ETH/ZAR", "eth", "open", 0.0, 0),
        ("ETH/ZAR", "eth", "partially_filled", 1.0, 1),
    ]


# What the first release wrote, which kept all of an order by its id alone.
FIRST_TOLD = (
    '{"client_order_id":"order-1","symbol":"XBT/ZAR","status":"%s","quantity":"10","filled":"2",'
    '"quote_filled":"200","fee":{"ZAR":"0.2"},"trade_ids":["0","1"]}'
)


async def test_what_the_first_release_kept_of_an_order_is_carried_over(redis: Redis) -> None:
    """Nothing is published twice; the order of another symbol is none of it."""
    await redis.set(f"{NAME}:state:told:7", FIRST_TOLD % "partially_filled")
    await redis.set(f"{NAME}:state:told_as:order-1", "7")
    await redis.sadd(f"{NAME}:state:open_orders", "7")
    journal, counts = RedisJournal(redis, NAME, 10), OrderCounts()
    ledger = Ledger(redis, NAME, "luno", 1000, counts)
    assert await journal.told("order-1") == VenueOrder(
        "7", "order-1", "2", "XBT/ZAR", quantity="10"
    )
    assert [(t.symbol, i) for i, t in await ledger.open_orders()] == [("XBT/ZAR", "7")]
    assert numbers(counts.metrics())["orders_open", "XBT/ZAR"] == 1
    assert await ledger.untold([Trace("XBT/ZAR", "7", "1", Decimal(2))]) == []
    assert not await ledger.tell(report(filled=2, status="partially_filled"))
    await ledger.tell(report(symbol="ETH/ZAR", client_order_id="eth"))
    await ledger.tell(report(filled=3))
    await ledger.tell(report(filled=3, status="canceled"))
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
    assert await journal.told("order-1") == VenueOrder(
        "7", "order-1", "3", "XBT/ZAR", quantity="10"
    )


async def test_a_closed_order_of_the_first_release_is_not_published_again(redis: Redis) -> None:
    """Though it is asked for once more, as one that was accepted and not told yet."""
    await redis.set(f"{NAME}:state:told:7", FIRST_TOLD % "canceled", ex=7 * 24 * 3600)
    noted = '{"symbol":"XBT/ZAR","client_order_id":"order-1"}'
    await redis.hset(f"{NAME}:state:accepted_orders", "7", noted)
    ledger = Ledger(redis, NAME, "luno", 1000)
    assert await ledger.accepted() == {OrderRef("XBT/ZAR", "7")}
    assert not await ledger.tell(report(filled=2, status="canceled"))
    assert await ledger.accepted() == set()
    assert await statuses(redis) == []


async def test_what_the_first_release_accepted_keeps_its_client_order_id(redis: Redis) -> None:
    """Though Binance shows the order under a cancel's."""
    noted = '{"symbol":"XBT/ZAR","client_order_id":"order-1"}'
    await redis.hset(f"{NAME}:state:accepted_orders", "7", noted)
    ledger = Ledger(redis, NAME, "luno", 1000)
    await ledger.tell(report(symbol="ETH/ZAR", client_order_id="eth"))
    await ledger.tell(report(status="canceled", client_order_id="of the cancel"))
    assert [e.client_order_id for e in await statuses(redis)] == ["eth", "order-1"]
    assert await ledger.accepted() == set()


async def test_what_the_venue_never_had_is_let_go(ledger: Ledger) -> None:
    """Neither asked for nor listed any more."""
    await ledger.tell(report())
    await ledger.forget(OrderRef("XBT/ZAR", "7"))
    assert await ledger.open_orders() == []


async def test_the_mark_is_kept(ledger: Ledger) -> None:
    """Up to where trades were compared."""
    assert await ledger.mark() is None
    await ledger.set_mark("12")
    assert await ledger.mark() == "12"
