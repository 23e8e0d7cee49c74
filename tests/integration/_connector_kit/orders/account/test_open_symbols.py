"""Which symbols and orders are known from what is kept in Redis, on a real server."""

from decimal import Decimal

import msgspec
import pytest
from redis.asyncio import Redis

from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.open_symbols import symbols_in_use
from services._connector_kit.orders.account.order_status import PublishedOrder
from services._connector_kit.orders.commands.answers import accepted
from services._connector_kit.orders.execution.record import dump
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._connector_kit.orders.keys import (
    OrderRef,
    first_published_key,
    open_key,
    order_key,
    published_as_key,
    unanswered_key,
)
from services._connector_kit.orders.ports import CommandEntry, VenueOrder
from tests.support.orders.account import order
from tests.support.orders.commands import command, record

NAME, EXCHANGE = "binance_connector", "binance"
NOW = 1_700_000_000_000


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    """An empty one."""
    return Ledger(redis, NAME, EXCHANGE, 1000)


async def test_nothing_is_in_use_on_an_empty_redis(redis: Redis) -> None:
    """Nothing is served besides what is configured."""
    assert await symbols_in_use(redis, EXCHANGE) == set()


async def test_symbols_of_orders_that_are_open_accepted_or_unanswered_are_in_use(
    redis: Redis, ledger: Ledger
) -> None:
    """Those of orders that are over are not."""
    await ledger.publish(order("1", symbol="A/USDT"))
    await ledger.publish(order("2", symbol="B/USDT"))
    await ledger.publish(order("2", "filled", 10, symbol="B/USDT"))
    taken = record(command(client_order_id="c", symbol="C/USDT"))
    entry = CommandEntry("place_order", taken.entry_id, b"", redelivered=False)
    await redis.set(order_key(NAME, "c"), dump(taken))
    placed = VenueOrder("3", "c", "0")
    await RedisJournal(redis, NAME, 1000).close(taken.closed(accepted(taken, placed, NOW)), entry)
    unclear = record(command(client_order_id="d", symbol="D/USDT"))
    await redis.set(order_key(NAME, "d"), dump(unclear))
    await redis.zadd(unanswered_key(NAME), {"d": NOW})
    assert await symbols_in_use(redis, EXCHANGE) == {"A/USDT", "C/USDT", "D/USDT"}


async def test_an_order_is_known_by_the_client_id_that_it_was_published_with(
    ledger: Ledger,
) -> None:
    """Of that symbol; it stays known by it when the venue calls it otherwise."""
    await ledger.publish(order("1", client_order_id="ours"))
    await ledger.publish(order("1", "canceled", client_order_id="auto-1"))
    found = await ledger.published_as("BTC/USDT", "ours")
    assert found == OrderRef("BTC/USDT", "1")
    published = await ledger.published(found)
    assert published is not None
    assert (published.client_order_id, published.status) == ("ours", "canceled")
    assert await ledger.published_as("ETH/USDT", "ours") is None
    assert await ledger.published_as("BTC/USDT", "auto-1") is None
    assert await ledger.published(OrderRef("ETH/USDT", "1")) is None
    assert await ledger.published(OrderRef("BTC/USDT", "")) is None


async def test_the_newest_order_of_a_client_id_is_the_one(ledger: Ledger) -> None:
    """Binance takes the id of a closed order again."""
    await ledger.publish(order("1", "canceled", client_order_id="ours"))
    await ledger.publish(order("2", client_order_id="ours"))
    assert await ledger.published_as("BTC/USDT", "ours") == OrderRef("BTC/USDT", "2")


async def test_orders_that_the_first_release_published_are_known_too(
    redis: Redis, ledger: Ledger
) -> None:
    """It kept them by the order id alone."""
    published = PublishedOrder("ours", "XRP/USDT", "open", Decimal(10), Decimal(0), Decimal(0), {})
    await redis.set(first_published_key(NAME, "9"), msgspec.json.encode(published))
    await redis.set(published_as_key(NAME, "ours"), "9")
    await redis.sadd(open_key(NAME), "9")
    assert await symbols_in_use(redis, EXCHANGE) == {"XRP/USDT"}
    assert await ledger.published_as("XRP/USDT", "ours") == OrderRef("XRP/USDT", "9")
    assert await ledger.published_as("BTC/USDT", "ours") is None
