"""Indicators as the bot sees them: the latest, and whether it can be relied on."""

import pytest

from common_models import IndicatorProgress, IndicatorValue
from services.bot.indicator_feed import IndicatorFeed, seconds
from services.bot.strategy import StaleDataError
from tests.support.market_data.messages import WHEN

STREAM = "indicators:rsi_14:binance:BTCUSDT"
OFFSET = WHEN.timestamp() - 1000.0  # the clock says 1000 at WHEN


def value(**changes: object) -> bytes:
    """One of WHEN."""
    message = IndicatorValue(
        timestamp=WHEN, value=50, indicator_name="rsi_14", symbol="BTC/USDT", exchange="binance"
    )
    return message.model_copy(update=changes).model_dump_json().encode()


def feed(*messages: bytes, received_at: float = 1000.0) -> IndicatorFeed:
    """One that was told this."""
    found = IndicatorFeed(STREAM, "rsi_14", "binance", "BTC/USDT")
    entries = [(f"{n}-0", data) for n, data in enumerate(messages, 1)]
    found.handle(entries, received_at, OFFSET, lambda *_: None)
    return found


def test_the_latest_counts_and_names_what_led_to_it() -> None:
    """Itself first, then the entry that brought it."""
    found = feed(value(value=1.0), value(value=2.0, caused_by="binance:BTCUSDT:trades 7-0"))
    assert found.fresh(1001.0, 10).value == 2.0
    assert found.caused_by == [f"{STREAM} 2-0", "binance:BTCUSDT:trades 7-0"]


def test_nothing_yet_is_stale() -> None:
    """And has no cause."""
    with pytest.raises(StaleDataError, match="no value yet"):
        feed().fresh(1000.0, 10)
    assert feed().caused_by == []


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (
            None,
            ("no indicator host computes it: INDICATORS must name binance:BTC/USDT:rsi_14"),
        ),
        (
            IndicatorProgress(have=7, want=15, of="candles of 1m"),
            "8 candles of 1m are missing, it has 7 of 15",
        ),
        (IndicatorProgress(have=15, want=15, of="trades"), "the next of its trades brings it"),
    ],
)
def test_stale_says_how_many_values_are_missing(
    progress: IndicatorProgress | None, said: str
) -> None:
    """As the indicator host tells; where none does, what to do."""
    found = feed()
    found.progress = progress
    assert found.why_stale(1000.0, 10) == f"{STREAM}: no value yet; {said}"


def test_an_old_value_says_how_many_are_missing_until_the_next() -> None:
    """After a hole it begins anew; where nothing is missing, that it is old says all."""
    found = feed(value())
    old = f"{STREAM} is 20.0 s old; expected at most 10 s"
    found.progress = IndicatorProgress(have=3, want=15, of="trades")
    assert found.why_stale(1020.0, 10) == f"{old}; 12 trades are missing, it has 3 of 15"
    found.progress = IndicatorProgress(have=15, want=15, of="trades")
    assert found.why_stale(1020.0, 10) == old


@pytest.mark.parametrize(("now", "timeframe"), [(1010.5, None), (1070.5, "1m"), (4610.5, "1h")])
def test_it_is_stale_some_time_after_its_candle(now: float, timeframe: str | None) -> None:
    """By its own timestamp: who computes may have fallen behind, though it comes just now."""
    found = feed(value(timeframe=timeframe), received_at=now)
    with pytest.raises(StaleDataError, match="s old; expected at most"):
        found.fresh(now, 10)
    assert found.fresh(now - 1, 10).value == 50


def test_what_cannot_be_read_or_is_anothers_is_counted() -> None:
    """And never kept."""
    found = IndicatorFeed(STREAM, "rsi_14", "binance", "BTC/USDT")
    bad = [("1-0", b"{}"), ("2-0", value(indicator_name="rsi_15")), ("3-0", value(exchange="luno"))]
    fault = found.handle(bad, 1000.0, OFFSET, lambda *_: None)
    assert fault == "it is rsi_14 luno BTC/USDT; expected rsi_14 binance BTC/USDT"
    assert found.malformed == 3
    with pytest.raises(StaleDataError):
        found.fresh(1000.0, 10)


def test_timeframes_in_seconds() -> None:
    """What isn't known counts as none: then it is stale sooner."""
    assert [seconds(each) for each in ("30s", "5m", "4h", "1d", None, "x")] == [
        *(30, 300, 14_400),
        *(86_400, 0, 0),
    ]


@pytest.mark.parametrize("timeframe", ["9" * 5000 + "m", "9" * 400 + "w", "\uff11m", "1m\n"])
def test_an_invalid_timeframe_has_length_zero(timeframe: str) -> None:
    """It comes over the wire: numbers without an end, and digits that aren't ours."""
    assert seconds(timeframe) == 0
