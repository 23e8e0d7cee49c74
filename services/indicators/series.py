"""One market's candles of one source, and the indicators that read them. Pure.

Every value depends on the last candles alone, so it is the same after a restart: the indicators are
recomputed every `FRESH_EVERY` candles, from the last `memory` candles of each. That also bounds
their size and the drift by rounding.
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
# The least number of candles kept, for indicators that are added later.
LEAST_KEPT = 1000
# Trial candles that show after how many candles an indicator gives a value.
TRIED_FROM, TRIED_PRICE, MOST_TRIED = datetime(2000, 1, 1, tzinfo=UTC), 100.0, 100_000


class RunningIndicator:
    """One indicator of a series; if it fails it is stopped, and the others continue."""

    def __init__(self, spec: IndicatorSpec) -> None:
        self.spec = spec
        self.stopped: str | None = None
        self.warm = False
        self._indicator: Indicator = spec.make()
        self.memory = self._indicator.memory
        # The number of candles before its first value; None if the trial didn't show it.
        self.first_value_after = _first_value_after(spec)

    def restart(self, candles: Iterable[Candle]) -> None:
        """Start again from these candles."""
        self._indicator = self.spec.make()
        self.warm = False
        for candle in candles:
            self.add(candle)

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """One number for each output; None while it is not warm, and after it has failed."""
        if self.stopped is not None:
            return None
        try:
            values = self._indicator.add(candle)
            if values is not None:
                _check(values, self.spec)
        except Exception as e:  # a plugin may raise anything, and only it must stop
            self.stopped = f"{e.__class__.__name__}: {e}"
            stream, time = self.spec.streams[0], candle.time.isoformat()
            log.exception("indicator_stopped", indicator=stream, candle=time)
            return None
        self.warm = values is not None
        return values


def _first_value_after(spec: IndicatorSpec) -> int | None:
    """Try the indicator with trial candles: its values depend on candles alone."""
    try:
        indicator = spec.make()
        for number in range(1, min(indicator.memory + 1, MOST_TRIED) + 1):
            time = TRIED_FROM + timedelta(minutes=number)
            if indicator.add(Candle(time, *(TRIED_PRICE,) * 4, Decimal(1))) is not None:
                return number
    except Exception:  # noqa: BLE001 - a plugin may raise anything; it is logged with real candles
        return None
    return None


def _check(values: tuple[float, ...], spec: IndicatorSpec) -> None:
    if len(values) != len(spec.names) or not all(isfinite(value) for value in values):
        raise ValueError(
            f"add returned {values!r}: expected {len(spec.names)} finite numbers, or None"
        )


class Series:
    """The candles since the last gap, as many as needed, and their total number."""

    def __init__(self, source: Source, specs: Iterable[IndicatorSpec]) -> None:
        self.source = source
        self.running = [RunningIndicator(each) for each in specs]
        self.keep = max(LEAST_KEPT, FRESH_EVERY + max(each.memory for each in self.running))
        self.candles: deque[Candle] = deque(maxlen=self.keep)
        self.count = 0

    def restore(self, candles: Iterable[Candle], count: int) -> None:
        """Continue a series that was given *count* candles, and whose last ones are *candles*."""
        self.candles = deque(candles, maxlen=self.keep)
        self.count = count
        self._restart((count - 1) // FRESH_EVERY * FRESH_EVERY if count else 0)

    def clear(self) -> None:
        """Drop all candles, after a gap."""
        self.restore((), 0)

    def add(self, candle: Candle) -> list[tuple[IndicatorSpec, datetime, tuple[float, ...]]]:
        """The values of all warm indicators after this candle."""
        if self.count and self.count % FRESH_EVERY == 0:
            self._restart(self.count)
        self.candles.append(candle)
        self.count += 1
        found = []
        for each in self.running:
            values = each.add(candle)
            if values is not None:
                found.append((each.spec, candle.time, values))
        return found

    def _restart(self, at: int) -> None:
        """Recompute all indicators as at candle number *at*."""
        oldest = self.count - len(self.candles)
        for each in self.running:
            first = max(oldest, at - each.memory)
            each.restart(islice(self.candles, first - oldest, None))
