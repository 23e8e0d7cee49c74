"""Faults of streams: frames lost, duplicated, reordered, delayed; sockets broken or half open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from services.exchange_simulator.service import Simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.integration.exchange_simulator.venue_clients import Venues, now_ms, one_symbol_each, sign

LUNO_KEY = {"api_key_id": "simulator-key", "api_key_secret": "simulator-secret"}
GONE = (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR)
SILENCE = 0.5  # seconds without a frame that count as silence


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Settings that start quickly."""
    return one_symbol_each()


@pytest.fixture
async def venues(simulator: Simulator) -> AsyncIterator[Venues]:
    """Both venues."""
    async with aiohttp.ClientSession() as http:
        yield Venues(simulator, http)


class Stream:
    """A client of a stream; it finds the order of each event."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, venue: str) -> None:
        self.ws = ws
        self._venue = venue

    async def next_orders(self, count: int) -> list[str]:
        """The client ids of the next *count* events of new orders."""
        names: list[str] = []
        while len(names) < count:
            message = await self.ws.receive_json(timeout=10)
            name = self._new_order(message)
            if name is not None:
                names.append(name)
        return names

    def _new_order(self, message: dict[str, Any]) -> str | None:
        if self._venue == "binance":
            event = message.get("event", {})
            return event["c"] if event.get("x") == "NEW" else None
        update = message.get("order_status_update") or {}
        return update["client_order_id"] if update.get("status") == "AWAITING" else None


@asynccontextmanager
async def user_stream(venues: Venues, venue: str) -> AsyncIterator[Stream]:
    """A session of a venue's user stream."""
    path = "/ws-api/v3" if venue == "binance" else "/api/1/userstream"
    async with venues.http.ws_connect(venues.simulator.ws_url + path) as ws:
        if venue == "binance":
            params: dict[str, Any] = {"apiKey": "simulator-key", "timestamp": now_ms()}
            payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = sign(payload)
            method = "userDataStream.subscribe.signature"
            await ws.send_json({"id": "s", "method": method, "params": params})
            assert (await ws.receive_json(timeout=10))["result"] == {"subscriptionId": 0}
        else:
            await ws.send_json(LUNO_KEY)
        yield Stream(ws, venue)


def kind(message: dict[str, Any]) -> str:
    """The kind of a message, in common names for both venues."""
    event = message.get("event", {})
    if "c" in event:
        return f"{event['x']} {event['c']}"
    update = message.get("order_status_update")
    if update is None:
        return "balances"
    return f"{update['status']} {update['client_order_id']}".replace("AWAITING", "NEW")


async def until_silence(ws: aiohttp.ClientWebSocketResponse) -> list[str]:
    """The messages until the stream is silent."""
    seen: list[str] = []
    with suppress(TimeoutError):
        while True:
            seen.append(str((await ws.receive(timeout=SILENCE)).data))
    return seen


# The text of a new order's event on each venue's user stream.
NEW = {"binance": '"x":"NEW"', "luno": '"status":"AWAITING"'}
BOTH = pytest.mark.parametrize("venue", ["binance", "luno"])


@BOTH
@pytest.mark.parametrize(
    ("action", "seen"),
    [
        ("drop", ["two", "three"]),
        ("duplicate", ["one", "one", "two", "three"]),
        ("delay", ["two", "three", "one"]),
    ],
)
async def test_an_event_is_dropped_duplicated_or_delayed(
    venues: Venues, venue: str, action: str, seen: list[str]
) -> None:
    """The first of three; the others arrive as usual."""
    async with user_stream(venues, venue) as stream:
        # The session must have joined before a fault can apply to its events.
        await venues.place(venue, "zero")
        assert await stream.next_orders(1) == ["zero"]
        how = {"action": action, "contains": NEW[venue], "delay_ms": 500}
        await venues.fault(venue, "user_stream", **how)
        for name in ("one", "two", "three"):
            await venues.place(venue, name)
        assert await stream.next_orders(len(seen)) == seen


@BOTH
async def test_events_are_reordered(venues: Venues, venue: str) -> None:
    """An event arrives directly after its successor."""
    async with user_stream(venues, venue) as stream:
        await venues.place(venue, "zero")
        assert await stream.next_orders(1) == ["zero"]
        await venues.fault(venue, "user_stream", action="reorder", contains=NEW[venue])
        await venues.place(venue, "one")
        kinds: list[str] = []
        while kinds[-1:] != ["NEW one"]:
            kinds.append(kind(await stream.ws.receive_json(timeout=10)))
    # First the remaining messages of order zero.
    assert (
        kinds
        == {
            "binance": ["balances", "balances", "NEW one"],
            "luno": ["PENDING zero", "balances", "PENDING one", "NEW one"],
        }[venue]
    )


