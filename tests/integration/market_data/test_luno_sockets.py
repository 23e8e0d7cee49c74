"""Luno's sockets: the pairs beyond those that it allows are polled, a refusal is tried again."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from services.exchange_simulator.luno.stream import ApiKey
from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from services.luno_connector import stream
from tests.support.eventually import eventually
from tests.support.market_data.truth import Consumer, consuming, opened, streaming


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
        subscriptions = [streamed.desk, polled.desk]
        async with opened(simulator, "luno") as exchange, streaming(exchange, subscriptions):
            await streamed.flows()
            await eventually(lambda: polled.live and polled.books and polled.streams.trade_ids)
            await streamed.open_sessions(1)
        streamed.assert_true()


def test_the_accounts_socket_has_room_too() -> None:
    """Luno's limit is 50."""
    assert stream.MOST_STREAMS < 50


async def test_a_key_that_was_refused_once_is_tried_again_with_patience(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status says why meanwhile, the log says it once; then all flows again."""
    patience = 1.0
    monkeypatch.setattr(stream, "RETRY_REFUSED", patience)
    shown: list[float] = []
    refusals = 2

    def matches(key: ApiKey, key_id: str, secret: str) -> bool:
        shown.append(asyncio.get_running_loop().time())
        return len(shown) > refusals

    async with consuming(simulator, "luno") as consumer:
        monkeypatch.setattr(ApiKey, "matches", matches)
        with capture_logs() as logs:
            await consumer.sessions("disconnect")
            await eventually(
                lambda: "check LUNO_API_KEY_ID" in str(consumer.status.report().reason)
            )
            assert consumer.status.state == "stale"
            await consumer.flows()
        assert len(shown) == refusals + 1
        assert all(b - a >= patience for a, b in pairwise(shown))
        told = [each for each in logs if each["event"].startswith("stream_refused")]
        assert [each["log_level"] for each in told] == ["warning", "debug", "info"]
        assert {each["pair"] for each in told} == {"XBTZAR"}
        consumer.assert_true()
