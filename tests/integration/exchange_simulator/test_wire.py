"""The documented wire protocols: handshakes, statuses, headers, limits, close frames."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import pytest
from aiohttp import WSMsgType

from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.luno import stream as luno_stream
from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.support.eventually import eventually

KEY = {"api_key_id": "simulator-key", "api_key_secret": "simulator-secret"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_every_market_has_a_book_from_the_start() -> None:
    """By default all symbols of both venues have orders on both sides."""
    async with running_simulator(SimulatorSettings(simulator_port=0)) as simulator:
        assert set(simulator.markets) == {instrument.symbol for instrument in INSTRUMENTS}
        for market in simulator.markets.values():
            assert len(market.engine.bids.top(101)) > 100
            assert len(market.engine.asks.top(101)) > 100


async def test_binance_counts_weight_and_refuses_requests_above_the_limit(
    simulator_settings: SimulatorSettings, http: aiohttp.ClientSession
) -> None:
    """The header sums the documented weights; above 6000 it is 429 with Retry-After."""
    now = 1_790_000_010_000  # 30 s before the next minute
    async with running_simulator(simulator_settings, clock=lambda: now) as simulator:
        root = f"{simulator.http_url}/api/v3"
        used = []
        for path in ("ping", "depth?symbol=BTCUSDT&limit=5000", "depth?symbol=NOPE", "time"):
            async with http.get(f"{root}/{path}") as response:
                used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))
        assert used == [1, 251, 252, 253]
        while used[-1] <= 6000:
            async with http.get(f"{root}/depth?symbol=BTCUSDT&limit=5000") as response:
                used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))
        assert (response.status, response.headers["Retry-After"]) == (429, "30")
        async with http.get(f"{root}/ping") as response:
            assert response.status == 429
            assert (await response.json())["code"] == -1003
        now += 30_000
        async with http.get(f"{root}/ping") as response:
            assert (response.status, response.headers["X-MBX-USED-WEIGHT-1M"]) == (200, "1")


async def test_luno_refuses_the_301st_call_of_a_minute(
    simulator_settings: SimulatorSettings, http: aiohttp.ClientSession
) -> None:
    """With Luno's error; the next minute has a new budget."""
    now = 1_790_000_010_000
    async with running_simulator(simulator_settings, clock=lambda: now) as simulator:
        url = f"{simulator.http_url}/api/1/ticker?pair=XBTZAR"
        statuses = []
        for _ in range(301):
            async with http.get(url) as response:
                statuses.append(response.status)
                answer = await response.json()
        assert statuses == [200] * 300 + [429]
        assert answer == {"error": "too many requests", "error_code": "ErrTooManyRequests"}
        now += 30_000
        async with http.get(url) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/v3/nothing", 404, "404 Not found"),
        ("GET", "/api/v3/klines", 400, "-1020"),
        ("POST", "/api/v3/order/oco", 400, "-1020"),
        ("PUT", "/api/v3/order", 405, "-1020"),
        ("POST", "/api/v3/order", 401, "-2014"),
        ("GET", "/api/v3/account", 401, "-2014"),
        ("POST", "/api/v3/ping", 405, "not supported"),
        ("GET", "/api/v3/depth?symbol=BTCUSDT&symbol=ETHUSDT", 400, "-1101"),
        ("GET", "/stream?streams=btcusdt@kline_1m", 501, "kline_1m"),
        ("GET", "/ws/btcusdt@trade?timeUnit=MICROSECOND", 501, "milliseconds"),
        ("GET", "/api/1/nothing", 404, ""),
        ("GET", "/", 404, ""),
        ("POST", "/api/1/postorder", 401, ""),
        ("GET", "/api/1/balance", 401, ""),
        ("GET", "/api/1/ticker", 400, "ErrMarketUnavailable"),
        ("GET", "/api/1/trades?pair=XBTZAR&since=soon", 400, "ErrInvalidArguments"),
    ],
)
async def test_unsupported_requests_are_refused(
    simulator: Simulator,
    http: aiohttp.ClientSession,
    method: str,
    path: str,
    status: int,
    body: str,
) -> None:
    """With the venue's status and error, never an invented success."""
    async with http.request(method, f"{simulator.http_url}{path}") as response:
        text = await response.text()
    assert response.status == status
    assert body in text if body else text == ""


