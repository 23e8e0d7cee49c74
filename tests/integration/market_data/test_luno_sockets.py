"""Luno allows so many sockets: the pairs beyond them are polled."""

import pytest

from services.exchange_simulator.service import running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from services.luno_connector import stream
from tests.support.eventually import eventually
from tests.support.market_truth import Consumer, opened, streaming


async def test_pairs_beyond_the_sockets_that_luno_allows_are_polled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One socket is enough for this test: the second pair flows all the same."""
    monkeypatch.setattr(stream, "MOST_STREAMS", 1)
    settings = SimulatorSettings(
        simulator_port=0, simulator_book_orders=100, simulator_symbols=("XBT/ZAR", "ETH/ZAR")
    )
    async with running_simulator(settings) as simulator:
        streamed = Consumer(simulator, "luno", "XBT/ZAR")
        polled = Consumer(simulator, "luno", "ETH/ZAR")
        desks = [streamed.desk, polled.desk]
        async with opened(simulator, "luno") as exchange, streaming(exchange, desks):
            await streamed.flows()
            await eventually(lambda: polled.live and polled.books and polled.streams.trade_ids)
            await streamed.open_sessions(1)
        streamed.assert_true()


def test_the_accounts_socket_has_room_too() -> None:
    """Luno's limit is 50."""
    assert stream.MOST_STREAMS < 50
