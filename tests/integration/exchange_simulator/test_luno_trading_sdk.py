"""The life of an order with the unmodified luno-python and a plain user stream client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from luno_python.client import Client
from luno_python.error import APIError

from services.exchange_simulator.service import Simulator

KEY = {"api_key_id": "simulator-key", "api_key_secret": "simulator-secret"}


@pytest.fixture
def client(simulator: Simulator) -> Any:
    """The SDK's client with the simulator's key."""
    client = Client(simulator.http_url, 5, "simulator-key", "simulator-secret")
    client.session.trust_env = False
    return client


@pytest.fixture
async def user_stream(simulator: Simulator) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A session of the user stream."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{simulator.ws_url}/api/1/userstream") as ws,
    ):
        await ws.send_json(KEY)
        yield ws


async def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the blocking SDK in a thread, beside the event loop that serves it."""
    return await asyncio.to_thread(method, *args, **kwargs)


async def zar(client: Any) -> tuple[Decimal, Decimal]:
    """Balance and reserve of ZAR."""
    (found,) = (await call(client.get_balances, assets=["ZAR"]))["balance"]
    return Decimal(found["balance"]), Decimal(found["reserved"])


async def test_a_limit_order_rests_is_queried_and_is_stopped(client: Any) -> None:
    """It is found by both ids, and its reserved amount is released by the stop."""
    before = await zar(client)
    placed = await call(
        *(client.post_limit_order, "XBTZAR", "1300000", "BID", "0.01"),
        client_order_id="rests",
        post_only=True,
        time_in_force="GTC",
    )
    by_name = await call(client.get_order_v3, client_order_id="rests")
    assert by_name == await call(client.get_order_v3, id=placed["order_id"])
    assert by_name == await call(client.get_order_v2, placed["order_id"])
    assert (by_name["status"], by_name["limit_price"]) == ("PENDING", "1300000.00")
    listed = await call(client.list_orders_v2, pair="XBTZAR", closed=False)
    assert listed["orders"] == [by_name]
    assert await zar(client) == (before[0], Decimal(13_000))
    assert await call(client.stop_order, placed["order_id"]) == {"success": True}
    stopped = await call(client.get_order, placed["order_id"])
    assert (stopped["state"], stopped["base"]) == ("COMPLETE", "0.00")
    assert await zar(client) == before
    assert (await call(client.list_orders_v2, closed=True))["orders"][0]["client_order_id"] == (
        "rests"
    )
    with pytest.raises(APIError) as again:
        await call(client.stop_order, placed["order_id"])
    assert again.value.code == "ErrCannotStopUnknownOrNonPendingOrder"


async def test_market_orders_and_their_trades(client: Any) -> None:
    """Orders, trades and balances agree after a buy and a sell."""
    before = await zar(client)
    bought = await call(
        *(client.post_market_order, "XBTZAR", "BUY"), counter_volume="50000", client_order_id="b"
    )
    order = await call(client.get_order_v3, client_order_id="b")
    assert (order["status"], order["type"]) == ("COMPLETE", "MARKET")
    spent = Decimal(order["counter"])
    assert Decimal(49_990) < spent <= 50_000
    assert await zar(client) == (before[0] - spent, Decimal(0))
    await call(client.post_market_order, "XBTZAR", "SELL", base_volume="0.01", client_order_id="s")
    sold = await call(client.get_order_v3, client_order_id="s")
    earned = Decimal(sold["counter"]) - Decimal(sold["fee_counter"])
    assert await zar(client) == (before[0] - spent + earned, Decimal(0))
    trades = (await call(client.list_user_trades, "XBTZAR"))["trades"]
    mine = [trade for trade in trades if trade["order_id"] == bought["order_id"]]
    assert sum(Decimal(trade["counter"]) for trade in mine) == spent
    assert all(trade["is_buy"] == (trade["type"] == "BID") for trade in trades)
    info = await call(client.get_fee_info, "XBTZAR")
    assert Decimal(sold["fee_counter"]) <= Decimal(sold["counter"]) * Decimal(info["taker_fee"])


