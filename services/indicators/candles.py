"""Candles from trades: pure, and a function of the trades alone.

A candle starts at a UTC boundary and is closed by the first trade after its end: only then can no
trade of it follow, even after a connector was down. A period without trades gives candles with the
last price. A candle whose trades are not known from the first to the last is never returned.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from services._runtime.durations import parse_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
# A longer gap, or a longer step back, in candles, means that the clock or the market stood still.
MOST_CARRIED = 1000


class Candle(NamedTuple):
    """The trades of one period: prices in the quote asset, `volume` in the base asset.

    `time` is the candle's end, in UTC. A single trade or ticker is a candle too, with its own time
    and one price.
    """

    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: Decimal


def parse_timeframe(text: str) -> timedelta:
    """Parse a timeframe such as `"15m"`.

    Raises:
        ValueError: it is invalid, or does not divide a UTC day.
    """
    seconds = parse_duration(text, "smhd")
    # Each has one spelling: a timeframe is part of a stream's name.
    if not seconds or text.startswith("0") or DAY.total_seconds() % seconds:
        raise ValueError(
            f"{text!r} is not a timeframe: expected a number and s, m, h or d that divides a day, "
            "e.g. 10s, 1m, 5m, 15m, 1h, 4h, 1d"
        )
    return timedelta(seconds=seconds)


class OpenCandle(msgspec.Struct, array_like=True):
    """A candle that is not closed. `whole`: all its trades from its start on are known."""

    period: int  # the number of periods since 1970
    open: float
    high: float
    low: float
    close: float
    volume: Decimal
    whole: bool


class CandleBuilder:
    """Candles of one length, from trades in the order of their stream.

    `late` counts trades that came after their candle was closed; they are left out.
    """

    def __init__(self, length: timedelta, current: OpenCandle | None = None, late: int = 0) -> None:
        self.current = current
        self.late = late
        self._length = length

    def add(self, time: datetime, price: float, quantity: Decimal) -> list[Candle] | None:
        """The candles that this trade closes, often none; None if it restarts after a gap."""
        period = (time - EPOCH) // self._length
        now = self.current
        if now is None:
            self._begin(period, price, quantity, whole=False)
            return []
        passed = period - now.period
        if passed == 0:
            now.high = max(now.high, price)
            now.low = min(now.low, price)
            now.close = price
            now.volume += quantity
            return []
        if abs(passed) > MOST_CARRIED:
            self._begin(period, price, quantity, whole=False)
            return None
        if passed < 0:
            self.late += 1
            return []
        closed = list(self._close(now, passed))
        self._begin(period, price, quantity, whole=True)
        return closed

    def hole(self) -> None:
        """Note missing trades: neither the open candle nor the next one is complete."""
        self.current = None

    def _begin(self, period: int, price: float, quantity: Decimal, *, whole: bool) -> None:
        self.current = OpenCandle(period, price, price, price, price, quantity, whole)

    def _close(self, now: OpenCandle, passed: int) -> Iterator[Candle]:
        end = EPOCH + (now.period + 1) * self._length
        if now.whole:
            yield Candle(end, now.open, now.high, now.low, now.close, now.volume)
        for n in range(1, passed):
            yield Candle(end + n * self._length, *(now.close,) * 4, Decimal(0))
