"""The indicators against TA-Lib's, to 1e-9, from the first value to the last.

Prices are eighths between 90 and 110: TA-Lib's deviation is a difference of squares, which is exact
for such numbers, so that what is compared is ours and not its rounding.
"""

import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from services.indicators.candles import EPOCH, Candle
from services.indicators.maths import Atr, BollingerBands, Ema, Macd, Rsi, Sma, mean
from services.indicators.plugins import Indicator

CLOSE_TO = 1e-9
Numbers = Any  # an array of floats

# How long after the beginning two EMAs that began differently are the same to 1e-9.
CONVERGED = 400


def walk(seed: int, length: int) -> list[Candle]:
    """Candles whose closes take a step each, up or down or none."""
    rng = random.Random(seed)
    price, candles = 800, []
    for _ in range(length):
        opened, price = price, max(720, min(880, price + rng.randint(-8, 8)))
        high, low = max(opened, price) + rng.randint(0, 4), min(opened, price) - rng.randint(0, 4)
        candles.append(Candle(EPOCH, opened / 8, high / 8, low / 8, price / 8, Decimal(1)))
    return candles


walks = st.builds(walk, st.integers(0, 2**32), st.integers(2, 300))
periods = st.integers(2, 40)


def ours(indicator: Indicator, candles: list[Candle], outputs: int = 1) -> list[Numbers]:
    """What the indicator says of each candle, an array for each output; nan before it is warm."""
    cold = (float("nan"),) * outputs
    rows = [indicator.add(candle) or cold for candle in candles]
    return [np.array(column) for column in zip(*rows, strict=True)]


def column(candles: list[Candle], name: str) -> Numbers:
    """One price of all candles."""
    return np.array([getattr(candle, name) for candle in candles])


def assert_same(one: Numbers, other: Numbers) -> None:
    """Warm at the same candle, and never further apart than 1e-9."""
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    np.testing.assert_allclose(one, other, rtol=0, atol=CLOSE_TO, equal_nan=True)


@given(walks, periods)
def test_sma_is_ta_libs(candles: list[Candle], period: int) -> None:
    """The average of the last closes."""
    assert_same(ours(Sma(period), candles)[0], talib.SMA(column(candles, "close"), period))


@given(walks, periods)
def test_ema_is_ta_libs(candles: list[Candle], period: int) -> None:
    """Both begin with the simple average of the first closes."""
    assert_same(ours(Ema(period), candles)[0], talib.EMA(column(candles, "close"), period))


@given(walks, st.integers(5, 40))
def test_rsi_is_ta_libs(candles: list[Candle], period: int) -> None:
    """Wilder's smoothing, begun with the simple average of the first changes."""
    closes = column(candles, "close")
    moved = np.concatenate([[False], np.cumsum(np.abs(np.diff(closes))) > 0])
    found, reference = ours(Rsi(period), candles)[0], talib.RSI(closes, period)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(reference))
    assert_same(found[moved], reference[moved])
    assert all(found[~moved & ~np.isnan(found)] == 50.0)


@given(walks, st.tuples(periods, periods, periods).filter(lambda p: p[0] < p[1]))
def test_macd_is_the_difference_of_ta_libs_emas(
    candles: list[Candle], numbers: tuple[int, int, int]
) -> None:
    """Each EMA begins where there are enough closes for it; the signal is the EMA of the result."""
    fast, slow, signal = numbers
    closes = column(candles, "close")
    line, signals, hist = ours(Macd(fast, slow, signal), candles, 3)
    reference = talib.EMA(closes, fast) - talib.EMA(closes, slow)
    expected = np.full(len(closes), np.nan)
    if len(closes) >= slow:
        expected[slow - 1 :] = talib.EMA(reference[slow - 1 :], signal)
    reference[np.isnan(expected)] = np.nan  # all three are published together
    assert_same(line, reference)
    assert_same(signals, expected)
    assert_same(hist, reference - expected)


def test_macd_comes_to_be_ta_libs() -> None:
    """TA-Lib's MACD begins its fast EMA later, so that both EMAs begin with the same candle."""
    candles = walk(1, 2000)
    for found, reference in zip(
        ours(Macd(12, 26, 9), candles, 3),
        talib.MACD(column(candles, "close"), 12, 26, 9),
        strict=True,
    ):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(reference))
        assert_same(found[CONVERGED:], reference[CONVERGED:])


@given(walks, periods, st.sampled_from([0.5, 1.0, 2.0, 2.5]))
def test_bollinger_bands_are_ta_libs(candles: list[Candle], period: int, deviations: float) -> None:
    """Both take the deviation of the whole window, not that of a sample."""
    found = ours(BollingerBands(period, deviations), candles, 3)
    upper, middle, lower = talib.BBANDS(column(candles, "close"), period, deviations, deviations)
    assert_same(found[0], middle)
    assert_same(found[1], upper)
    assert_same(found[2], lower)


@given(walks, periods)
def test_atr_is_ta_libs(candles: list[Candle], period: int) -> None:
    """Ours takes the first candle's range; TA-Lib wants a close before it, here one within it."""
    names = ("high", "low", "close")
    before = (candles[0].high + candles[0].low) / 2
    high, low, close = (np.concatenate([[before], column(candles, name)]) for name in names)
    reference = talib.ATR(high, low, close, period)
    assert_same(ours(Atr(period), candles)[0], reference[1:])


