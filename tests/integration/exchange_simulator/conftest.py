"""A simulator for one test, on a free port."""

from collections.abc import AsyncIterator

import pytest

from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Settings with a high rate and few orders; a test may override this fixture."""
    return SimulatorSettings(simulator_port=0, simulator_rate=200.0, simulator_book_orders=300)


@pytest.fixture
async def simulator(simulator_settings: SimulatorSettings) -> AsyncIterator[Simulator]:
    """The simulator, running for the length of the test."""
    async with running_simulator(simulator_settings) as running:
        yield running
