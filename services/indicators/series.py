"""One market's candles of one source, and the indicators that read them: pure.

Every value is a function of the last candles alone, so that it is the same after a restart: the
indicators are made anew every `FRESH_EVERY` candles, from as many candles before that as each says
it remembers. That also bounds what they hold, and how far rounding can drift.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from math import isfinite

import structlog

from services.indicators.candles import Candle
from services.indicators.configuration import IndicatorSpec, Source
from services.indicators.plugins import Indicator

log = structlog.get_logger()

FRESH_EVERY = 500
# Candles that are kept at least, for those who come later.
LEAST_KEPT = 1000
# What an indicator is tried with, to see after how many candles it says something.
TRIED_FROM, TRIED_PRICE, MOST_TRIED = datetime(2000, 1, 1, tzinfo=UTC), 100.0, 100_000


class RunningIndicator:
    """One indicator of a series; one that fails is stopped and says why, and the others go on."""

    def __init__(self, wanted: IndicatorSpec) -> None:
        self.wanted = wanted
        self.stopped: str | None = None
        self.warm = False
        self._indicator: Indicator = wanted.make()
        self.memory = self._indicator.memory
        # After so many candles it says something; None where trying doesn't tell.
        self.wants = _first_value_after(wanted)

    def restart(self, candles: Iterable[Candle]) -> None:
        """Begin anew, from these candles."""
        self._indicator = self.wanted.make()
        self.warm = False
        for candle in candles:
            self.add(candle)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """One number for each output; None while it is not warm, and once it has failed."""
        if self.stopped is not None:
            return None
        try:
            values = self._indicator.add(candle)
            if values is not None:
                _check(values, self.wanted)
        except Exception as e:  # a plugin may raise anything, and it alone shall stop
            self.stopped = f"{e.__class__.__name__}: {e}"
            stream, time = self.wanted.streams[0], candle.time.isoformat()
            log.exception("indicator_stopped", indicator=stream, candle=time)
            return None
        self.warm = values is not None
        return values


def _first_value_after(wanted: IndicatorSpec) -> int | None:
    """What an indicator says depends on its candles alone, so it is tried with some."""
    try:
        indicator = wanted.make()
        for number in range(1, min(indicator.memory + 1, MOST_TRIED) + 1):
            time = TRIED_FROM + timedelta(minutes=number)
            if indicator.add(Candle(time, *(TRIED_PRICE,) * 4, Decimal(1))) is not None:
                return number
    except Exception:  # noqa: BLE001 - a plugin may raise anything; with real candles it is told
        return None
    return None


def _check(values: tuple[float, ...], wanted: IndicatorSpec) -> None:
    if len(values) != len(wanted.names) or not all(isfinite(value) for value in values):
        raise ValueError(
            f"add returned {values!r}: want {len(wanted.names)} finite numbers, or None"
        )


class Series:
    """The candles since the last hole, as many as are needed, and how many there were."""

    def __init__(self, source: Source, wanted: Iterable[IndicatorSpec]) -> None:
        self.source = source
        self.running = [RunningIndicator(each) for each in wanted]
        self.keep = max(LEAST_KEPT, FRESH_EVERY + max(each.memory for each in self.running))
        self.candles: deque[Candle] = deque(maxlen=self.keep)
        self.count = 0

    def restore(self, candles: Iterable[Candle], count: int) -> None:
        """Be as a series was that had been given *count* candles, the last of which are these."""
        self.candles = deque(candles, maxlen=self.keep)
        self.count = count
        self._restart((count - 1) // FRESH_EVERY * FRESH_EVERY if count else 0)

    def clear(self) -> None:
        """There is a hole: nothing before it counts."""
        self.restore((), 0)

    def add(self, candle: Candle) -> list[tuple[IndicatorSpec, datetime, tuple[float, ...]]]:
        """The values that come with this candle, of those indicators that are warm."""
        if self.count and self.count % FRESH_EVERY == 0:
            self._restart(self.count)
        self.candles.append(candle)
        self.count += 1
        found = []
        for each in self.running:
            values = each.add(candle)
            if values is not None:
                found.append((each.wanted, candle.time, values))
        return found

    def _restart(self, at: int) -> None:
        """Make all indicators anew as they were made when there were *at* candles."""
        oldest = self.count - len(self.candles)
        for each in self.running:
            first = max(oldest, at - each.memory)
            each.restart(islice(self.candles, first - oldest, None))
