"""Binance's answers of every sort, over real HTTP, as the rest of the connector sees them."""

from collections.abc import AsyncIterator

import pytest

from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services.binance_connector.client import Binance, depth_weight, open_binance
from services.binance_connector.settings import BinanceSettings
from tests.support.ports import quiet_port
from tests.support.venues.canned_http import CannedServer, canned_server

DEPTH = b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}'


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    """Binance's REST as the tests want it."""
    async with canned_server() as canned:
        yield canned


@pytest.fixture
async def binance(server: CannedServer) -> AsyncIterator[Binance]:
    """The real client, at that server."""
    async with open_binance(at(server.url)) as client:
        yield client


def at(url: str) -> BinanceSettings:
    """Settings of a Binance at *url*."""
    return BinanceSettings.model_construct(binance_rest_url=f"{url}/api")


async def test_an_answer_is_translated(server: CannedServer, binance: Binance) -> None:
    """The happy path, and what went over the wire for it."""
    server.answers(200, DEPTH)
    snapshot = await binance.depth("BTCUSDT", 1000)
    assert snapshot == (160, [(0.0024, 10.0)], [(0.0026, 100.0)])
    assert server.requests == ["/api/v3/depth?limit=1000&symbol=BTCUSDT"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', RejectedError),
        (400, b'{"code":-1003,"msg":"Too many requests."}', TransientError),
        (400, b'{"code":-1008,"msg":"Server is overloaded."}', TransientError),
        (401, b'{"code":-2015,"msg":"Invalid API-key."}', FeedStoppedError),
        (400, b'{"code":-2014,"msg":"API-key format invalid."}', FeedStoppedError),
        (401, b"", TransientError),
        (403, b"<html>WAF</html>", TransientError),
        (404, b"<html>gone</html>", TransientError),
        (404, b"", TransientError),
        (500, b'{"code":-1000,"msg":"Unknown."}', TransientError),
        (500, b'{"message":"boom"}', TransientError),
        (500, b"[]", TransientError),
        (500, b"null", TransientError),
        (502, b"<html>bad gateway</html>", TransientError),
        (503, b"", TransientError),
        (200, b"", TransientError),
        (200, b"<html>a captive portal</html>", TransientError),
        (200, b'{"lastUpdateId":', TransientError),
        (200, b"\xff\xfe{}", TransientError),
        (200, b"[]", TransientError),
        (200, b"null", TransientError),
        (200, b'{"lastUpdateId":1,"bids":[["x","1"]],"asks":[]}', TransientError),
        (200, b'{"lastUpdateId":1,"bids":[["1"]],"asks":[]}', TransientError),
    ],
)
async def test_every_other_answer_is_sorted_by_what_is_done_about_it(
    server: CannedServer, binance: Binance, status: int, body: bytes, error: type[Exception]
) -> None:
    """Nothing but the kit's errors comes out, and each says where it comes from."""
    server.answers(status, body)
    with pytest.raises(error, match="Binance") as caught:
        await binance.depth("BTCUSDT", 100)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 400


async def test_a_rejection_carries_the_venues_code(server: CannedServer, binance: Binance) -> None:
    """And its words."""
    server.answers(400, b'{"code":-1100,"msg":"Illegal characters."}')
    with pytest.raises(RejectedError, match="Illegal characters") as caught:
        await binance.depth("BTCUSDT", 100)
    assert caught.value.code == "-1100"


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", 60.0)]
)
async def test_a_ban_pauses_the_budget_for_as_long_as_the_venue_says(
    server: CannedServer,
    binance: Binance,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    header: str,
    seconds: float,
) -> None:
    """Also where `Retry-After` is a date or rubbish."""
    paused: list[float] = []
    monkeypatch.setattr(binance.limits.requests, "pause", paused.append)
    server.answers(status, b'{"code":-1003,"msg":"Way too many requests."}', Retry_After=header)
    with pytest.raises(RateLimitedError) as caught:
        await binance.depth("BTCUSDT", 100)
    assert caught.value.retry_after == seconds
    assert paused == [seconds]


async def test_a_ban_without_a_time_lasts_a_minute(server: CannedServer, binance: Binance) -> None:
    """And HTML says as much as JSON."""
    server.answers(429, b"<html>slow down</html>")
    with pytest.raises(RateLimitedError) as caught:
        await binance.depth("BTCUSDT", 100)
    assert caught.value.retry_after == 60.0


@pytest.mark.slow
async def test_the_venues_count_of_our_weight_is_believed(
    server: CannedServer, binance: Binance
) -> None:
    """Others behind this address use the same budget; rubbish in the header is ignored."""
    server.answers(200, DEPTH, X_MBX_USED_WEIGHT_1M="5900")
    await binance.depth("BTCUSDT", 100)
    assert binance.limits.requests.left < 105
    server.answers(200, DEPTH, X_MBX_USED_WEIGHT_1M="many")
    await binance.depth("BTCUSDT", 100)


async def test_silence_ends_in_a_timeout(server: CannedServer, binance: Binance) -> None:
    """No request waits for ever."""
    server.hang = True
    binance.sdk.REQUEST_TIMEOUT = 0.2
    with pytest.raises(TransientError, match="no answer from Binance"):
        await binance.depth("BTCUSDT", 100)


async def test_a_connection_closed_without_an_answer_is_transient(
    server: CannedServer, binance: Binance
) -> None:
    """As is one that can't be made."""
    server.abort = True
    with pytest.raises(TransientError, match="no answer from Binance"):
        await binance.depth("BTCUSDT", 100)
    async with open_binance(at(f"http://127.0.0.1:{quiet_port()}")) as nobody:
        with pytest.raises(TransientError, match="no answer from Binance"):
            await nobody.depth("BTCUSDT", 100)


async def test_an_unknown_symbol_brings_the_whole_list(
    server: CannedServer, binance: Binance
) -> None:
    """So that the nearest names can be shown."""
    server.answers(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    with pytest.raises(RejectedError):
        await binance.instruments(["NOPE/USDT"])
    assert [path.partition("?")[2] for path in server.requests] == [
        "symbols=%5B%22NOPEUSDT%22%5D",
        "showPermissionSets=false",
    ]


@pytest.mark.parametrize(
    ("limit", "weight"), [(5, 5), (100, 5), (101, 25), (500, 25), (1000, 50), (5000, 250)]
)
def test_a_depth_snapshot_costs_what_the_venue_charges(limit: int, weight: int) -> None:
    """By its documented table."""
    assert depth_weight(limit) == weight
