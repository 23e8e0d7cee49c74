"""Whatever happens to the frames, every book published is the venue's, and every trade is there."""

from typing import Any

import msgspec
import pytest

from services.binance_connector import feed as binance_feed
from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from services.luno_connector import book_comparison
from services.luno_connector import stream as luno_stream
from tests.support.eventually import eventually
from tests.support.market_data.truth import consuming

every_venue = pytest.mark.parametrize("venue", ["binance", "luno"])

FAULTS: dict[str, dict[str, Any]] = {
    "one dropped": {"action": "drop"},
    "many dropped": {"action": "drop", "probability": 0.1, "count": 4},
    "one doubled": {"action": "duplicate"},
    "many doubled": {"action": "duplicate", "probability": 0.3, "count": 4},
    "one behind its successor": {"action": "reorder"},
    "some behind their successors": {"action": "reorder", "probability": 0.1, "count": 4},
    "one late": {"action": "delay", "delay_ms": 400},
    "cut": {"action": "disconnect"},
    "cut again and again": {"action": "disconnect", "probability": 0.2, "count": 3},
    "half open": {"action": "half_open"},
}


@every_venue
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_published_is_true_whatever_happens_to_frames(
    venue: str, fault: str, simulator: Simulator
) -> None:
    """Each book is the venue's of that number; trades are complete, once and in order."""
    async with consuming(simulator, venue) as consumer:
        await consumer.fault(**FAULTS[fault])
        await consumer.struck()
        await consumer.flows()
        consumer.assert_true()


@every_venue
async def test_a_slow_stream_is_late_and_true(venue: str, simulator: Simulator) -> None:
    """Every frame comes a third of a second late, in order: no reason to start again."""
    async with consuming(simulator, venue) as consumer:
        changes = len(consumer.changes)
        await consumer.fault(action="delay", delay_ms=300, count=None)
        books = consumer.books
        await eventually(lambda: consumer.books > books + 5)
        assert consumer.changes[changes:].count("stale") == 0
        await consumer.no_more_faults()  # what is late now comes behind what isn't
        await consumer.flows()
        consumer.assert_true()


@every_venue
async def test_a_silent_stream_is_found_by_comparing_with_rest(
    venue: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket lives, pings are answered, and nothing comes: it is stale, then new."""
    monkeypatch.setattr(binance_feed, "AUDIT_GRACE", 0.5)
    monkeypatch.setattr(luno_stream, "SILENT_BEHIND", 500)
    async with consuming(simulator, venue, book_audit_interval=0.3) as consumer:
        changes = len(consumer.changes)
        await consumer.fault(action="drop", count=None)
        await eventually(lambda: "stale" in consumer.changes[changes:])
        await consumer.no_more_faults()
        await consumer.flows()
        consumer.assert_true()


@every_venue
async def test_books_are_compared_with_rest_level_by_level(
    venue: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a market that moves a true one never differs; one that was harmed is joined anew."""
    monkeypatch.setattr(binance_feed, "AUDIT_GRACE", 0.1)
    monkeypatch.setattr(book_comparison, "AROUND", 0.3)
    async with consuming(simulator, venue, book_audit_interval=0.2) as consumer:
        changes = len(consumer.changes)
        await eventually(lambda: consumer.status.compared >= 5)
        assert consumer.status.differed == 0
        assert consumer.changes[changes:] == []
        consumer.assert_true()
        book: Any = consumer.desk.publisher.live_book
        (price, quantity) = book.bids.top(15)[-1]
        book.bids.set(price, quantity * 2)
        await eventually(lambda: consumer.status.differed == 1 or consumer.status.resyncs)
        assert consumer.status.differed == 1
        await consumer.flows()
        seen = len(consumer.streams.numbered.added)
        await consumer.flows()
        del consumer.streams.numbered.added[:seen], consumer.streams.numbered.numbers[:seen]
        consumer.assert_true()


async def test_lunos_trades_are_complete_though_its_stream_is_away_for_several_pages(
    simulator: Simulator,
) -> None:
    """One answer of REST holds 100 trades: they are asked for while nothing can be streamed."""
    async with consuming(simulator, "luno") as consumer:
        await consumer.fault(action="disconnect", count=None)
        trade = consumer.truth.last_trade_id
        await eventually(lambda: consumer.truth.last_trade_id > trade + 220, within=50.0)
        await consumer.no_more_faults()
        await consumer.flows()
        consumer.assert_true()
        assert consumer.status.trades.lost == 0


async def test_a_snapshot_older_than_the_buffer_is_asked_for_again(simulator: Simulator) -> None:
    """A cache answers with the snapshot of an hour ago: nothing is published until one joins."""
    async with consuming(simulator, "binance") as consumer:
        await consumer.fault(endpoint="market_data", answer="earlier", contains="limit=", count=3)
        assert await consumer.sessions("disconnect") == 1
        await consumer.struck()
        await consumer.flows()
        consumer.assert_true()


@every_venue
async def test_a_rest_side_that_is_away_holds_nothing_up_for_longer(
    venue: str, simulator: Simulator
) -> None:
    """Errors, hang-ups and silence in a row; what was missed comes when it answers again."""
    async with consuming(simulator, venue) as consumer:
        for answer in ("error", "close", "error"):
            await consumer.fault(endpoint="market_data", execute="never", answer=answer)
        assert await consumer.sessions("disconnect") == 1
        await consumer.struck()
        await consumer.flows()
        consumer.assert_true()


@every_venue
async def test_ten_thousand_frames_at_once_are_taken_like_any_others(venue: str) -> None:
    """All of them come in one go: the book goes on without a new snapshot, no trade is missing."""
    settings = SimulatorSettings(
        simulator_port=0,
        simulator_rate=4000.0,
        simulator_book_orders=100,
        simulator_symbols=("BTC/USDT",) if venue == "binance" else ("XBT/ZAR",),
    )
    async with running_simulator(settings) as simulator, consuming(simulator, venue) as consumer:
        changes = len(consumer.changes)
        await consumer.fault(action="burst", frames=10_000)
        await consumer.struck()
        number = consumer.truth.number
        await eventually(lambda: (consumer.status.sequence() or 0) > number + 10_000, within=40.0)
        assert consumer.changes[changes:] == []
        consumer.assert_true()


async def test_a_snapshot_of_more_than_a_megabyte_is_taken() -> None:
    """Luno's busiest book is that large: 18,600 orders."""
    settings = SimulatorSettings(
        simulator_port=0,
        simulator_rate=24.0,
        simulator_book_orders=9300,
        simulator_symbols=("XBT/ZAR",),
    )
    async with running_simulator(settings) as simulator:
        snapshot = msgspec.json.encode(simulator.luno["XBTZAR"].snapshot())
        assert len(snapshot) > 1_100_000
        async with consuming(simulator, "luno") as consumer:
            assert await consumer.sessions("disconnect") == 1
            await consumer.flows()
            consumer.assert_true()
