"""The market watch: what is fresh, what is not, and how it is said."""

import pytest
from structlog.testing import capture_logs

from common_models import ConnectorStatusEvent, OrderBook, Ticker, Trade
from services._runtime.health import Readiness
from services._runtime.stream_position import StreamGap
from services._runtime.stream_reader import Batch
from services.bot.connector_watch import SILENT_AFTER, ConnectorWatch
from services.bot.data_provider import DataProvider
from services.bot.market_watch import MALFORMED_LOG_EVERY, MarketWatch
from tests.support.market_data.messages import connector_status, order_book, ticker, trade, wire

TICKER, BOOK, TRADES = (f"binance:BTCUSDT:{kind}" for kind in ("ticker", "orderbook", "trades"))
STATUS = "binance_connector:events:connector_status"


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
    markets = {"binance": ("BTC/USDT",)}
    return MarketWatch(DataProvider(markets), ConnectorWatch(markets), readiness, clock)


def batch(
    stream: str,
    *messages: Ticker | OrderBook | Trade | ConnectorStatusEvent | bytes,
    age: float = 0.0,
) -> Batch:
    """A batch as the reader hands it over."""
    data = [m if isinstance(m, bytes) else wire(m) for m in messages]
    return Batch(stream, [(f"{n}-0", d) for n, d in enumerate(data, 1)], age)


def reason(readiness: Readiness) -> str:
    """What readiness says of the market data."""
    said: str = readiness.report()["parts"]["market_data"]
    return said


def test_ready_means_that_quotes_have_come_and_the_connector_says_live(
    watch: MarketWatch, readiness: Readiness
) -> None:
    """Until then, what is missing is named; a quiet market has no trades, and needs none."""
    watch.handle(batch(TICKER, ticker()))
    watch.judge()
    unknown = "binance_connector has published no status yet"
    assert reason(readiness) == f"{TICKER}: {unknown}; {BOOK}: no message yet; {TRADES}: {unknown}"
    watch.handle(batch(BOOK, order_book()))
    watch.handle(batch(STATUS, connector_status()))
    watch.judge()
    assert readiness.ready
    assert watch.stale() == []


def test_a_quiet_market_is_fresh_for_as_long_as_its_connector_says_live(
    watch: MarketWatch, readiness: Readiness, clock: Clock
) -> None:
    """An hour without a quote is no fault; half a minute without a status is."""
    watch.handle(batch(TICKER, ticker()))
    watch.handle(batch(BOOK, order_book()))
    for _ in range(360):
        clock.now += 10.0
        watch.handle(batch(STATUS, connector_status()))
    watch.judge()
    assert readiness.ready
    clock.now += SILENT_AFTER
    assert watch.stale() == []
    clock.now += 1.0
    assert watch.stale() == [TICKER, BOOK, TRADES]
    watch.judge()
    assert "binance_connector published its last status 31 s ago" in reason(readiness)


@pytest.mark.parametrize("state", ["syncing", "stale", "some newer word"])
def test_a_feed_that_is_not_live_is_not_ready_however_much_comes(
    state: str, watch: MarketWatch, readiness: Readiness
) -> None:
    """The connector's reason is passed on."""
    watch.handle(batch(STATUS, connector_status(state=state, reason="the socket is gone")))
    for each in (batch(TICKER, ticker()), batch(BOOK, order_book()), batch(TRADES, trade())):
        watch.handle(each)
    watch.judge()
    assert f"{TICKER}: {state}: the socket is gone" in reason(readiness)
    watch.handle(batch(STATUS, connector_status(state=state), connector_status()))
    watch.judge()
    assert readiness.ready


def test_a_symbol_that_its_connector_does_not_name_is_stale(
    watch: MarketWatch, readiness: Readiness
) -> None:
    """Bot and connector were told different symbols."""
    watch.handle(batch(TICKER, ticker()))
    watch.handle(batch(STATUS, connector_status(symbol="ETH/USDT")))
    watch.judge()
    assert f"{TICKER}: binance_connector doesn't name BTC/USDT" in reason(readiness)


def test_a_status_that_cannot_be_read_is_counted_and_changes_nothing(watch: MarketWatch) -> None:
    """Rubbish, and a status of another exchange."""
    watch.handle(batch(TICKER, ticker()))
    watch.handle(batch(BOOK, order_book()))
    watch.handle(batch(STATUS, connector_status()))
    watch.handle(batch(STATUS, b"{}"))
    watch.handle(batch(STATUS, connector_status(exchange="luno", state="stale")))
    assert watch.stale() == []
    assert watch.summary()["malformed"] == 2


def test_an_old_entry_read_now_has_its_age(watch: MarketWatch) -> None:
    """After an hour away, the backlog is an hour old; and so is an old status."""
    watch.handle(batch(TICKER, ticker(), age=3600.0))
    watch.handle(batch(STATUS, connector_status(), age=3600.0))
    assert TICKER in watch.stale()
    assert watch.summary()["streams"][TICKER]["age"] == 3600.0


def test_the_summary_has_ages_counts_and_prices(watch: MarketWatch, clock: Clock) -> None:
    """Counts start over with each summary."""
    watch.handle(batch(TICKER, ticker(last=1.5), ticker(last=2.5)))
    watch.handle(batch(BOOK, order_book(middle=3.5)))
    watch.handle(batch(STATUS, connector_status()))
    watch.note_gap(StreamGap(TRADES, "trimmed", "1-0", "9-0", 3))
    clock.now += 2.5
    assert watch.summary() == {
        "fresh": 3,
        "of": 3,
        "stale": [],
        "malformed": 0,
        "gaps": 1,
        "streams": {
            TICKER: {"age": 2.5, "entries": 2, "last_price": 2.5, "bid": 2.0, "ask": 3.0},
            BOOK: {"age": 2.5, "entries": 1, "bid": 3.0, "ask": 4.0},
            TRADES: {"age": None, "entries": 0},
        },
    }
    watch.handle(batch(TRADES, trade(price=9.5)))
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
            watch.handle(batch(TICKER, lies, b"{"))
        watch.handle(batch(TICKER, lies))
        clock.now += MALFORMED_LOG_EVERY
        watch.handle(batch(TICKER, lies))
    assert [line["malformed"] for line in logs] == [2, 202]
    assert logs[1]["stream"] == TICKER
    assert len(logs[1]["last_fault"]) == 200
    assert watch.summary()["malformed"] == 202
