"""Where each symbol's feed stands, as Prometheus sees it."""

import time

from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.metrics import feed_metrics
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._runtime.health import Readiness
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.metrics import numbers


def subscription(symbol: str) -> SymbolSubscription:
    """One symbol's, just made."""
    base, quote = symbol.split("/")
    instrument = Instrument(symbol, base + quote, base, quote, trading=True)
    publisher = FakeStreams().publisher("binance", symbol)
    return SymbolSubscription(instrument, publisher, FeedStatus(symbol, Readiness()), None)


async def test_each_symbol_shows_its_own_state_and_counts() -> None:
    """By the slash form, as everywhere but in stream names."""
    btc, eth = subscription("BTC/USDT"), subscription("ETH/USDT")
    btc.status.live()
    eth.status.trades.lost, eth.status.trades.refilled, eth.status.trades.repeated = 3, 2, 1
    eth.publisher.trade(0, -1.0, 1.0, "buy", 1)
    found = numbers(feed_metrics([btc, eth]))
    assert found["feed_live", "BTC/USDT"] == 1
    assert found["feed_live", "ETH/USDT"] == 0
    assert found["feed_stale_seconds", "BTC/USDT"] == 0
    assert found["feed_stale_seconds", "ETH/USDT"] > 0
    counts = [
        found[f"trades_{kind}_total", "ETH/USDT"] for kind in ("lost", "refilled", "repeated")
    ]
    assert counts == [3, 2, 1]
    assert found["trades_lost_total", "BTC/USDT"] == 0
    assert found["feed_messages_refused_total", "ETH/USDT"] == 1


async def test_before_the_first_frame_there_is_neither_age_nor_lag() -> None:
    """A number would be taken for one that was measured."""
    one = subscription("BTC/USDT")
    names = {name for name, _ in numbers(feed_metrics([one]))}
    assert not names & {"feed_last_message_age_seconds", "venue_lag_seconds"}
    one.status.heard_at = one.status.event_heard_at = time.monotonic()
    one.status.event_at = time.time_ns() // 1_000_000 - 2000
    found = numbers(feed_metrics([one]))
    assert 0 <= found["feed_last_message_age_seconds", "BTC/USDT"] < 1
    assert 1.9 < found["venue_lag_seconds", "BTC/USDT"] < 3


async def test_a_book_that_is_lost_counts_once_however_long_it_takes_to_be_back() -> None:
    """The first join is none."""
    one = subscription("BTC/USDT")
    one.status.syncing("the socket is new")
    one.status.live()
    for _ in range(2):
        one.status.stale("the socket is gone")
        one.status.syncing("the socket is new")
        one.status.syncing("no snapshot")
        one.status.live()
    assert numbers(feed_metrics([one]))["feed_resyncs_total", "BTC/USDT"] == 2
