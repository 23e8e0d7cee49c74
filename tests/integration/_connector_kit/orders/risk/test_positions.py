"""What is held, on a real server: booked with what is published of our orders, each once."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import LOST, Fill, OrderStatusReport
from services._connector_kit.orders.execution.record import dump
from services._connector_kit.orders.keys import OrderRef, order_key, positions_key
from services._connector_kit.orders.risk.positions import DayRoll, read_positions
from services._local.redis_server import RedisServer
from services._runtime.position import Position, day_of
from services._runtime.redis_client import open_redis
from services._runtime.redis_transaction import at_once
from tests.support.network.fault_proxy import FaultProxy
from tests.support.orders.commands import command, record

NAME = "binance_connector"
NOW = 1_700_000_000_000
KEY = positions_key(NAME)
SYMBOL = "BTC/USDT"


def report(filled: int = 0, order_id: str = "7", **more: Any) -> OrderStatusReport:
    """A buy of 10 at 100, of which so much is filled in fills of 1, with fees in both assets."""
    fills = tuple(
        Fill(str(i), NOW, Decimal(100), Decimal(1), *fee)
        for i, fee in enumerate(
            [("USDT", Decimal("0.1")), ("BTC", Decimal("0.001"))] * 5,
        )
    )
    amounts = {"quantity": Decimal(10), "filled": Decimal(filled)}
    return OrderStatusReport(
        **{
            "order_id": order_id,
            "client_order_id": f"order-{order_id}",
            "symbol": SYMBOL,
            "side": "buy",
            "status": "open",
            "quote_filled": Decimal(filled) * 100,
            "milliseconds": NOW,
            "fills": fills[:filled],
            **amounts,
            **more,
        }
    )


async def ours(redis: Redis, *order_ids: str) -> None:
    """These orders have a record."""
    for order_id in order_ids:
        name = f"order-{order_id}"
        order = command(client_order_id=name, quantity=10)
        await redis.set(order_key(NAME, name), dump(record(order)))


async def positions(redis: Redis) -> dict[str, Position]:
    """What is held."""
    (found,) = await at_once(redis, ("HGETALL", KEY))
    return read_positions(found)


async def today(redis: Any) -> str:
    """By Redis's clock."""
    seconds, _ = await redis.time()
    return day_of(seconds)


def begun(position: Position, day: str) -> Position:
    """As it is once that day has begun."""
    position.roll(day)
    return position


async def test_a_fill_that_several_instances_publish_repeatedly_is_booked_once(
    redis: Redis, redis_server: RedisServer
) -> None:
    """Four instances tell the same story of two orders."""
    await ours(redis, "7", "8")
    story = [
        report(filled=filled, order_id=order_id) for filled in range(10) for order_id in ("7", "8")
    ]
    story.append(report(filled=9, status="canceled"))

    async def publish() -> None:
        async with open_redis(redis_server.url, "instance") as client:
            mine = Ledger(client, NAME, "binance", 1000)
            for one in story:
                await mine.publish(one)

    day = await today(redis)
    await asyncio.gather(*(publish() for _ in range(4)))
    quantity, cash = 18 - 8 * Decimal("0.001"), -1800 - 10 * Decimal("0.1")
    assert await positions(redis) == {SYMBOL: Position(quantity, cash, Decimal(100), day)}


@pytest.mark.parametrize("lost", ["cut_replies_after", "cut_requests_after"])
async def test_whatever_is_lost_on_the_way_it_is_booked_once(
    redis: Redis, proxy: FaultProxy, lost: str
) -> None:
    """The connection is cut at every few bytes in turn; telling again is safe."""
    orders = [str(number) for number in range(60)]
    await ours(redis, *orders)
    for order_id, after in zip(orders, range(0, 1200, 20), strict=True):
        async with open_redis(proxy.url, "through_the_proxy") as through:
            mine = Ledger(through, NAME, "binance", 1000)
            await mine.trades_cursor()  # connected: what is cut is the telling
            setattr(proxy, lost, after)
            one = report(filled=1, order_id=order_id)
            try:
                await mine.publish(one)
            except TransientError:
                await mine.publish(one)
            setattr(proxy, lost, None)
    assert proxy.cuts > 5
    held = (await positions(redis))[SYMBOL]
    assert (held.quantity, held.cash) == (Decimal(60), -6000 - 60 * Decimal("0.1"))


async def test_orders_placed_elsewhere_arent_booked(redis: Redis) -> None:
    """Nor what ends an order without a fill."""
    await ours(redis, "7")
    ledger = Ledger(redis, NAME, "binance", 1000)
    await ledger.publish(report(filled=3, client_order_id="elsewhere"))
    await ledger.publish(report(filled=3, order_id="8", client_order_id=None))
    await ledger.publish(report(order_id="9", client_order_id="order-7"))
    await ledger.end(OrderRef(SYMBOL, "9"), LOST, NOW)
    assert await positions(redis) == {}


async def test_an_order_of_another_life_of_the_venue_is_booked_beside_the_first(
    redis: Redis,
) -> None:
    """The venue gave the id again: what was traded before stays."""
    await ours(redis, "7")
    other = record(command(client_order_id="later", quantity=10), timestamp=NOW + 90_000)
    await redis.set(order_key(NAME, "later"), dump(other))
    ledger = Ledger(redis, NAME, "binance", 1000)
    generations: list[dict[str, Any]] = [{"created": NOW, "version": NOW}]
    generations.append(
        {"created": NOW + 90_000, "version": NOW + 90_000, "client_order_id": "later"}
    )
    for generation in generations:
        await ledger.publish(report(filled=2, **generation))
    held = (await positions(redis))[SYMBOL]
    assert (held.quantity, held.cash) == (4 - 2 * Decimal("0.001"), -400 - 2 * Decimal("0.1"))


async def test_a_day_begins_at_the_markets_price_once_for_all_instances(
    redis: Redis, redis_server: RedisServer
) -> None:
    """One whose book isn't live waits; one that isn't configured has its last price for ever."""
    day = await today(redis)
    before = Position(Decimal(2), Decimal(-200), Decimal(95), "2001-01-01")
    closed = Position(Decimal(0), Decimal(-3), None, "2001-01-01")
    fresh = Position(Decimal(1), Decimal(-100), Decimal(70), day)
    written = {"BTC/USDT": before, "ETH/USDT": before, "XRP/USDT": before}
    written |= {"SOL/USDT": closed, "LTC/USDT": fresh}
    client: Any = redis
    for symbol, position in written.items():
        await client.hset(KEY, symbol, msgspec.json.encode(position))
    configured = written.keys() - {"XRP/USDT"}
    marks = [{"BTC/USDT": Decimal(90), "LTC/USDT": Decimal(60)}, {"BTC/USDT": Decimal(91)}]
    async with open_redis(redis_server.url, "other") as second:
        rolls = [
            DayRoll(each, NAME, prices.get, configured)
            for each, prices in zip((redis, second), marks, strict=True)
        ]
        for roll in rolls:
            await roll.roll()
    found = await positions(redis)
    assert found["BTC/USDT"] == begun(Position(Decimal(2), Decimal(-200), Decimal(90)), day)
    assert found["ETH/USDT"] == before
    assert found["XRP/USDT"] == begun(Position(Decimal(2), Decimal(-200), Decimal(95)), day)
    assert found["SOL/USDT"] == begun(Position(Decimal(0), Decimal(-3), None), day)
    assert found["LTC/USDT"] == fresh
