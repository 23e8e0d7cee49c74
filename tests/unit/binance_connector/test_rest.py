"""What python-binance signs for us is the venue's time, whatever the wall clock says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RateLimitedError, TransientError
from services._connector_kit.instruments import Instrument
from services.binance_connector.client import Binance, open_binance
from services.binance_connector.rest import SignedRest
from services.binance_connector.settings import BinanceSettings
from tests.support.eventually import eventually
from tests.support.venues.listings import listing
from tests.support.venues.raw_http import RawServer, raw_server

BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True)
VENUE_TIME = 1_600_000_000_000


def stands_still() -> int:
    """A steady clock at one moment."""
    return 77


@asynccontextmanager
async def signed_rest(server: RawServer) -> AsyncIterator[tuple[Binance, SignedRest]]:
    """The client and its signed requests, by a clock that was measured and stands still."""
    settings = BinanceSettings.model_construct(
        binance_rest_url=f"{server.url}/api",
        binance_api_key=SecretStr("key"),
        binance_api_secret=SecretStr("secret"),
    )
    clock = VenueClock(stands_still)

    async def fetch() -> int:
        return VENUE_TIME

    await clock.measure(fetch)
    async with open_binance(settings) as binance:
        yield binance, SignedRest(binance, settings, listing(BTC), clock)


REQUESTS: list[Callable[[SignedRest], Awaitable[Any]]] = [
    lambda rest: rest.order(BTC, "order-1"),
    lambda rest: rest.open_orders(),
    lambda rest: rest.trades_since("BTCUSDT", 1),
    lambda rest: rest.cancel("BTCUSDT", order_id="28", client_order_id=None, keep="a"),
    lambda rest: rest.balances(),
    lambda rest: rest.permissions(),
    lambda rest: rest.fees(BTC),
]


@pytest.mark.parametrize("request_of", REQUESTS)
@pytest.mark.parametrize("step", [0.0, 30.0, -30.0, 1e8])
async def test_a_stepped_wall_clock_changes_nothing_that_is_signed(
    monkeypatch: pytest.MonkeyPatch,
    request_of: Callable[[SignedRest], Awaitable[Any]],
    step: float,
) -> None:
    """Every signed request carries the venue's time."""
    wall = time.time()
    async with raw_server() as server, signed_rest(server) as (_, rest):
        monkeypatch.setattr(time, "time", lambda: wall + step)
        with pytest.raises(TransientError):
            await request_of(rest)
        monkeypatch.undo()
    (request,) = server.requests
    assert int(request.params["timestamp"]) == VENUE_TIME


@given(wall=st.floats(0, 4e9))
async def test_to_the_millisecond_at_any_wall_clock(wall: float) -> None:
    """Its fractions are no reason for another time."""
    async with raw_server() as server, signed_rest(server) as (_, rest):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda: wall)
            with pytest.raises(TransientError):
                await rest.order(BTC, "order-1")
    (request,) = server.requests
    assert int(request.params["timestamp"]) == VENUE_TIME


async def test_the_time_is_that_of_the_sending_not_of_the_wait_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that waits for its budget while the wall clock steps is signed after that."""
    wall = time.time()
    async with raw_server() as server, signed_rest(server) as (binance, rest):
        binance.limits.requests.pause(0.2)

        def left() -> float:
            return binance.limits.requests.paused_for

        async def step() -> None:
            await eventually(lambda: 0.0 < left() < 0.15)
            monkeypatch.setattr(time, "time", lambda: wall + 30.0)

        async def ask() -> None:
            with pytest.raises(TransientError):
                await rest.balances()

        await asyncio.gather(ask(), step())
        monkeypatch.undo()
    (request,) = server.requests
    assert int(request.params["timestamp"]) == VENUE_TIME


async def test_what_resolves_an_order_is_not_sent_into_a_ban() -> None:
    """It fails at once, so that `unknown` is said in time; so does the question for the time."""
    async with raw_server() as server, signed_rest(server) as (binance, rest):
        binance.limits.ban(3600.0)
        for ask in (
            lambda: rest.order(BTC, "order-1"),
            lambda: rest.orders_since(BTC, VENUE_TIME),
            rest.milliseconds,
        ):
            with pytest.raises(RateLimitedError, match="bans this address"):
                await ask()
        assert server.requests == []
