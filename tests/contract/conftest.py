"""One simulator, Redis and connector for all trading tests of a venue."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.orders.trading import MARKETS, NO_LIMITS, TradingDesk, trading_desk


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=MARKETS, ids=lambda market: market.venue.name
)
async def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TradingDesk]:
    """A venue's connector at work; every test has orders of its own."""
    folder = tmp_path_factory.mktemp("trading")
    async with (
        trading_desk(
            request.param,
            folder,
            **NO_LIMITS,
            RISK_MAX_QUANTITY="BTC:10,XBT:10,ETH:10",
        ) as desk,
        desk.connector(),
    ):
        yield desk
