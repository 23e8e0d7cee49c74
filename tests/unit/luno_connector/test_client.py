"""Luno's answers of every sort, over real HTTP, as the rest of the connector sees them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services.luno_connector import client as luno_client
from services.luno_connector.client import Luno, open_luno
from services.luno_connector.orders import EmptyNotFoundError
from services.luno_connector.settings import LunoSettings
from services.luno_connector.translate import TickerRow
from tests.support.ports import quiet_port
from tests.support.venues.canned_http import CannedServer, canned_server

TICKERS = (
    b'{"tickers":[{"pair":"XBTZAR","timestamp":1790127197639,"bid":"99.00","ask":"101.00",'
    b'"last_trade":"100.00","rolling_24_hour_volume":"12.5","status":"ACTIVE"}]}'
)


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    """Luno's REST as the tests want it."""
    async with canned_server() as canned:
        yield canned


@pytest.fixture
async def luno(server: CannedServer) -> AsyncIterator[Luno]:
    """The real client, at that server."""
    async with open_luno(LunoSettings.model_construct(luno_rest_url=server.url)) as client:
        yield client


async def test_an_answer_is_translated(server: CannedServer, luno: Luno) -> None:
    """The happy path, and what went over the wire for it."""
    server.answers(200, TICKERS)
    (row,) = await luno.tickers(["XBTZAR"])
    assert row == TickerRow("XBTZAR", 1790127197639, 99.0, 101.0, 100.0, 12.5, "trading")
    assert server.requests == ["/api/1/tickers?pair=XBTZAR"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":"no","error_code":"ErrMarketUnavailable"}', RejectedError),
        (409, b'{"error":"no","error_code":"ErrDuplicateClientOrderID"}', RejectedError),
        (400, b'{"error":"no","error_code":"ErrApiKeyRevoked"}', FeedStoppedError),
        (403, b'{"error":"no","error_code":"ErrInsufficientPerms"}', FeedStoppedError),
        (400, b'{"error":"no","error_code":"ErrInternal"}', TransientError),
        (401, b"", FeedStoppedError),
        (401, b'{"error":"no","error_code":"ErrUnauthorised"}', FeedStoppedError),
        (403, b"<html>WAF</html>", TransientError),
        (404, b"", EmptyNotFoundError),
        (500, b'{"message":"boom"}', TransientError),
        (500, b'{"error":"no","error_code":"ErrInvalidMarketPair"}', TransientError),
        (502, b"<html>bad gateway</html>", TransientError),
        (503, b"", TransientError),
        (200, b'{"message":"boom"}', TransientError),
        (200, b"", TransientError),
        (200, b"<html>a captive portal</html>", TransientError),
        (200, b'{"tickers":', TransientError),
        (200, b"[]", TransientError),
        (200, b"null", TransientError),
        (200, b'"tickers"', TransientError),
        (200, b'{"tickers":[{"pair":"XBTZAR"}]}', TransientError),
        (200, b'{"tickers":[7]}', TransientError),
        (200, TICKERS.replace(b"1790127197639", b"Infinity"), TransientError),
    ],
)
async def test_every_other_answer_is_sorted_by_what_is_done_about_it(
    server: CannedServer, luno: Luno, status: int, body: bytes, error: type[Exception]
) -> None:
    """Nothing but the kit's errors comes out, and each says where it comes from."""
    server.answers(status, body)
    with pytest.raises(error, match="Luno") as caught:
        await luno.tickers(["XBTZAR"])
    assert type(caught.value) is error
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, luno_client.USUAL_BAN),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "soon"}, luno_client.USUAL_BAN),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
async def test_too_many_requests_pause_the_budget(
    server: CannedServer,
    luno: Luno,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    seconds: float,
) -> None:
    """For as long as Luno says, or for our own time where it says nothing."""
    paused: list[float] = []
    monkeypatch.setattr(luno.limits.requests, "pause", paused.append)
    server.answers(429, b'{"error":"no","error_code":"ErrTooManyRequests"}', **headers)
    with pytest.raises(RateLimitedError) as caught:
        await luno.tickers(["XBTZAR"])
    assert caught.value.retry_after == seconds
    assert paused == [seconds]


async def test_silence_ends_in_a_timeout(
    server: CannedServer, luno: Luno, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread may still wait; whoever asked doesn't."""
    monkeypatch.setattr(luno_client, "CALL_TIMEOUT", 0.2)
    server.hang = True
    with pytest.raises(TransientError, match=r"no answer from Luno within 0\.2 s"):
        await luno.tickers(["XBTZAR"])


@pytest.mark.slow
async def test_the_sdk_itself_waits_no_longer_than_a_stop_may(
    server: CannedServer, luno: Luno
) -> None:
    """Its threads can't be cancelled, so its own time-outs end them."""
    server.hang = True
    started = asyncio.get_running_loop().time()
    with pytest.raises(TransientError, match=r"no answer from Luno: .* doesn't answer in time"):
        await luno.tickers(["XBTZAR"])
    assert asyncio.get_running_loop().time() - started < 4.5


async def test_a_connection_closed_without_an_answer_is_transient(
    server: CannedServer, luno: Luno
) -> None:
    """As is one that can't be made."""
    server.abort = True
    with pytest.raises(TransientError, match="no answer from Luno: ConnectionError"):
        await luno.tickers(["XBTZAR"])
    nowhere = LunoSettings.model_construct(luno_rest_url=f"http://127.0.0.1:{quiet_port()}")
    async with open_luno(nowhere) as nobody:
        with pytest.raises(TransientError, match="no answer from Luno"):
            await nobody.tickers(["XBTZAR"])


async def test_an_exchange_on_this_machine_is_reached_without_a_proxy(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment names."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{quiet_port()}")
    server.answers(200, TICKERS)
    async with open_luno(LunoSettings.model_construct(luno_rest_url=server.url)) as client:
        assert len(await client.tickers(["XBTZAR"])) == 1


async def test_no_order_waits_for_requests_that_hang(luno: Luno) -> None:
    """Between the look at the halt switch and the POST there is no queue."""
    over = threading.Event()
    hanging = [asyncio.create_task(luno.call(over.wait)) for _ in range(luno_client.THREADS + 4)]
    orders = [luno.send_once(partial(dict, order_id=str(n))) for n in range(64)]
    try:
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*orders)
    finally:
        over.set()
    assert [answer["order_id"] for answer in answers] == [str(n) for n in range(64)]
    await asyncio.gather(*hanging, return_exceptions=True)