async def test_the_user_stream_reports_the_whole_life_of_an_order(
    client: Any, user_stream: aiohttp.ClientWebSocketResponse
) -> None:
    """AWAITING, PENDING, a partial fill, COMPLETE after a stop."""
    ask = (await call(client.get_ticker, "XBTZAR"))["ask"].partition(".")[0]
    placed = await call(client.post_limit_order, "XBTZAR", ask, "BID", "12", client_order_id="life")
    await call(client.stop_order, placed["order_id"])
    messages: list[dict[str, Any]] = []
    statuses: list[str] = []
    while "COMPLETE" not in statuses:
        message = await user_stream.receive_json(timeout=10)
        messages.append(message)
        if message["type"] == "order_status":
            assert message["order_status_update"]["order_id"] == placed["order_id"]
            statuses.append(message["order_status_update"]["status"])
    assert statuses == ["AWAITING", "PENDING", "COMPLETE"]
    fills = [m["order_fill_update"] for m in messages if m["type"] == "order_fill"]
    order = await call(client.get_order_v3, client_order_id="life")
    assert Decimal(fills[-1]["base_fill"]) == Decimal(order["base"]) > 0
    assert Decimal(order["base"]) < 12
    accounts = {b["account_id"]: b["asset"] for b in (await call(client.get_balances))["balance"]}
    told = [m["balance_update"]["account_id"] for m in messages if m["type"] == "balance_update"]
    assert {accounts[str(account)] for account in told} == {"XBT", "ZAR"}


async def test_messages_between_sessions_are_sent_to_the_next_session(
    client: Any, simulator: Simulator
) -> None:
    """An order placed after a session ended."""
    async with aiohttp.ClientSession() as http:
        url = f"{simulator.ws_url}/api/1/userstream"
        async with http.ws_connect(url) as ws:
            await ws.send_json(KEY)
            await call(client.post_limit_order, "XBTZAR", "1300000", "BID", "0.01")
            await ws.receive_json(timeout=10)
        order = ("XBTZAR", "1300000", "BID", "0.01")
        await call(client.post_limit_order, *order, client_order_id="meanwhile")
        async with http.ws_connect(url) as ws:
            await ws.send_json(KEY)
            names: list[str] = []
            while "meanwhile" not in names:
                message = await ws.receive_json(timeout=10)
                if message["type"] == "order_status":
                    names.append(message["order_status_update"]["client_order_id"])


async def test_the_user_stream_requires_the_key(simulator: Simulator) -> None:
    """An error frame, then a close."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{simulator.ws_url}/api/1/userstream") as ws,
    ):
        await ws.send_json(KEY | {"api_key_secret": "guessed"})
        assert (await ws.receive_json())["error_code"] == "invalid_credentials"
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_refusals_have_the_venues_codes(client: Any) -> None:
    """A used client id, a missed deadline, nothing to sell; also with parameters in the body."""
    order = ("XBTZAR", "1300000", "BID", "0.01")
    await call(client.post_limit_order, *order, client_order_id="once")
    for changes, code in (
        ({"client_order_id": "once"}, "ErrDuplicateClientOrderID"),
        ({"timestamp": 1, "ttl": 5000}, "ErrDeadlineExceeded"),
        ({"post_only": True, "time_in_force": "FOK"}, "ErrPostOnlyNotAllowed"),
    ):
        with pytest.raises(APIError) as refused:
            await call(client.post_limit_order, *order, **changes)
        assert refused.value.code == code
    with pytest.raises(APIError) as poor:
        await call(client.post_limit_order, "XBTZAR", "1500000", "ASK", "100")
    assert poor.value.code == "ErrInsufficientFunds"


async def test_parameters_may_be_sent_in_a_form(simulator: Simulator) -> None:
    """As other SDKs do."""
    key = {"Authorization": aiohttp.encode_basic_auth("simulator-key", "simulator-secret")}
    form = {"pair": "XBTZAR", "type": "ASK", "volume": "0.01", "price": "1500000"}
    url = f"{simulator.http_url}/api/1/postorder"
    async with (
        aiohttp.ClientSession(headers=key) as http,
        http.post(url, data=form) as response,
    ):
        assert (await response.json())["order_id"].startswith("BX")
