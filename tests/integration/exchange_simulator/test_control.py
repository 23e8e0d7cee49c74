"""The control API without faults: prices, clocks, the ledger."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from services.exchange_simulator.service import Simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.integration.exchange_simulator.venue_clients import Venues, one_symbol_each


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Settings that start quickly."""
    return one_symbol_each()


@pytest.fixture
async def venues(simulator: Simulator) -> AsyncIterator[Venues]:
    """Both venues."""
    async with aiohttp.ClientSession() as http:
        yield Venues(simulator, http)


async def test_a_price_move_fills_an_order_on_its_way(venues: Venues) -> None:
    """The market is at the new price at once, and the order was filled as maker."""
    await venues.place("luno", "on-the-way")
    await venues.control("POST", "price", {"symbol": "XBT/ZAR", "price": "1250000"})
    url = f"{venues.simulator.http_url}/api/1/ticker?pair=XBTZAR"
    async with venues.http.get(url) as response:
        ticker = await response.json()
    assert abs(Decimal(ticker["bid"]) / 1_250_000 - 1) < Decimal("0.01")
    order = (await venues.ledger("luno"))["orders"]["on-the-way"]
    assert (order["state"], order["filled_quantity"]) == ("filled", "0.01000000")
    assert {fill["price"] for fill in order["fills"]} == {"1300000.00000000"}


@pytest.mark.parametrize(
    ("path", "order", "says"),
    [
        ("price", {"symbol": "DOGE/USDT", "price": "1"}, "expected one of BTC/USDT"),
        ("price", {"symbol": "BTC/USDT", "price": "1e5"}, "not a decimal number"),
        ("price", {"symbol": "BTC/USDT", "price": "1.001"}, "at most 2"),
        ("price", {"symbol": "BTC/USDT", "price": "0"}, "expected 0.01000000 to 1000000.00000000"),
        ("delisting", {"symbol": "DOGE/USDT"}, "no venue lists it"),
        ("status", {"symbol": "DOGE/USDT", "status": "halted"}, "no venue lists it"),
        ("status", {"symbol": "XBT/ZAR", "status": "shut"}, "status"),
        ("clock", {"venue": "binance"}, "offset_ms"),
        ("clock", {"venue": "binance", "offset_ms": 10**9}, "less than or equal to 86400000"),
        ("sessions", {"venue": "binance", "endpoint": "place", "action": "cut"}, "endpoint"),
    ],
)
async def test_an_invalid_command_is_refused(
    venues: Venues, path: str, order: dict[str, Any], says: str
) -> None:
    """With 400 and the reason."""
    url = f"{venues.simulator.http_url}/simulator/{path}"
    async with venues.http.post(url, json=order) as response:
        assert response.status == 400
        assert says in (await response.json())["error"]


async def test_a_delisted_symbol_is_unknown_to_its_venue(venues: Venues) -> None:
    """Its open orders were cancelled before; Luno still finds them by their ids."""
    for venue, symbol in (("binance", "BTC/USDT"), ("luno", "XBT/ZAR")):
        await venues.place(venue, "resting")
        await venues.control("POST", "delisting", {"symbol": symbol})
        order = (await venues.ledger(venue))["orders"]["resting"]
        assert order["state"] == "canceled"
    for path in ("order", "openOrders", "allOrders"):
        query = {"origClientOrderId": "resting"} if path == "order" else {}
        status, said = await venues.binance("GET", path, symbol="BTCUSDT", **query)
        assert (status, said["code"]) == (400, -1121)
    root = venues.simulator.http_url
    async with venues.http.get(f"{root}/api/v3/exchangeInfo") as response:
        assert (await response.json())["symbols"] == []
    async with venues.http.get(f"{root}/api/exchange/1/markets") as response:
        assert (await response.json())["markets"] == []
    status, said = await venues.luno("GET", "exchange/2/listorders", pair="XBTZAR")
    assert (status, said["error_code"]) == (400, "ErrInvalidMarketPair")
    status, said = await venues.luno("GET", "exchange/3/order", client_order_id="resting")
    assert (status, said["status"]) == (200, "COMPLETE")


async def test_the_ledger_agrees_with_the_venues(venues: Venues) -> None:
    """In orders, fills and balances, to the last digit."""
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.3"}
    _, order = await venues.binance("POST", "order", **market, newClientOrderId="m")
    ledger = await venues.ledger("binance")
    said = ledger["orders"]["m"]
    assert (said["order_id"], said["filled_quote"]) == (
        str(order["orderId"]),
        order["cummulativeQuoteQty"],
    )
    assert [fill["trade_id"] for fill in said["fills"]] == [
        str(fill["tradeId"]) for fill in order["fills"]
    ]
    _, account = await venues.binance("GET", "account")
    assert ledger["balances"] == {
        b["asset"]: {"free": b["free"], "locked": b["locked"]} for b in account["balances"]
    }
    await venues.place("luno", "l")
    _, balances = await venues.luno("GET", "1/balance")
    for balance in balances["balance"]:
        known = (await venues.ledger("luno"))["balances"][balance["asset"]]
        assert known["locked"] == balance["reserved"]
        assert Decimal(known["free"]) == Decimal(balance["balance"]) - Decimal(balance["reserved"])


@pytest.mark.parametrize(
    ("status", "ticker", "market", "binance", "refusal"),
    [
        ("post_only", "POSTONLY", "POST_ONLY", "HALT", "ErrPostOnlyMode"),
        ("halted", "DISABLED", "SUSPENDED", "HALT", "ErrMarketUnavailable"),
        ("active", "ACTIVE", "ACTIVE", "TRADING", None),
    ],
)
async def test_a_market_can_be_halted_post_only_and_active(
    venues: Venues, status: str, ticker: str, market: str, binance: str, refusal: str | None
) -> None:
    """Each call has its own spelling of the status; other orders are refused."""
    for symbol in ("XBT/ZAR", "BTC/USDT"):
        await venues.control("POST", "status", {"symbol": symbol, "status": status})
    root = venues.simulator.http_url

    async def get(path: str) -> Any:
        async with venues.http.get(f"{root}{path}") as response:
            return await response.json()

    assert (await get("/api/1/tickers?pair=XBTZAR"))["tickers"][0]["status"] == ticker
    markets = (await get("/api/exchange/1/markets?pair=XBTZAR"))["markets"]
    assert markets[0]["trading_status"] == market
    assert (await get("/api/v3/exchangeInfo?symbol=BTCUSDT"))["symbols"][0]["status"] == binance
    assert venues.simulator.luno["XBTZAR"].snapshot()["status"] == ticker
    _, placed = await venues.place("luno", "limit")
    assert placed.get("error_code") == refusal
    code, placed = await venues.place("binance", "limit")
    refused = (400, {"code": -2010, "msg": "Market is closed."})
    assert ((code, placed) == refused) == (status != "active")
