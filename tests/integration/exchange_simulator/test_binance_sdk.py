"""The unmodified python-binance, configured with other URLs only."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException

from services.exchange_simulator.service import Simulator


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client of the SDK; `create` pings and asks for the time."""
    kind: Any = type(
        "LocalClient",
        (AsyncClient,),
        {
            "API_URL": f"{simulator.http_url}/api",
            "WS_API_URL": f"{simulator.ws_url}/ws-api/v3",
        },
    )
    client = await kind.create()
    client.ws_api.TIMEOUT = 1  # how long the SDK waits when it closes an idle socket
    yield client
    await client.close_connection()


@pytest.fixture
def sockets(client: Any, simulator: Simulator) -> Any:
    """The SDK's socket manager."""
    kind = type("LocalSockets", (BinanceSocketManager,), {"STREAM_URL": f"{simulator.ws_url}/"})
    return kind(client, max_queue_size=10_000)


async def test_the_sdk_connects_and_agrees_on_the_time(client: Any, simulator: Simulator) -> None:
    """The offset that `create` measured is close to zero."""
    assert await client.ping() == {}
    assert (await client.get_server_time())["serverTime"] > 1_700_000_000_000
    assert abs(client.timestamp_offset) < 5000


async def test_the_sdk_reads_the_rules_of_all_symbols_and_of_some(client: Any) -> None:
    """The complete exchange info, one symbol, and several symbols."""
    info = await client.get_exchange_info()
    assert {"BTCUSDT", "ETHUSDT"} <= {symbol["symbol"] for symbol in info["symbols"]}
    symbol = await client.get_symbol_info("ETHUSDT")
    assert (symbol["baseAsset"], symbol["quoteAsset"], symbol["status"]) == (
        *("ETH", "USDT"),
        "TRADING",
    )
    some = await client._get("exchangeInfo", data={"symbols": quote(json.dumps(["BTCUSDT"]))})
    assert [symbol["symbol"] for symbol in some["symbols"]] == ["BTCUSDT"]


async def test_the_sdk_reads_book_trades_and_tickers(client: Any) -> None:
    """Every public market data call of the SDK that the simulator supports."""
    book = await client.get_order_book(symbol="BTCUSDT", limit=1000)
    assert len(book["bids"]) > 100
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
    trades = await client.get_recent_trades(symbol="BTCUSDT", limit=5)
    assert [trade["id"] for trade in trades] == list(range(trades[0]["id"], trades[0]["id"] + 5))
    aggregates = await client.get_aggregate_trades(symbol="BTCUSDT", limit=10)
    refill = await client.get_aggregate_trades(symbol="BTCUSDT", fromId=aggregates[3]["a"])
    assert refill[:7] == aggregates[3:]
    assert (await client.get_ticker(symbol="BTCUSDT"))["count"] > 0
    assert Decimal((await client.get_symbol_ticker(symbol="BTCUSDT"))["price"]) > 0
    assert len(await client.get_orderbook_tickers()) == 5
    assert Decimal((await client.get_avg_price(symbol="BTCUSDT"))["price"]) > 0


async def test_errors_have_the_venues_codes(client: Any) -> None:
    """For an unknown symbol, and for an order without a key."""
    with pytest.raises(BinanceAPIException) as unknown:
        await client.get_order_book(symbol="NOPEUSDT")
    assert (unknown.value.status_code, unknown.value.code) == (400, -1121)
    with pytest.raises(BinanceAPIException) as order:
        await client._post("order", False, data={"symbol": "BTCUSDT"})
    assert (order.value.status_code, order.value.code) == (401, -2014)


async def test_the_sdks_sockets_receive_every_kind_of_stream(sockets: Any) -> None:
    """One multiplex socket receives at least one frame of each stream."""
    names = [
        *("btcusdt@aggTrade", "btcusdt@trade", "btcusdt@bookTicker", "btcusdt@ticker"),
        *("btcusdt@miniTicker", "btcusdt@depth", "btcusdt@depth@100ms", "ethusdt@depth5"),
        *("ethusdt@depth10@100ms", "ethusdt@depth20@100ms", "ethusdt@aggTrade"),
    ]
    missing = set(names)
    async with sockets.multiplex_socket(names) as socket:
        while missing:
            message = await socket.recv()
            missing.discard(message["stream"])


async def test_the_sdks_single_sockets_receive_payloads_without_a_wrapper(sockets: Any) -> None:
    """`/ws/<stream>` frames have no wrapper."""
    async with sockets.aggtrade_socket("BTCUSDT") as socket:
        message = await socket.recv()
        assert (message["e"], message["s"]) == ("aggTrade", "BTCUSDT")
    async with sockets.depth_socket("BTCUSDT", depth="5", interval=100) as socket:
        assert len((await socket.recv())["bids"]) == 5


async def test_the_sdks_websocket_api_calls_are_answered(client: Any) -> None:
    """Ping, time and the book over the WebSocket API."""
    assert await client.ws_ping() == {}
    assert (await client.ws_get_time())["serverTime"] > 1_700_000_000_000
    assert len((await client.ws_get_order_book(symbol="BTCUSDT", limit=5))["asks"]) == 5
