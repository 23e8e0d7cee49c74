"""Binance's signed requests: signatures over the sent bytes, sessions of the WebSocket API."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from services.exchange_simulator.service import Simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.integration.exchange_simulator.venue_clients import (
    KEY,
    LIMIT,
    Venues,
    now_ms,
    one_symbol_each,
    sign,
)


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Settings that start quickly."""
    return one_symbol_each()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client with the key."""
    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": KEY}) as session:
        yield session


async def send(
    http: aiohttp.ClientSession, simulator: Simulator, method: str, query: str, body: str
) -> tuple[int, Any]:
    """Send exactly these bytes."""
    url = URL(f"{simulator.http_url}/api/v3/order?{query}", encoded=True)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with http.request(method, url, data=body, headers=form) as response:
        return response.status, await response.json()


async def test_query_and_body_are_signed_one_after_the_other(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """Without an "&" between them, as the venue documents it."""
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
    body = f"quantity=0.01&price=60000&timestamp={now_ms()}"
    signed = f"{body}&signature={sign(query + body)}"
    assert (await send(http, simulator, "POST", query, signed))[0] == 200
    wrong = f"{body}&signature={sign(f'{query}&{body}')}"
    status, said = await send(http, simulator, "POST", query, wrong)
    assert (status, said["code"]) == (400, -1022)


async def test_the_signature_covers_the_encoded_text(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """A signature over the decoded text is wrong; with the right one the answer is -1100."""
    tail = f"symbol=BTCUSDT&timestamp={now_ms()}"
    encoded, decoded = f"newClientOrderId=a%2Fb&{tail}", f"newClientOrderId=a/b&{tail}"
    order = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000"
    for payload, code in ((encoded + order, -1100), (decoded + order, -1022)):
        body = f"{encoded + order}&signature={sign(payload)}"
        assert (await send(http, simulator, "POST", "", body))[1]["code"] == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [("symbol=BTCUSDT", -1102), ("symbol=BTCUSDT&timestamp=1", -1021)],
)
async def test_a_signed_request_requires_a_current_timestamp(
    simulator: Simulator, http: aiohttp.ClientSession, payload: str, code: int
) -> None:
    """It also requires a signature."""
    query = f"{payload}&signature={sign(payload)}"
    assert (await send(http, simulator, "GET", query, ""))[1]["code"] == code
    status, said = await send(http, simulator, "GET", payload, "")
    assert (status, said["code"]) == (400, -1102)
    assert "'signature'" in said["msg"]


async def test_orders_have_no_weight_and_are_counted(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """The headers of a new order have the count; a refused one has weight 1 and no count."""
    venues = Venues(simulator, http)
    await venues.place("binance", "one")
    payload = "&".join(f"{k}={v}" for k, v in LIMIT.items()) + f"&timestamp={now_ms()}"
    url = f"{simulator.http_url}/api/v3/order?{payload}&signature="
    used: list[int] = []
    counted: list[str | None] = []
    for signature in (sign(payload), "0" * 64):
        async with http.post(url + signature) as response:
            used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))
            counted.append(response.headers.get("X-MBX-ORDER-COUNT-10S"))
    assert (used, counted) == ([0, 1], ["2", None])


class Session:
    """A connection of the WebSocket API."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._events: list[Any] = []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The response to a signed request."""
        params |= {"apiKey": KEY, "timestamp": now_ms()}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return await self.say(method, **params, signature=sign(payload))

    async def say(self, method: str, **params: Any) -> dict[str, Any]:
        """The response to an unmodified request; events before it are kept."""
        await self._ws.send_json({"id": method, "method": method, "params": params})
        while True:
            message: dict[str, Any] = await self._ws.receive_json(timeout=10)
            if "event" not in message:
                return message
            self._events.append(message)

    async def event(self) -> dict[str, Any]:
        """The next event."""
        if self._events:
            return self._events.pop(0)  # type: ignore[no-any-return]
        return await self._ws.receive_json(timeout=10)  # type: ignore[no-any-return]


@pytest.fixture
async def session(simulator: Simulator, http: aiohttp.ClientSession) -> AsyncIterator[Session]:
    """A new connection."""
    async with http.ws_connect(f"{simulator.ws_url}/ws-api/v3") as ws:
        yield Session(ws)


SUBSCRIBE = "userDataStream.subscribe.signature"


