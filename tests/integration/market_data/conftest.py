"""A small, lively simulator in this process."""

from collections.abc import AsyncIterator

import pytest

from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """One symbol of each venue."""
    settings = SimulatorSettings(
        simulator_port=0,
        simulator_rate=24.0,
        simulator_book_orders=100,
        simulator_symbols=("BTC/USDT", "XBT/ZAR"),
    )
    async with running_simulator(settings) as running:
        yield running