@BOTH
@pytest.mark.parametrize("how", ["rule", "at once"])
async def test_a_session_is_disconnected(venues: Venues, venue: str, how: str) -> None:
    """With the next event, or at once; without a close frame."""
    async with user_stream(venues, venue) as stream:
        await venues.place(venue, "one")
        assert await stream.next_orders(1) == ["one"]
        if how == "rule":
            await venues.fault(venue, "user_stream", action="disconnect")
            await venues.place(venue, "two")
        else:
            order = {"venue": venue, "endpoint": "user_stream", "action": "disconnect"}
            assert await venues.control("POST", "sessions", order) == {"sessions": 1}
        while (message := await stream.ws.receive(timeout=10)).type not in GONE:
            pass
        assert stream.ws.close_code in (None, 1006), message


@BOTH
async def test_a_socket_can_be_half_open(venues: Venues, venue: str) -> None:
    """No frame, no pong and no close arrives."""
    async with user_stream(venues, venue) as stream:
        await venues.place(venue, "one")
        assert await stream.next_orders(1) == ["one"]
        order = {"venue": venue, "endpoint": "user_stream", "action": "half_open"}
        assert await venues.control("POST", "sessions", order) == {"sessions": 1}
        await venues.place(venue, "two")
        await stream.ws.ping(b"anybody there?")
        seen = await until_silence(stream.ws)
        assert not any("two" in text or "anybody" in text for text in seen)
        assert not stream.ws.closed
        # A client with a new connection is served.
    async with user_stream(venues, venue) as fresh:
        await venues.place(venue, "three")
        names = await fresh.next_orders(1)
        while "three" not in names:
            names += await fresh.next_orders(1)


async def test_a_gap_in_binances_depth_stream(venues: Venues) -> None:
    """A diff is missing, so the next one is not contiguous."""
    url = f"{venues.simulator.ws_url}/ws/btcusdt@depth@100ms"
    async with venues.http.ws_connect(url) as ws:
        first = await ws.receive_json(timeout=10)
        second = await ws.receive_json(timeout=10)
        assert second["U"] == first["u"] + 1
        await venues.fault("binance", "market_stream", action="drop", contains="depthUpdate")
        last = second
        while True:
            update = await ws.receive_json(timeout=10)
            if update["U"] != last["u"] + 1:
                break
            last = update
        assert update["U"] > last["u"] + 1
        after = await ws.receive_json(timeout=10)
        assert after["U"] == update["u"] + 1


async def test_a_gap_in_lunos_sequence(venues: Venues) -> None:
    """One number is missing; the later ones are contiguous."""
    url = f"{venues.simulator.ws_url}/api/1/stream/XBTZAR"
    async with venues.http.ws_connect(url) as ws:
        await ws.send_json(LUNO_KEY)
        last = int((await ws.receive_json(timeout=10))["sequence"])
        await venues.fault("luno", "market_stream", action="drop")
        holes = 0
        for _ in range(200):
            sequence = int((await ws.receive_json(timeout=10))["sequence"])
            holes += sequence - last - 1
            last = sequence
        assert holes == 1


@BOTH
async def test_a_market_stream_is_silent_while_its_socket_is_alive(
    venues: Venues, venue: str
) -> None:
    """Pongs arrive without data; data arrives again after the rule ends."""
    path = "/ws/btcusdt@depth@100ms" if venue == "binance" else "/api/1/stream/XBTZAR"
    async with venues.http.ws_connect(venues.simulator.ws_url + path, autoping=False) as ws:
        if venue == "luno":
            await ws.send_json(LUNO_KEY)
        await ws.receive(timeout=10)
        await venues.fault(venue, "market_stream", action="drop", count=None)
        await until_silence(ws)
        await ws.ping(b"alive?")
        pong = await ws.receive(timeout=10)
        assert (pong.type, pong.data) == (WSMsgType.PONG, b"alive?")
        await venues.control("DELETE", "faults")
        assert (await ws.receive(timeout=10)).type is WSMsgType.TEXT


