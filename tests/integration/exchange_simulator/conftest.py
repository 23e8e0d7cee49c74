"""A simulator of the test's own, on a free port."""

from collections.abc import AsyncIterator

import pytest

from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Lively and small; a test may override this fixture."""
    return SimulatorSettings(simulator_port=0, simulator_rate=200.0, simulator_book_orders=300)


@pytest.fixture
async def simulator(simulator_settings: SimulatorSettings) -> AsyncIterator[Simulator]:
    """It runs while the test does."""
    async with running_simulator(simulator_settings) as running:
        yield running
