"""The built-in indicators.

An average of a window depends on that window alone, to the last bit. A smoothed one depends on all
earlier candles: the host recomputes it at intervals from its last `memory` candles, and older ones
weigh too little to change the value.
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain, repeat
from math import ceil, fsum, log, sqrt

from services.indicators.candles import Candle

LONGEST_PERIOD = 1000
# Shares of the price. Candles older than its memory make up less than FADED of a smoothed value; a
# difference of averages below NOTHING counts as zero: its sign would be chance.
NOTHING = 1e-15
FADED = 1e-18
# The same for RSI, which is a ratio and so shows moves of any size.
RSI_NOTHING = 1e-24
RSI_FADED = 1e-33
NEUTRAL_RSI = 50.0


def mean(values: Sequence[float]) -> float:
    """The float nearest to the exact average, so that the mean of equal prices is that price."""
    near = fsum(values) / len(values)
    return near + fsum(chain(values, repeat(-near, len(values)))) / len(values)


def _checked(shortest: int = 1, **periods: int) -> None:
    for name, period in periods.items():
        if not shortest <= period <= LONGEST_PERIOD:
            raise ValueError(f"{name} {period}: expected {shortest} to {LONGEST_PERIOD}")


def _fading(weight: float, faded: float = FADED) -> int:
    """After how many candles older ones have faded, if each new one has this *weight*."""
    return ceil(log(faded) / log(1.0 - weight)) if weight < 1.0 else 0


class RollingWindow:
    """The last `period` values."""

    def __init__(self, period: int) -> None:
        self._values: deque[float] = deque(maxlen=period)

    def add(self, value: float) -> deque[float] | None:
        """The values, this one the last; None while there are too few."""
        self._values.append(value)
        return self._values if len(self._values) == self._values.maxlen else None


class Smoothed:
    """An exponential average that starts with the simple average of the first values.

    It is stored as its distance from the last value, which only shrinks while values are equal: the
    average reaches that value, and never crosses it by rounding.
    """

    def __init__(self, period: int) -> None:
        weight = 2.0 / (period + 1)
        self.memory = period + _fading(weight)
        self._kept = 1.0 - weight
        self._first = RollingWindow(period)
        self._distance: float | None = None
        self._last = 0.0

    def add(self, value: float) -> float | None:
        """How far the average is above *value*; None while there are too few."""
        if self._distance is not None:
            self._distance = (self._distance + (self._last - value)) * self._kept
        elif (first := self._first.add(value)) is not None:
            self._distance = mean(first) - value
        self._last = value
        return self._distance


class Wilder:
    """Wilder's average, which starts with the simple average of the first values."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._first = RollingWindow(period)
        self._average: float | None = None

    def add(self, value: float) -> float | None:
        """The average; None while there are too few."""
        if self._average is not None:
            self._average = (self._average * (self._period - 1) + value) / self._period
        elif (first := self._first.add(value)) is not None:
            self._average = mean(first)
        return self._average


class Sma:
    """Simple moving average of closes."""

    name = "sma"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(period=period)
        self.memory = period
        self._closes = RollingWindow(period)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The average, once there are `period` candles."""
        closes = self._closes.add(candle.close)
        return None if closes is None else (mean(closes),)


class Ema:
    """Exponential moving average of closes; it starts with the simple average of the first."""

    name = "ema"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(period=period)
        self._closes = Smoothed(period)
        self.memory = self._closes.memory

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The average, once there are `period` candles."""
        distance = self._closes.add(candle.close)
        return None if distance is None else (candle.close + distance,)


class Rsi:
    """Relative strength index of closes, 0 to 100, smoothed as Wilder defined it.

    A market that stands still is neither overbought nor oversold: the index reaches 50 when earlier
    moves have faded.
    """

    name = "rsi"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(2, period=period)
        self.memory = period + 1 + _fading(1.0 / period, RSI_FADED)
        self._gains, self._losses = Wilder(period), Wilder(period)
        self._last: float | None = None

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The index, once there are `period` + 1 candles."""
        last, self._last = self._last, candle.close
        if last is None:
            return None
        gain = self._gains.add(max(candle.close - last, 0.0))
        loss = self._losses.add(max(last - candle.close, 0.0))
        if gain is None or loss is None:
            return None
        moves = gain + loss + candle.close * RSI_NOTHING
        return (NEUTRAL_RSI + 50.0 * (gain - loss) / moves if moves else NEUTRAL_RSI,)


class Macd:
    """A fast EMA of closes less a slow one, the EMA of that (signal), and their difference."""

    name = "macd"
    outputs = ("", "signal", "hist")

    def __init__(self, fast: int, slow: int, signal: int) -> None:
        _checked(fast=fast, slow=slow, signal=signal)
        if fast >= slow:
            raise ValueError(f"fast {fast} and slow {slow}: expected fast below slow")
        self._fast, self._slow, self._lines = Smoothed(fast), Smoothed(slow), Smoothed(signal)
        self.memory = self._slow.memory + self._lines.memory

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """All three, once there are `slow` + `signal` - 1 candles."""
        fast, slow = self._fast.add(candle.close), self._slow.add(candle.close)
        if fast is None or slow is None:
            return None
        distance = self._lines.add(fast - slow)
        if distance is None:
            return None
        nothing = candle.close * NOTHING
        line = _unless(fast - slow, nothing)
        hist = _unless(-distance, nothing)
        return line, line - hist, hist


def _unless(difference: float, nothing: float) -> float:
    return difference if abs(difference) > nothing else 0.0


class BollingerBands:
    """Simple moving average of closes, and bands that many standard deviations around it."""

    name = "bb"
    outputs = ("", "upper", "lower")

    def __init__(self, period: int, deviations: float) -> None:
        _checked(2, period=period)
        if not 0.0 < deviations <= 100.0:
            raise ValueError(f"deviations {deviations:g}: expected more than 0, at most 100")
        self.memory = period
        self._deviations = deviations
        self._closes = RollingWindow(period)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """Middle, upper and lower band, once there are `period` candles."""
        closes = self._closes.add(candle.close)
        if closes is None:
            return None
        middle = mean(closes)
        variance = fsum((close - middle) ** 2 for close in closes) / len(closes)
        width = self._deviations * sqrt(variance)
        return middle, middle + width, middle - width


class Atr:
    """Average true range of prices in one candle, smoothed as Wilder defined it."""

    name = "atr"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(period=period)
        self.memory = period + _fading(1.0 / period)
        self._ranges = Wilder(period)
        self._last: float | None = None

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The range in the quote asset, once there are `period` candles."""
        last, self._last = self._last, candle.close
        high, low = candle.high, candle.low
        if last is not None:
            high, low = max(high, last), min(low, last)
        average = self._ranges.add(high - low)
        return None if average is None else (average,)


BUILT_IN = (Sma, Ema, Rsi, Macd, BollingerBands, Atr)
