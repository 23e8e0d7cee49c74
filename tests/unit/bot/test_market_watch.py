"""The market watch: what is fresh, what is not, and how it is said."""

import pytest
from structlog.testing import capture_logs

from common_models import OrderBook, Ticker, Trade
from services._runtime.health import Readiness
from services._runtime.stream_position import Gap
from services._runtime.stream_reader import Batch
from services.bot.data_provider import DataProvider
from services.bot.market_watch import FRESH_FOR, MALFORMED_LOG_EVERY, MarketWatch
from tests.support.market_data import order_book, ticker, trade, wire

TICKER, BOOK, TRADES = (f"binance:BTCUSDT:{kind}" for kind in ("ticker", "orderbook", "trades"))


class Clock:
    """A clock that stands still until told."""

    now = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The watch's clock."""
    return Clock()


@pytest.fixture
def readiness() -> Readiness:
    """The watch's readiness."""
    return Readiness("market_data")


@pytest.fixture
def watch(clock: Clock, readiness: Readiness) -> MarketWatch:
    """Watches BTC/USDT on binance."""
    return MarketWatch(DataProvider({"binance": ("BTC/USDT",)}), readiness, clock)


def batch(stream: str, *messages: Ticker | OrderBook | Trade | bytes, age: float = 0.0) -> Batch:
    """A batch as the reader hands it over."""
    data = [m if isinstance(m, bytes) else wire(m) for m in messages]
    return Batch(stream, [(f"{n}-0", d) for n, d in enumerate(data, 1)], age)


def test_ready_means_that_every_feed_has_delivered(
    watch: MarketWatch, readiness: Readiness
) -> None:
    """Until then, those that are missing are named."""
    watch.take(batch(TICKER, ticker()))
    watch.judge()
    parts = readiness.report()["parts"]
    assert parts["market_data"] == f"{BOOK}: nothing yet; {TRADES}: nothing yet"
    watch.take(batch(BOOK, order_book()))
    watch.take(batch(TRADES, trade()))
    watch.judge()
    assert readiness.ready


def test_a_stale_quote_is_not_ready_and_a_quiet_tape_is(
    watch: MarketWatch, readiness: Readiness, clock: Clock
) -> None:
    """A market without trades is quiet; one without quotes is not working."""
    for each in (batch(TICKER, ticker()), batch(BOOK, order_book()), batch(TRADES, trade())):
        watch.take(each)
    clock.now += FRESH_FOR
    watch.take(batch(TICKER, ticker()))
    watch.judge()
    assert readiness.report()["parts"]["market_data"] == f"{BOOK}: last message 10 s ago"
    assert watch.stale() == [BOOK, TRADES]
    watch.take(batch(BOOK, order_book()))
    watch.judge()
    assert readiness.ready
    assert watch.stale() == [TRADES]


def test_an_old_entry_read_now_is_not_fresh(watch: MarketWatch) -> None:
    """After an hour away, the backlog is an hour old."""
    watch.take(batch(TICKER, ticker(), age=3600.0))
    assert TICKER in watch.stale()
    assert watch.summary()["streams"][TICKER]["age"] == 3600.0


def test_the_summary_has_ages_counts_and_prices(watch: MarketWatch, clock: Clock) -> None:
    """Counts start over with each summary."""
    watch.take(batch(TICKER, ticker(last=1.5), ticker(last=2.5)))
    watch.take(batch(BOOK, order_book(middle=3.5)))
    watch.note_gap(Gap(TRADES, "trimmed", "1-0", "9-0", 3))
    clock.now += 2.5
    assert watch.summary() == {
        "fresh": 2,
        "of": 3,
        "stale": [TRADES],
        "malformed": 0,
        "gaps": 1,
        "streams": {
            TICKER: {"age": 2.5, "entries": 2, "last_price": 2.5, "bid": 2.0, "ask": 3.0},
            BOOK: {"age": 2.5, "entries": 1, "bid": 3.0, "ask": 4.0},
            TRADES: {"age": None, "entries": 0},
        },
    }
    watch.take(batch(TRADES, trade(price=9.5)))
    later = watch.summary()["streams"]
    assert later[TRADES] == {"age": 0.0, "entries": 1, "last_price": 9.5}
    assert later[TICKER]["entries"] == 0


def test_malformed_entries_are_logged_now_and_then_and_cut_short(
    watch: MarketWatch, clock: Clock
) -> None:
    """A feed gone mad doesn't fill the disk."""
    lies = ticker(symbol="X" * 5000)
    with capture_logs() as logs:
        for _ in range(100):
            watch.take(batch(TICKER, lies, b"{"))
        watch.take(batch(TICKER, lies))
        clock.now += MALFORMED_LOG_EVERY
        watch.take(batch(TICKER, lies))
    assert [line["malformed"] for line in logs] == [2, 202]
    assert logs[1]["stream"] == TICKER
    assert len(logs[1]["last_fault"]) == 200
    assert watch.summary()["malformed"] == 202
