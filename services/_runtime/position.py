"""The position on one market, and its profit. Pure.

Times are Unix seconds of the events themselves: a fill, a price. The day's profit does not depend
on the order in which they are added.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

NOTHING = Decimal(0)
DAY = 86_400


class Position(msgspec.Struct):
    """The quantity bought less the quantity sold, and the cash from it.

    `quantity` is in the base asset, net of fees in the base asset; positive is long, negative
    short. `cash` is in the quote asset: received less spent, fees included. Profit is at `price`.
    """

    quantity: Decimal = NOTHING
    cash: Decimal = NOTHING
    price: Decimal | None = None  # the market's, or the last fill's
    day: str = ""  # in UTC, as 2026-11-22
    profit_at_midnight: Decimal = NOTHING
    priced_at: float = 0.0
    # The state at midnight, which late events of the day before correct.
    quantity_at_midnight: Decimal = NOTHING
    price_at_midnight: Decimal | None = None
    midnight_priced_at: float = 0.0

    @property
    def profit(self) -> Decimal | None:
        """The total profit in the quote asset; None if the price is unknown."""
        if self.price is None:
            return None if self.quantity else self.cash
        return self.cash + self.quantity * self.price

    @property
    def profit_today(self) -> Decimal | None:
        """The profit since midnight UTC in the quote asset; None if the price is unknown."""
        profit = self.profit
        return None if profit is None else profit - self.profit_at_midnight

    def roll(self, day: str) -> None:
        """Start *day*, if it is later: profit from before is not of that day."""
        if self.profit is not None:
            self._begin(day)

    def see(self, price: Decimal, at: float, newer_by: float = 0.0) -> None:
        """Set the market price at time *at*, unless it is newer by less than *newer_by* seconds."""
        self._begin(day_of(at))
        if self.price is None or at >= self.priced_at + newer_by:
            self.price, self.priced_at = price, at
        is_late = day_of(at) < self.day
        if self.price_at_midnight is None or (is_late and at >= self.midnight_priced_at + newer_by):
            before = self.price_at_midnight or NOTHING
            self.profit_at_midnight += self.quantity_at_midnight * (price - before)
            self.price_at_midnight, self.midnight_priced_at = price, at if is_late else 0.0

    def trade(self, quantity: Decimal, cash: Decimal, at: float) -> None:
        """Add a fill or fee: *quantity* of the base asset, *cash* in the quote asset."""
        self._begin(day_of(at))
        self.quantity += quantity
        self.cash += cash
        if day_of(at) < self.day:
            self.quantity_at_midnight += quantity
            self.profit_at_midnight += cash + quantity * (self.price_at_midnight or NOTHING)

    def _begin(self, day: str) -> None:
        """Take the current state as that at midnight; a missing price is added later."""
        if self.day < day:
            self.profit_at_midnight = self.cash + self.quantity * (self.price or NOTHING)
            self.quantity_at_midnight, self.price_at_midnight = self.quantity, self.price
            was_before = day_of(self.priced_at) < day
            self.midnight_priced_at = self.priced_at if was_before else 0.0
            self.day = day


def lost_today(positions: Iterable[Position]) -> Decimal:
    """The loss of all *positions* since midnight UTC; a profit is negative."""
    profits = (position.profit_today for position in positions)
    return -sum((profit for profit in profits if profit is not None), NOTHING)


def day_of(at: float) -> str:
    """The day in UTC of Unix seconds, as `2026-11-22`."""
    return datetime.fromtimestamp(at // DAY * DAY, UTC).date().isoformat()
