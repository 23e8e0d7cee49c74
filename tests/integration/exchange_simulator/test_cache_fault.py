"""REST requests answered with an earlier response, as by a cache in front of the venue."""

from typing import Any

import aiohttp
import pytest

from services.exchange_simulator.service import Simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.integration.exchange_simulator.venue_clients import Venues, one_symbol_each
from tests.support.eventually import eventually_async

URLS = {
    "binance": "/api/v3/depth?symbol=BTCUSDT&limit=5",
    "luno": "/api/1/orderbook_top?pair=XBTZAR",
}


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Settings that start quickly."""
    return one_symbol_each()


@pytest.mark.parametrize("venue", URLS)
async def test_the_same_request_receives_its_earlier_response(
    simulator: Simulator, venue: str
) -> None:
    """Although the market has changed; after the rule is used up, the current response."""
    async with aiohttp.ClientSession() as http:

        async def book() -> Any:
            async with http.get(simulator.http_url + URLS[venue]) as response:
                assert response.status == 200
                return await response.json()

        first = await book()

        async def moved_on() -> bool:
            return bool(await book() != first)

        await eventually_async(moved_on)
        earlier = await book()
        venues = Venues(simulator, http)
        await venues.fault(venue, "market_data", answer="earlier", count=2)
        assert [await book(), await book()] == [earlier, earlier]
        await eventually_async(moved_on)


async def test_a_request_without_an_earlier_response_is_answered_as_usual(
    simulator: Simulator,
) -> None:
    """There is no response to repeat."""
    async with aiohttp.ClientSession() as http:
        await Venues(simulator, http).fault("luno", "market_data", answer="earlier")
        async with http.get(simulator.http_url + URLS["luno"]) as response:
            assert response.status == 200
            assert (await response.json())["bids"]
