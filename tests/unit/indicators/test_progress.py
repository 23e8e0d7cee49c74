"""How far indicators are from their first values: what is told of each."""

import itertools
from collections.abc import Iterator

import pytest

from services.indicators.candles import Candle
from services.indicators.market import IndicatorMarket
from services.indicators.plugins import Plugins
from services.indicators.series import RunningIndicator
from tests.support.market_data.messages import trade, wire
from tests.unit.indicators.configured import BUILT_IN, wanted


@pytest.mark.parametrize(
    ("name", "wants"),
    [
        ("sma_50", 50),
        ("ema_20", 20),
        ("rsi_14", 15),
        ("macd_12_26_9", 34),
        ("bb_20_2", 20),
        ("atr_14", 14),
        ("rsi_1000", 1001),
    ],
)
def test_it_is_known_after_how_many_values_each_of_ours_speaks(name: str, wants: int) -> None:
    """As docs/indicators.md says."""
    (one,) = wanted(f"binance:BTC/USDT:{name}@trade")
    assert RunningIndicator(one).first_value_after == wants


class Silent:
    """Never says anything."""

    name = "silent"
    outputs = ("",)
    memory = 3

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """Nothing."""
        return None


class Failing(Silent):
    """Fails at the first candle."""

    name = "failing"

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """Raise."""
        raise ZeroDivisionError("a plugin's own fault")


PLUGINS = Plugins([f"{__name__}.Silent", f"{__name__}.Failing"])


def entries() -> Iterator[tuple[str, bytes]]:
    """Trades, one after the other."""
    for number in itertools.count(1):
        yield f"{number}-0", wire(trade(number=number))


def market(*names: str, plugins: Plugins = BUILT_IN) -> IndicatorMarket:
    """BTC/USDT with these indicators."""
    return IndicatorMarket(wanted(*(f"binance:BTC/USDT:{name}" for name in names), plugins=plugins))


def told(one: IndicatorMarket) -> dict[str, str | None]:
    """What is new, by the indicator's name: what is missing, in words."""
    progress = one.progress()
    one.progress_written(progress)
    return {stream.split(":")[1]: each.missing for stream, each in progress.items()}


def test_missing_candles_are_reported_until_the_indicator_is_warm() -> None:
    """Each with what it counts."""
    one, trades = market("rsi_5@trade", "sma_3@1m"), entries()
    assert told(one) == {
        "rsi_5": "6 trades are missing, it has 0 of 6",
        "sma_3": "3 candles of 1m are missing, it has 0 of 3",
    }
    one.handle(itertools.islice(trades, 4))
    assert told(one) == {"rsi_5": "2 trades are missing, it has 4 of 6"}
    assert told(one) == {}
    one.handle(itertools.islice(trades, 2))
    assert told(one) == {"rsi_5": None}
    one.handle(itertools.islice(trades, 9))
    assert told(one) == {}


def test_after_a_gap_it_starts_again() -> None:
    """All are missing again."""
    one, trades = market("rsi_5@trade"), entries()
    one.handle(itertools.islice(trades, 9))
    assert told(one) == {"rsi_5": None}
    next(trades)
    one.handle(itertools.islice(trades, 2))
    assert told(one) == {"rsi_5": "4 trades are missing, it has 2 of 6"}


def test_all_progress_is_returned_on_request() -> None:
    """Another may have written over it."""
    one = market("rsi_5@trade")
    told(one)
    assert list(one.progress(all_of_it=True)) == ["indicators:rsi_5:binance:BTCUSDT"]


def test_a_plugin_without_a_known_first_value_reports_how_many_candles_it_has() -> None:
    """And of one that failed, why."""
    one = market("silent@trade", "failing@trade", plugins=PLUGINS)
    one.handle(itertools.islice(entries(), 7))
    assert told(one) == {
        "silent": "it has 7 trades, which is too few",
        "failing": "it was stopped: ZeroDivisionError: a plugin's own fault",
    }
