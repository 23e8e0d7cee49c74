"""A symbol's trading statistics of the last 24 hours, kept a minute at a time."""

from collections import deque
from dataclasses import dataclass

MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60


@dataclass(slots=True)
class Minute:
    """One minute's trades. Prices in ticks, volume in lots, money in ticks times lots."""

    start_ms: int
    first_id: int
    last_id: int
    open: int
    high: int
    low: int
    close: int
    last_quantity: int
    volume: int
    money: int
    count: int


class DayStats:
    """Rolling sums over whole minutes: the window is 24 h plus up to one minute."""

    def __init__(self) -> None:
        self._minutes: deque[Minute] = deque()
        self._last_dropped_price: int | None = None  # close of the last minute that left the window

    def add(self, time_ms: int, trade_id: int, price: int, quantity: int) -> None:
        """Count one trade; times never fall."""
        start = time_ms - time_ms % MINUTE_MS
        if not self._minutes or self._minutes[-1].start_ms != start:
            self._minutes.append(
                Minute(start, trade_id, trade_id, price, price, price, price, quantity, 0, 0, 0)
            )
            self._drop_old(time_ms)
        minute = self._minutes[-1]
        minute.last_id = trade_id
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)
        minute.close = price
        minute.last_quantity = quantity
        minute.volume += quantity
        minute.money += price * quantity
        minute.count += 1

    def window(self, now_ms: int, minutes: int = DAY_MINUTES) -> Minute | None:
        """The sums of the last *minutes*; `start_ms` is the window's start. None if no trade."""
        self._drop_old(now_ms)
        first = now_ms - now_ms % MINUTE_MS - minutes * MINUTE_MS
        inside = [m for m in self._minutes if m.start_ms >= first]
        if not inside:
            return None
        last = inside[-1]
        return Minute(
            start_ms=first,
            first_id=inside[0].first_id,
            last_id=last.last_id,
            open=inside[0].open,
            high=max(m.high for m in inside),
            low=min(m.low for m in inside),
            close=last.close,
            last_quantity=last.last_quantity,
            volume=sum(m.volume for m in inside),
            money=sum(m.money for m in inside),
            count=sum(m.count for m in inside),
        )

    def price_before(self) -> int | None:
        """The last price before the window, in ticks; None if no trade is that old."""
        return self._last_dropped_price

    def _drop_old(self, now_ms: int) -> None:
        first = now_ms - now_ms % MINUTE_MS - DAY_MINUTES * MINUTE_MS
        while self._minutes and self._minutes[0].start_ms < first:
            self._last_dropped_price = self._minutes.popleft().close