def test_a_market_that_stands_still_is_neither_overbought_nor_oversold() -> None:
    """TA-Lib says 0 there, and others 100: either would be a signal to trade."""
    still = [Candle(EPOCH, 100.0, 100.0, 100.0, 100.0, Decimal(0))] * 40
    assert ours(Rsi(14), still)[0][-1] == 50.0
    assert talib.RSI(column(still, "close"), 14)[-1] == 0.0
    rising = [candle._replace(close=100.0 + n) for n, candle in enumerate(still)]
    assert ours(Rsi(14), rising)[0][-1] == 100.0
    assert ours(Rsi(14), rising[::-1])[0][-1] == 0.0


# As exchanges quote them: of any size, with up to eight places behind the point.
prices = st.decimals("0.00000001", "10000000", places=8).map(float)
windows = st.lists(prices, min_size=2, max_size=60)


def closes(values: list[float]) -> list[Candle]:
    """Candles of one price each, as trades are."""
    return [Candle(EPOCH, value, value, value, value, Decimal(1)) for value in values]


@given(windows)
def test_a_mean_is_the_float_next_to_the_true_one(values: list[float]) -> None:
    """So windows of equal prices, however long, have equal averages, and so have others."""
    assert mean(values) == float(sum(map(Fraction, values)) / len(values))


@given(windows, windows, st.sampled_from([Sma, lambda n: BollingerBands(n, 2.0)]))
def test_a_windows_values_are_a_function_of_the_window(
    past: list[float], window: list[float], make: Callable[[int], Indicator]
) -> None:
    """To the last bit, whatever came before it."""
    old, new = make(len(window)), make(len(window))
    last_of_old = [old.add(candle) for candle in closes(past + window)][-1]
    assert last_of_old == [new.add(candle) for candle in closes(window)][-1]


@given(windows, prices, st.integers(2, 50))
def test_equal_prices_have_equal_averages_and_lie_within_their_bands(
    past: list[float], price: float, period: int
) -> None:
    """Whatever moved before, and however often."""
    still = closes(past + [price] * period)
    for indicator in (Sma(period), BollingerBands(period, 2.0)):
        said = [indicator.add(candle) for candle in still][-1]
        assert said is not None
        assert set(said) == {price}


@given(windows, prices)
def test_smoothed_averages_come_to_the_price_of_a_market_that_stands_still(
    past: list[float], price: float
) -> None:
    """From one side: what was above stays above until it is there; MACD comes to be nothing."""
    fast, slow, macd = Ema(12), Ema(26), Macd(12, 26, 9)
    for candle in closes(past):
        fast.add(candle), slow.add(candle), macd.add(candle)
    sides, hists = [], []
    for candle in closes([price] * 1000):
        of_fast, of_slow, of_macd = fast.add(candle), slow.add(candle), macd.add(candle)
        if of_fast and of_slow and of_macd:
            sides.append(_side(of_fast[0] - of_slow[0]))
            hists.append(_side(of_macd[2]))
            assert _side(of_macd[0] - of_macd[1]) == _side(of_macd[2])
    assert of_fast == of_slow == (price,)
    assert of_macd == (0.0, 0.0, 0.0)
    # Averages that lag cross once at most, and their difference's twice, as in exact arithmetic.
    assert _changes(sides) <= 1
    assert _changes(hists) <= 2


def _side(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def _changes(sides: list[int]) -> int:
    told = [side for side in sides if side]
    return sum(one != other for one, other in pairwise(told))


MAKERS: list[Callable[[], Indicator]] = [
    lambda: Sma(50),
    lambda: Ema(20),
    lambda: Ema(200),
    lambda: Rsi(14),
    lambda: Macd(12, 26, 9),
    lambda: BollingerBands(20, 2.0),
    lambda: Atr(14),
]


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_behind_its_memory_makes_no_difference(make: Callable[[], Indicator]) -> None:
    """Begun `memory` candles ago or long before: the same value to 1e-12."""
    candles = walk(7, 6000)
    old, young = make(), make()
    last_of_old = [old.add(candle) for candle in candles][-1]
    last_of_young = [young.add(candle) for candle in candles[-young.memory :]][-1]
    assert last_of_old is not None
    assert last_of_young is not None
    assert last_of_young == pytest.approx(last_of_old, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sma(0), "period 0: expected 1 to 1000"),
        (lambda: Ema(1001), "period 1001: expected 1 to 1000"),
        (lambda: Rsi(1), "period 1: expected 2 to 1000"),
        (lambda: Macd(26, 12, 9), "fast 26 and slow 12: expected fast below slow"),
        (lambda: BollingerBands(20, 0.0), "deviations 0: expected more than 0, at most 100"),
        (lambda: Atr(0), "period 0: expected 1 to 1000"),
    ],
)
def test_a_number_that_does_not_do_is_named(make: Callable[[], Indicator], message: str) -> None:
    """With what would."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(
    ("indicator", "warm_after"),
    [
        (Sma(5), 5),
        (Ema(5), 5),
        (Rsi(5), 6),
        (Macd(3, 6, 4), 9),
        (BollingerBands(5, 2), 5),
        (Atr(5), 5),
    ],
)
def test_nothing_is_said_before_it_is_warm(indicator: Indicator, warm_after: int) -> None:
    """And something is, from then on."""
    said = [indicator.add(candle) is not None for candle in walk(3, 30)]
    assert said == [False] * (warm_after - 1) + [True] * (31 - warm_after)
