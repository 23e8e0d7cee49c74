"""A quiet environment for tradectl, and a connector at work for the tests that trade by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.tradectl.settings import TradectlSettings
from tests.support.orders.trading import MARKETS, NO_LIMITS, TradingDesk, trading_desk


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no variable of the person who runs the tests is read."""
    monkeypatch.chdir(tmp_path)
    for name in TradectlSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TradingDesk]:
    """A connector at work; tradectl knows no difference between exchanges."""
    folder = tmp_path_factory.mktemp("by_hand")
    async with (
        trading_desk(MARKETS[0], folder, **NO_LIMITS) as desk,
        desk.connector(),
    ):
        yield desk
