"""The life of an order with the unmodified python-binance."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException

from services.exchange_simulator.service import Simulator
from tests.support.eventually import eventually_async

QUIET = 10.0  # the longest wait for an event, in seconds


def client_type(simulator: Simulator) -> Any:
    """The SDK's client, changed only in its URLs."""
    urls = {
        "API_URL": f"{simulator.http_url}/api",
        "MARGIN_API_URL": f"{simulator.http_url}/sapi",
        "WS_API_URL": f"{simulator.ws_url}/ws-api/v3",
    }
    return type("LocalClient", (AsyncClient,), urls)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with the simulator's key."""
    client = await client_type(simulator).create("simulator-key", "simulator-secret")
    yield client
    # Its close waits up to ten seconds for the next frame, so the test sends one.
    closing = asyncio.ensure_future(client.close_connection())
    notice = {"venue": "binance", "endpoint": "user_stream", "action": "server_shutdown"}
    async with aiohttp.ClientSession() as http:

        async def closed() -> bool:
            async with http.post(f"{simulator.http_url}/simulator/sessions", json=notice):
                return bool(closing.done())

        await eventually_async(closed)
    await closing


async def balances(client: Any) -> dict[str, tuple[Decimal, Decimal]]:
    """Free and locked by asset."""
    account = await client.get_account()
    return {b["asset"]: (Decimal(b["free"]), Decimal(b["locked"])) for b in account["balances"]}


async def best(client: Any) -> tuple[Decimal, Decimal]:
    """The best bid and ask."""
    ticker = await client.get_orderbook_ticker(symbol="BTCUSDT")
    return Decimal(ticker["bidPrice"]), Decimal(ticker["askPrice"])


async def test_a_limit_order_rests_is_queried_and_is_cancelled(client: Any) -> None:
    """It is listed, and its hold is released by the cancel."""
    before = await balances(client)
    placed = await client.create_order(
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.5",
        price="60000.00",
        newClientOrderId="rests",
    )
    assert (placed["status"], placed["fills"]) == ("NEW", [])
    found = await client.get_order(symbol="BTCUSDT", origClientOrderId="rests")
    assert (found["orderId"], found["status"]) == (placed["orderId"], "NEW")
    assert await client.get_open_orders(symbol="BTCUSDT") == [found]
    assert (await balances(client))["USDT"][1] == 30_000
    canceled = await client.cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
    assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", "rests")
    assert await client.get_open_orders() == []
    assert await balances(client) == before
    with pytest.raises(BinanceAPIException) as again:
        await client.cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
    assert again.value.code == -2011


async def test_a_market_order_fills_at_the_prices_of_the_book(client: Any) -> None:
    """Fills, trades, balances and the trade history agree to the last digit."""
    before = await balances(client)
    order = await client.create_order(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.5", newClientOrderId="market"
    )
    assert (order["status"], order["executedQty"]) == ("FILLED", "0.50000000")
    fills = order["fills"]
    paid = sum(Decimal(f["price"]) * Decimal(f["qty"]) for f in fills)
    fees = sum(Decimal(f["commission"]) for f in fills)
    assert Decimal(order["cummulativeQuoteQty"]) == paid
    trades = await client.get_my_trades(symbol="BTCUSDT", orderId=order["orderId"])
    assert [(t["id"], t["price"], t["qty"], t["commission"]) for t in trades] == [
        (f["tradeId"], f["price"], f["qty"], f["commission"]) for f in fills
    ]
    after = await balances(client)
    assert after["USDT"][0] == before["USDT"][0] - paid
    assert after["BTC"][0] == before["BTC"][0] + Decimal("0.5") - fees
    public = await client.get_recent_trades(symbol="BTCUSDT", limit=1000)
    assert {f["tradeId"] for f in fills} <= {trade["id"] for trade in public}


async def test_the_random_traders_fill_a_resting_order(client: Any) -> None:
    """The best bid is filled step by step, as maker."""
    bid, ask = await best(client)
    price = bid + Decimal("0.01") if ask - bid > Decimal("0.01") else bid
    order = await client.create_order(
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT_MAKER",
        quantity="0.05",
        price=str(price),
        newClientOrderId="maker",
    )

    async def filled() -> bool:
        found = await client.get_order(symbol="BTCUSDT", orderId=order["orderId"])
        return bool(found["status"] == "FILLED")

    await eventually_async(filled)
    trades = await client.get_my_trades(symbol="BTCUSDT", orderId=order["orderId"])
    assert all(trade["isMaker"] for trade in trades)
    assert sum(Decimal(trade["qty"]) for trade in trades) == Decimal("0.05")


