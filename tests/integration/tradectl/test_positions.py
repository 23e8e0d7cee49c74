"""What is held, by what connectors keep of it."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services.tradectl.account import Account
from services.tradectl.positions import PositionLedger
from services.tradectl.reading import Follower
from tests.integration.tradectl.hand import play_connector, tradectl

pytestmark = pytest.mark.timeout(240)


async def test_only_what_is_asked_for_is_shown(redis_server: RedisServer, redis: Redis) -> None:
    """By exchange and symbol, in either spelling; what is held no more on request."""
    positions: Any = {"BTC/USDT": '{"quantity":"1"}', "ETH/USDT": '{"cash":"-0.1"}'}
    client: Any = redis
    await client.hset("binance_connector:state:positions", mapping=positions)
    await play_connector(redis)
    await play_connector(redis, "luno")
    for words, wanted in (
        ((), ["BTC/USDT"]),
        (("--all",), ["BTC/USDT", "ETH/USDT"]),
        (("--symbol", "btcusdt"), ["BTC/USDT"]),
        (("--symbol", "ETH/USDT"), []),
        (("--exchange", "luno"), []),
    ):
        found = await tradectl(redis_server.url, "positions", *words, "--json")
        assert [row["symbol"] for row in found.json] == wanted, words
    elsewhere = await tradectl(redis_server.url, "positions", "--exchange", "kraken")
    assert (elsewhere.code, elsewhere.out) == (1, "")


async def test_an_invalid_position_is_named(redis_server: RedisServer, redis: Redis) -> None:
    """Its key and its symbol, in one line."""
    client: Any = redis
    await client.hset("binance_connector:state:positions", "BTC/USDT", '{"quantity":"lots"}')
    await play_connector(redis)
    found = await tradectl(redis_server.url, "positions")
    assert (found.code, found.out) == (1, "")
    assert "binance_connector:state:positions BTC/USDT: " in found.err
    assert len(found.err.splitlines()) == 1


async def test_a_market_is_valued_at_the_middle_of_its_newest_quote(
    redis_server: RedisServer, redis: Redis
) -> None:
    """The book before the ticker; with neither at the last fill's price."""
    client: Any = redis
    position = '{"quantity":"2","cash":"-20","price":"9"}'
    await client.hset("binance_connector:state:positions", "BTC/USDT", position)
    await play_connector(redis)

    async def price() -> tuple[float, float]:
        (row,) = (await tradectl(redis_server.url, "positions", "--json")).json
        return row["price"], row["value"]

    assert await price() == (9, 18)
    await client.xadd("binance:BTCUSDT:ticker", {"data": '{"bid_price":9.5,"ask_price":9.7}'})
    assert await price() == (9.6, 19.2)
    book = '{"bids":[{"price":10.1,"quantity":1}],"asks":[{"price":10.2,"quantity":1}]}'
    await client.xadd("binance:BTCUSDT:orderbook", {"data": book})
    assert await price() == (10.15, 20.3)
    await client.xadd("binance:BTCUSDT:orderbook", {"data": '{"bids":[],"asks":[]}'})
    assert await price() == (9.6, 19.2)


async def told_of(redis: Redis, number: int, filled: str, price: str, **more: str) -> None:
    """A connector tells that an order was filled."""
    status = {"order_id": f"o{number}", "symbol": "BTC/USDT", "side": "buy", "status": "filled"}
    numbers = f'"filled_quantity":{filled},"average_price":{price},"fee":{{"USDT":0.1}}'
    client: Any = redis
    data = f"{{{json.dumps({**status, **more})[1:-1]},{numbers}}}"
    await client.xadd("binance_connector:events:order_status", {"data": data})


async def test_what_was_read_of_a_stream_is_not_read_again(
    redis_server: RedisServer, redis: Redis
) -> None:
    """A watch costs what is new: what is gone from the stream meanwhile is still known."""
    client: Any = redis
    await play_connector(redis)
    ledger, account, follower = PositionLedger(), Account(), Follower()
    stream = "binance_connector:events:order_status"
    for number, price, held, average in ((1, "100", "1", 100), (2, "110", "2", 105)):
        await told_of(redis, number, "1", price)
        value = f'{{"quantity":"{held}","price":"120"}}'
        await client.hset("binance_connector:state:positions", "BTC/USDT", value)
        (found,) = await ledger.held(redis, None, None)
        assert found.average == average
        orders = await account.orders(redis, "binance_connector")
        assert [order.order_id for order in orders] == [f"o{n}" for n in range(1, number + 1)]
        new = [entry.fields["order_id"] async for entry in follower.new(redis, stream)]
        assert new == [f"o{number}"]
    await client.xtrim(stream, maxlen=0, approximate=False)
    (found,) = await ledger.held(redis, None, None)
    assert found.average == 105
    assert len(await account.orders(redis, "binance_connector")) == 2


async def test_what_the_stream_has_not_kept_is_not_guessed(
    redis_server: RedisServer, redis: Redis
) -> None:
    """No average, no profit that stands on one, and no fees; the profit is known all the same."""
    client: Any = redis
    await play_connector(redis)
    value = '{"quantity":"2","cash":"-210","price":"120"}'
    await client.hset("binance_connector:state:positions", "BTC/USDT", value)
    for number, price in ((1, "100"), (2, "110")):
        await told_of(redis, number, "1", price)
    await client.xtrim("binance_connector:events:order_status", maxlen=1, approximate=False)
    (row,) = (await tradectl(redis_server.url, "positions", "--json")).json
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {"average_price", "realised", "unrealised", "fees", "profit_today"}
    assert (row["quantity"], row["value"], row["profit"]) == (2, 240, 30)
    shown = await tradectl(redis_server.url, "positions", COLUMNS="80")
    assert shown.out.split()[-6:] == ["BTC/USDT", "2", "-", "120", "240", "-"]


async def test_on_a_redis_without_a_connector_nothing_is_said_to_be_held(
    redis_server: RedisServer,
) -> None:
    """An empty table would read as "no positions"."""
    for command in ("positions", "pnl"):
        found = await tradectl(redis_server.url, command)
        assert (found.code, found.out) == (1, ""), found
        assert "no connector was ever on the Redis at " in found.err
