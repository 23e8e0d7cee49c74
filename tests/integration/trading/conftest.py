"""A Redis and a simulator of a test's own; connectors are started and killed by the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.orders.trading import MARKETS, TradingDesk, trading_desk


@pytest.fixture(params=MARKETS, ids=lambda market: market.venue.name)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TradingDesk]:
    """No connector runs yet."""
    async with trading_desk(request.param, tmp_path) as desk:
        yield desk