async def test_the_user_socket_reports_the_whole_life_of_an_order(client: Any) -> None:
    """NEW, a partial fill, CANCELED, each with its balances."""
    _, ask = await best(client)
    quantity = "8"  # more than the quantity near the best ask
    async with BinanceSocketManager(client).user_socket() as socket:
        placed = await client.create_order(
            symbol="BTCUSDT",
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity=quantity,
            price=str(ask),
            newClientOrderId="life",
        )
        assert placed["status"] == "PARTIALLY_FILLED"
        await client.cancel_order(
            symbol="BTCUSDT", origClientOrderId="life", newClientOrderId="life-over"
        )
        reports, last = [], ""
        while last != "CANCELED":
            event = await asyncio.wait_for(socket.recv(), QUIET)
            if event["e"] == "executionReport":
                reports.append(event)
                last = event["X"]
    assert [report["x"] for report in reports][:2] == ["NEW", "TRADE"]
    assert reports[1]["X"] == "PARTIALLY_FILLED"
    assert (reports[-1]["c"], reports[-1]["C"]) == ("life-over", "life")
    assert {report["i"] for report in reports} == {placed["orderId"]}


async def test_orders_over_the_websocket_api(client: Any) -> None:
    """Place, query, list, cancel, and the account."""
    placed = await client.ws_create_order(
        symbol="BTCUSDT",
        side="SELL",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.1",
        price="70000.00",
        newClientOrderId="ws",
    )
    assert placed["status"] == "NEW"
    found = await client.ws_get_order(symbol="BTCUSDT", origClientOrderId="ws")
    assert found["orderId"] == placed["orderId"]
    assert await client.ws_get_open_orders(symbol="BTCUSDT") == [found]
    account = await client.ws_get_account()
    assert tuple(b["locked"] for b in account["balances"] if b["asset"] == "BTC") == ("0.10000000",)
    canceled = await client.ws_cancel_order(symbol="BTCUSDT", origClientOrderId="ws")
    assert canceled["status"] == "CANCELED"


async def test_refusals_have_the_venues_codes(client: Any, simulator: Simulator) -> None:
    """A duplicate, a filter, a balance, an unknown order, a wrong key, a wrong secret."""
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "60000.00",
        "newClientOrderId": "twice",
    }
    await client.create_order(**order)
    for changes, code in (
        ({}, -2010),
        ({"newClientOrderId": "other", "price": "60000.005"}, -1013),
        ({"newClientOrderId": "other", "quantity": "140"}, -2010),
        ({"newClientOrderId": "not/allowed"}, -1022),  # signed unencoded, sent encoded
    ):
        with pytest.raises(BinanceAPIException) as refused:
            await client.create_order(**order | changes)
        assert refused.value.code == code
    with pytest.raises(BinanceAPIException) as unknown:
        await client.get_order(symbol="BTCUSDT", origClientOrderId="never")
    assert (unknown.value.status_code, unknown.value.code) == (400, -2013)
    for key, secret, code in (
        ("simulator-key", "wrong", -1022),
        ("another-key", "simulator-secret", -2015),
    ):
        stranger = await client_type(simulator).create(key, secret)
        with pytest.raises(BinanceAPIException) as refused:
            await stranger.get_account()
        assert refused.value.code == code
        await stranger.close_connection()


async def test_a_request_with_a_wrong_clock_is_refused(client: Any) -> None:
    """With a timestamp too old, and too far ahead."""
    for offset in (-10_001, 1500):
        client.timestamp_offset = offset
        with pytest.raises(BinanceAPIException) as refused:
            await client.get_account()
        assert refused.value.code == -1021


async def test_the_other_account_calls(client: Any) -> None:
    """Permissions, order counts, a test order, cancel all, all orders."""
    permissions = await client.get_account_api_permissions()
    assert permissions["enableReading"]
    assert permissions["enableSpotAndMarginTrading"]
    assert not permissions["enableWithdrawals"]
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "60000.00",
    }
    assert await client.create_test_order(**order) == {}
    for name in ("one", "two"):
        await client.create_order(**order, newClientOrderId=name)
    assert [limit["count"] for limit in await client.get_current_order_count()] == [2, 2]
    canceled = await client.cancel_all_open_orders(symbol="BTCUSDT")
    assert [order["origClientOrderId"] for order in canceled] == ["one", "two"]
    every = await client.get_all_orders(symbol="BTCUSDT")
    assert [order["status"] for order in every] == ["CANCELED", "CANCELED"]
