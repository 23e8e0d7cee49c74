"""The indicators that come with the suite; the arithmetic is talipp's.

talipp keeps all it was ever given, and is never asked to forget: the host makes each indicator anew
now and then, from as many candles as `memory` says.
"""

from math import ceil, log

from talipp.indicators import ATR, BB, EMA, MACD, RSI, SMA
from talipp.ohlcv import OHLCV

from services.indicators.candles import Candle

LONGEST_PERIOD = 1000
# A share of the past that a float can't hold: what weighs less is forgotten.
FADED = 1e-15
NEUTRAL_RSI = 50.0


def _checked(shortest: int = 1, **periods: int) -> None:
    for name, period in periods.items():
        if not shortest <= period <= LONGEST_PERIOD:
            raise ValueError(f"{name} {period}: want {shortest} to {LONGEST_PERIOD}")


def _fading(weight: float) -> int:
    """After how many candles the past is forgotten, if each new one has this *weight*."""
    return ceil(log(FADED) / log(1.0 - weight)) if weight < 1.0 else 0


def _ema_memory(period: int) -> int:
    return period + _fading(2.0 / (period + 1))


class Sma:
    """Simple moving average of closes."""

    name = "sma"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(period=period)
        self.memory = period
        self._sma = SMA(period)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The average, once there are `period` candles."""
        self._sma.add(candle.close)
        value = self._sma[-1]
        return None if value is None else (value,)


class Ema:
    """Exponential moving average of closes, begun with the simple average of the first ones."""

    name = "ema"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(period=period)
        self.memory = _ema_memory(period)
        self._ema = EMA(period)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The average, once there are `period` candles."""
        self._ema.add(candle.close)
        value = self._ema[-1]
        return None if value is None else (value,)


class Rsi:
    """Relative strength index of closes, 0 to 100, smoothed as its inventor Wilder did.

    50 where no price has moved: a market that stands still is neither overbought nor oversold.
    """

    name = "rsi"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(2, period=period)
        self.memory = period + 1 + _fading(1.0 / period)
        self._rsi = RSI(period)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The index, once there are `period` + 1 candles."""
        self._rsi.add(candle.close)
        value = self._rsi[-1]
        if value is None:
            return None
        if self._rsi.avg_gain[-1] == self._rsi.avg_loss[-1] == 0.0:
            return (NEUTRAL_RSI,)
        return (value,)


class Macd:
    """A fast EMA of closes less a slow one, the EMA of that (signal), and what lies between."""

    name = "macd"
    outputs = ("", "signal", "hist")

    def __init__(self, fast: int, slow: int, signal: int) -> None:
        _checked(fast=fast, slow=slow, signal=signal)
        if fast >= slow:
            raise ValueError(f"fast {fast} and slow {slow}: want fast below slow")
        self.memory = _ema_memory(slow) + _ema_memory(signal)
        self._macd = MACD(fast, slow, signal)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """All three, once there are `slow` + `signal` - 1 candles."""
        self._macd.add(candle.close)
        value = self._macd[-1]
        if value is None or value.signal is None:
            return None
        return value.macd, value.signal, value.histogram


class BollingerBands:
    """Simple moving average of closes, and bands so many standard deviations around it."""

    name = "bb"
    outputs = ("", "upper", "lower")

    def __init__(self, period: int, deviations: float) -> None:
        _checked(2, period=period)
        if not 0.0 < deviations <= 100.0:
            raise ValueError(f"deviations {deviations:g}: want more than 0, at most 100")
        self.memory = period
        self._bands = BB(period, deviations)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """Middle, upper and lower band, once there are `period` candles."""
        self._bands.add(candle.close)
        value = self._bands[-1]
        return None if value is None else (value.cb, value.ub, value.lb)


class Atr:
    """Average true range: how far prices go in one candle, smoothed as Wilder did."""

    name = "atr"
    outputs = ("",)

    def __init__(self, period: int) -> None:
        _checked(period=period)
        self.memory = period + _fading(1.0 / period)
        self._atr = ATR(period)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The range in the quote asset, once there are `period` candles."""
        self._atr.add(OHLCV(candle.open, candle.high, candle.low, candle.close))
        value = self._atr[-1]
        return None if value is None else (value,)


OURS = (Sma, Ema, Rsi, Macd, BollingerBands, Atr)