async def test_binance_warns_before_it_shuts_down(venues: Venues) -> None:
    """On raw and combined streams and on the WebSocket API; Luno has no such notice."""
    root = venues.simulator.ws_url
    notices = []
    for path in ("/ws/btcusdt@ticker", "/stream?streams=btcusdt@ticker", "/ws-api/v3"):
        endpoint = "user_stream" if path == "/ws-api/v3" else "market_stream"
        async with venues.http.ws_connect(root + path) as ws:
            order = {"venue": "binance", "endpoint": endpoint, "action": "server_shutdown"}
            assert await venues.control("POST", "sessions", order) == {"sessions": 1}
            while "serverShutdown" not in str(message := await ws.receive_json(timeout=10)):
                pass
            notices.append(message)
    raw, combined, ws_api = notices
    assert raw["e"] == "serverShutdown"
    assert (combined["stream"], combined["data"]["e"]) == ("!serverShutdown", "serverShutdown")
    assert list(ws_api) == ["event"]
    async with user_stream(venues, "luno"):
        order = {"venue": "luno", "endpoint": "user_stream", "action": "server_shutdown"}
        assert await venues.control("POST", "sessions", order) == {"sessions": 0}


@BOTH
async def test_a_fill_can_be_lost_on_the_stream_only(venues: Venues, venue: str) -> None:
    """A query of the order still reports it."""
    async with user_stream(venues, venue) as stream:
        await venues.place(venue, "zero")
        assert await stream.next_orders(1) == ["zero"]
        contains = '"x":"TRADE"' if venue == "binance" else '"type":"order_fill"'
        await venues.fault(venue, "user_stream", action="drop", contains=contains, count=None)
        # The price moves down to the order, through it, and back.
        symbol, low, high = (
            ("BTC/USDT", "59000", "64000")
            if venue == "binance"
            else ("XBT/ZAR", "1290000", "1400000")
        )
        await venues.control("POST", "price", {"symbol": symbol, "price": low})
        await venues.control("POST", "price", {"symbol": symbol, "price": high})
        await venues.place(venue, "after")
        events = []
        while "after" not in str(event := await stream.ws.receive_json(timeout=10)):
            events.append(str(event))
        assert not any("TRADE" in event or "order_fill'" in event for event in events)
    _, order = await venues.find(venue, "zero")
    assert order["status"] in ("FILLED", "COMPLETE")
    ledger = (await venues.ledger(venue))["orders"]["zero"]
    assert (ledger["state"], ledger["filled_quantity"]) == ("filled", "0.01000000")
    assert all(fill["maker"] for fill in ledger["fills"])


@BOTH
async def test_an_event_can_arrive_before_the_answer(venues: Venues, venue: str) -> None:
    """The user stream reports the order while its request waits."""
    async with user_stream(venues, venue) as stream:
        await venues.place(venue, "zero")
        assert await stream.next_orders(1) == ["zero"]
        await venues.fault(venue, "place", answer_after_ms=1000)
        placing = asyncio.ensure_future(venues.place(venue, "one"))
        assert await stream.next_orders(1) == ["one"]
        assert not placing.done()
        assert (await placing)[0] == 200


@pytest.mark.parametrize(
    ("venue", "path"),
    [
        ("binance", "/stream?streams=btcusdt@depth"),
        ("binance", "/ws/btcusdt@depth"),
        ("binance", "/ws-api/v3"),
        ("luno", "/api/1/stream/XBTZAR"),
        ("luno", "/api/1/userstream"),
    ],
)
async def test_a_handshake_is_refused_with_a_retry_time(
    venues: Venues, venue: str, path: str
) -> None:
    """Matched by its path; the next one is accepted."""
    refused = {"execute": "never", "answer": "error", "status": 429, "retry_after": 60}
    await venues.fault(venue, "connect", contains="/elsewhere", **refused)
    await venues.fault(venue, "connect", contains=path, **refused)
    url = venues.simulator.ws_url + path
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await venues.http.ws_connect(url)
    assert caught.value.status == 429
    assert caught.value.headers
    assert caught.value.headers["Retry-After"] == "60"
    async with venues.http.ws_connect(url) as ws:
        assert not ws.closed
    faults = (await venues.control("GET", "faults"))["faults"]
    assert [fault["used"] for fault in faults] == [0, 1]


async def test_a_subscription_is_refused_with_the_end_of_the_ban(venues: Venues) -> None:
    """In the format of Binance's WebSocket API."""
    refused = {"execute": "never", "answer": "error", "status": 418, "retry_after": 60}
    await venues.fault("binance", "subscribe", **refused)
    async with venues.http.ws_connect(venues.simulator.ws_url + "/ws-api/v3") as ws:
        method = "userDataStream.subscribe.signature"
        await ws.send_json({"id": "s", "method": method, "params": {}})
        answer = await ws.receive_json(timeout=10)
    assert (answer["status"], answer["error"]["code"]) == (418, -1003)
    data = answer["error"]["data"]
    assert data["retryAfter"] - data["serverTime"] == 60_000
    assert abs(data["serverTime"] - now_ms()) < 10_000
    async with user_stream(venues, "binance"):
        pass
