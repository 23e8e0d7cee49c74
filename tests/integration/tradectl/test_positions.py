"""What is held, by what connectors keep of it."""

from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
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


async def test_a_position_that_is_no_position_is_named(
    redis_server: RedisServer, redis: Redis
) -> None:
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


async def test_on_a_redis_without_a_connector_nothing_is_said_to_be_held(
    redis_server: RedisServer,
) -> None:
    """An empty table would read as "no positions"."""
    for command in ("positions", "pnl"):
        found = await tradectl(redis_server.url, command)
        assert (found.code, found.out) == (1, ""), found
        assert "no connector was ever on the Redis at " in found.err