@pytest.mark.parametrize("scheme", ["Basic !!!", "Basic Og==", "Bearer x", "Basic /w=="])
async def test_luno_accepts_basic_authentication_only(
    simulator: Simulator, http: aiohttp.ClientSession, scheme: str
) -> None:
    """Unreadable, empty, of another scheme, or not text: 401."""
    url = f"{simulator.http_url}/api/1/balance"
    async with http.get(url, headers={"Authorization": scheme}) as response:
        assert response.status == 401


async def test_luno_answers_unsupported_private_calls_with_501(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """With both keys of Luno's error."""
    url = f"{simulator.http_url}/api/exchange/1/candles"
    key = {"Authorization": aiohttp.encode_basic_auth("simulator-key", "simulator-secret")}
    async with http.get(url, headers=key) as response:
        answer = await response.json()
    assert (response.status, answer["error_code"]) == (501, "ErrNotImplemented")


async def test_a_stream_connection_serves_requests_and_frames(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """/stream without streams, then SUBSCRIBE: frames are wrapped; both sides send pings."""
    async with http.ws_connect(f"{simulator.ws_url}/stream", autoping=False) as ws:
        await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        assert await ws.receive_json() == {"result": None, "id": 1}
        assert (await ws.receive_json())["stream"] == "btcusdt@trade"
        await ws.ping(b"7")
        message = await ws.receive()
        while message.type is WSMsgType.TEXT:
            message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"7")


async def test_stream_names_may_be_percent_encoded(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """As some HTTP libraries do with "@" and "/"."""
    url = f"{simulator.ws_url}/stream?streams=btcusdt%40trade%2Fethusdt%40trade"
    missing = {"btcusdt@trade", "ethusdt@trade"}
    async with http.ws_connect(url) as ws:
        while missing:
            missing.discard((await ws.receive_json())["stream"])


async def test_a_client_that_left_has_no_listener(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """Neither venue's feed keeps a closed connection."""
    channel = simulator.binance["BTCUSDT"].channels["trade"]
    feed = simulator.luno["XBTZAR"]
    async with (
        http.ws_connect(f"{simulator.ws_url}/ws/btcusdt@trade") as binance,
        http.ws_connect(f"{simulator.ws_url}/api/1/stream/XBTZAR") as luno,
    ):
        await binance.receive_json()
        await luno.send_json(KEY)
        await luno.receive_json()
        assert (len(channel.listeners), len(feed._listeners)) == (1, 1)
    await eventually(lambda: not channel.listeners and not feed._listeners)


async def test_luno_sends_a_snapshot_then_contiguous_updates(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """After a reconnect the sequence has continued."""
    last = 0
    for _ in range(2):
        async with http.ws_connect(f"{simulator.ws_url}/api/1/stream/XBTZAR") as ws:
            await ws.send_json(KEY)
            await ws.send_str('""')
            snapshot = await ws.receive_json()
            assert snapshot["status"] == "ACTIVE"
            assert int(snapshot["sequence"]) >= last
            last = int(snapshot["sequence"])
            for _ in range(20):
                update = await ws.receive_json()
                assert list(update) == [
                    *("sequence", "trade_updates", "create_update", "delete_update"),
                    *("status_update", "timestamp"),
                ]
                last += 1
                assert update["sequence"] == str(last)


@pytest.mark.parametrize(
    ("pair", "says", "error"),
    [
        ("XBTZAR", "hello", "invalid_credentials"),
        ("XBTZAR", "{}", "invalid_credentials"),
        ("XBTZAR", '{"api_key_id":"simulator-key","api_key_secret":"x"}', "invalid_credentials"),
        (
            "NOPEUSDT",
            '{"api_key_id":"simulator-key","api_key_secret":"simulator-secret"}',
            "invalid_market",
        ),
    ],
)
async def test_luno_refuses_a_bad_first_frame_and_closes(
    simulator: Simulator, http: aiohttp.ClientSession, pair: str, says: str, error: str
) -> None:
    """An error frame, then close 1000; the handshake succeeds even for an unknown pair."""
    async with http.ws_connect(f"{simulator.ws_url}/api/1/stream/{pair}") as ws:
        await ws.send_str(says)
        assert (await ws.receive_json())["error_code"] == error
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1000)


async def test_luno_closes_a_connection_without_credentials(
    simulator_settings: SimulatorSettings,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A silent client receives auth_timeout; keep-alives aren't credentials."""
    hasty = partial(luno_stream.routes, credentials_timeout=0.05)
    monkeypatch.setattr(luno_stream, "routes", hasty)
    async with (
        running_simulator(simulator_settings) as simulator,
        http.ws_connect(f"{simulator.ws_url}/api/1/stream/XBTZAR") as ws,
    ):
        assert await ws.receive_json() == {
            "error_code": "auth_timeout",
            "error": "you took too long to provide credentials",
        }
        assert (await ws.receive()).data == 1000


async def test_luno_accepts_fifty_sessions_at_once(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """The 51st receives an error and is closed; after one leaves, another is accepted."""
    url = f"{simulator.ws_url}/api/1/stream/XBTZAR"
    sessions = [await http.ws_connect(url) for _ in range(50)]
    async with http.ws_connect(url) as one_more:
        assert await one_more.receive_str() == "session limit exceeded"
        assert (await one_more.receive()).data == 1000
    await asyncio.gather(*(ws.close() for ws in sessions))

    async def has_room() -> bool:
        async with http.ws_connect(url) as ws:
            await ws.send_json(KEY)
            return (await ws.receive_str()).startswith("{")

    assert await has_room()


async def test_a_huge_luno_book_is_one_snapshot(http: aiohttp.ClientSession) -> None:
    """A book as large as the live one: more than a megabyte in one frame, then updates."""
    settings = SimulatorSettings(
        simulator_port=0,
        simulator_book_orders=9000,
        simulator_symbols=("XBT/ZAR",),
        simulator_rate=100.0,
    )
    async with (
        running_simulator(settings) as simulator,
        http.ws_connect(f"{simulator.ws_url}/api/1/stream/XBTZAR", max_msg_size=0) as ws,
    ):
        await ws.send_json(KEY)
        snapshot = await ws.receive_str()
        assert len(snapshot) > 1_048_576
        assert (await ws.receive_json())["sequence"]


async def test_clients_are_served_at_full_speed(http: aiohttp.ClientSession) -> None:
    """REST answers, and streams have no gap."""
    settings = SimulatorSettings(
        simulator_port=0, simulator_rate=0, simulator_symbols=("BTC/USDT", "XBT/ZAR")
    )
    async with running_simulator(settings) as simulator:
        async with http.ws_connect(f"{simulator.ws_url}/ws/btcusdt@aggTrade") as ws:
            ids = [(await ws.receive_json())["a"] for _ in range(2000)]
        assert ids == list(range(ids[0], ids[0] + 2000))
        async with http.get(f"{simulator.http_url}/api/v3/ping") as response:
            assert response.status == 200


async def test_a_stop_closes_every_connection_with_1001(
    simulator_settings: SimulatorSettings, http: aiohttp.ClientSession
) -> None:
    """For clients of both venues."""
    async with running_simulator(simulator_settings) as simulator:
        binance = await http.ws_connect(f"{simulator.ws_url}/ws/nopeusdt@trade")
        luno = await http.ws_connect(f"{simulator.ws_url}/api/1/stream/XBTZAR")
    for ws in (binance, luno):
        assert (await ws.receive()).data == 1001