async def test_a_connection_has_one_subscription_at_a_time(session: Session) -> None:
    """Ids count up; the end of a subscription is an event."""
    assert (await session.say("session.subscriptions"))["result"] == []
    assert (await session.ask(SUBSCRIBE))["result"] == {"subscriptionId": 0}
    listed = await session.say("session.subscriptions")
    assert listed["result"] == [{"subscriptionId": 0}]
    assert (await session.ask(SUBSCRIBE))["error"]["code"] == -2035
    wrong = await session.say("userDataStream.unsubscribe", subscriptionId=7)
    assert wrong["error"]["code"] == -2036
    ended = await session.say("userDataStream.unsubscribe")
    assert (ended["status"], ended["result"]) == (200, {})
    event = await session.event()
    assert (event["subscriptionId"], event["event"]["e"]) == (0, "eventStreamTerminated")
    again = await session.say("userDataStream.unsubscribe")
    assert again["error"]["code"] == -2036
    assert (await session.ask(SUBSCRIBE))["result"] == {"subscriptionId": 1}


async def test_events_are_sent_to_every_subscription_only(
    simulator: Simulator, http: aiohttp.ClientSession, session: Session
) -> None:
    """Events of all orders; a connection without a subscription receives only its answers."""
    await session.ask(SUBSCRIBE)
    async with http.ws_connect(f"{simulator.ws_url}/ws-api/v3") as ws:
        placed = await Session(ws).ask("order.place", **LIMIT, newClientOrderId="elsewhere")
        assert placed["result"]["clientOrderId"] == "elsewhere"
        event = (await session.event())["event"]
        assert (event["c"], event["x"]) == ("elsewhere", "NEW")
        assert (await Session(ws).say("ping"))["result"] == {}


async def test_the_websocket_api_checks_signatures_and_windows(session: Session) -> None:
    """A wrong signature, a wrong key, no key, a request that is too old."""
    params = {"apiKey": KEY, "timestamp": now_ms(), "signature": "0" * 64}
    for changes, status, code in (
        ({}, 400, -1022),
        ({"apiKey": "another"}, 401, -2015),
        ({"apiKey": ""}, 401, -2014),
        ({"signature": ""}, 400, -1102),
    ):
        for method in (SUBSCRIBE, "account.status"):
            refused = await session.say(method, **params | changes)
            assert (refused["status"], refused["error"]["code"]) == (status, code)
    old = {"apiKey": KEY, "timestamp": now_ms() - 2000, "recvWindow": 1000}
    payload = "&".join(f"{name}={old[name]}" for name in sorted(old))
    late = await session.say(SUBSCRIBE, **old, signature=sign(payload))
    assert late["error"]["code"] == -1021


async def test_the_websocket_api_answers_account_queries(session: Session) -> None:
    """As REST does; each answer has weights and limits."""
    placed = await session.ask("order.place", **LIMIT, newClientOrderId="one")
    assert placed["rateLimits"][0]["count"] == 2  # the weight of the connection; the order has none
    one = {"symbol": "BTCUSDT", "origClientOrderId": "one"}
    found = (await session.ask("order.status", **one))["result"]
    assert (await session.ask("openOrders.status"))["result"] == [found]
    assert (await session.ask("allOrders", symbol="BTCUSDT"))["result"] == [found]
    assert (await session.ask("myTrades", symbol="BTCUSDT"))["result"] == []
    assert (await session.ask("order.test", **LIMIT))["result"] == {}
    assert (await session.ask("account.rateLimits.orders"))["result"][0]["count"] == 1
    canceled = (await session.ask("openOrders.cancelAll", symbol="BTCUSDT"))["result"]
    assert [order["origClientOrderId"] for order in canceled] == ["one"]
    assert (await session.ask("order.cancel", **one))["error"]["code"] == -2011
    assert (await session.ask("session.logon"))["error"]["code"] == -1020


async def test_flags_are_signed_in_their_json_form(session: Session) -> None:
    """`true`, not `True`."""
    params: dict[str, Any] = {"apiKey": KEY, "timestamp": now_ms(), "omitZeroBalances": True}
    payload = "&".join(f"{name}={json.dumps(params[name])}" for name in sorted(params))
    signed = params | {"signature": sign(payload.replace('"', ""))}
    answer = await session.say("account.status", **signed)
    assert answer["status"] == 200
