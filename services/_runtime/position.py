"""What is held of one market, and what it made. Pure.

Times are in seconds, and are those of what happened: a fill, a price. In whatever order these are
told, the profit of the day is the same.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

NOTHING = Decimal(0)
DAY = 86_400


class Position(msgspec.Struct):
    """What was bought less what was sold, in the base asset, and the money of it.

    A fee in the base asset is off the quantity. `cash` is what was received less what was spent,
    fees included, in the quote asset. A position is positive (long) or negative (short); profit is
    at `price`.
    """

    quantity: Decimal = NOTHING
    cash: Decimal = NOTHING
    price: Decimal | None = None  # the market's, or the last fill's
    day: str = ""  # in UTC, as 2026-11-22
    profit_at_midnight: Decimal = NOTHING
    priced_at: float = 0.0
    # As it was when the day began: what is told later of the day before corrects it.
    quantity_at_midnight: Decimal = NOTHING
    price_at_midnight: Decimal | None = None
    midnight_priced_at: float = 0.0

    @property
    def profit(self) -> Decimal | None:
        """Since the beginning, in the quote asset; None where the price isn't known."""
        if self.price is None:
            return None if self.quantity else self.cash
        return self.cash + self.quantity * self.price

    @property
    def profit_today(self) -> Decimal | None:
        """Since midnight UTC."""
        profit = self.profit
        return None if profit is None else profit - self.profit_at_midnight

    def roll(self, day: str) -> None:
        """*day* is today: what was won before it isn't today's. Days don't go back."""
        if self.profit is not None:
            self._begin(day)

    def see(self, price: Decimal, at: float, newer_by: float = 0.0) -> None:
        """The market's price was *price*; a known one stands that isn't older by *newer_by*."""
        self._begin(day_of(at))
        if self.price is None or at >= self.priced_at + newer_by:
            self.price, self.priced_at = price, at
        told_late = day_of(at) < self.day
        if self.price_at_midnight is None or (
            told_late and at >= self.midnight_priced_at + newer_by
        ):
            before = self.price_at_midnight or NOTHING
            self.profit_at_midnight += self.quantity_at_midnight * (price - before)
            self.price_at_midnight, self.midnight_priced_at = price, at if told_late else 0.0

    def trade(self, quantity: Decimal, cash: Decimal, at: float) -> None:
        """A fill, or its fee, changed the base asset by *quantity*, the quote asset by *cash*."""
        self._begin(day_of(at))
        self.quantity += quantity
        self.cash += cash
        if day_of(at) < self.day:
            self.quantity_at_midnight += quantity
            self.profit_at_midnight += cash + quantity * (self.price_at_midnight or NOTHING)

    def _begin(self, day: str) -> None:
        """What is held now is what was held at midnight; without a price that is still to come."""
        if self.day < day:
            self.profit_at_midnight = self.cash + self.quantity * (self.price or NOTHING)
            self.quantity_at_midnight, self.price_at_midnight = self.quantity, self.price
            was_before = day_of(self.priced_at) < day
            self.midnight_priced_at = self.priced_at if was_before else 0.0
            self.day = day


def lost_today(positions: Iterable[Position]) -> Decimal:
    """What was lost with all of *positions* since midnight UTC; gains are negative."""
    profits = (position.profit_today for position in positions)
    return -sum((profit for profit in profits if profit is not None), NOTHING)


def day_of(at: float) -> str:
    """The day in UTC of a moment."""
    return datetime.fromtimestamp(at // DAY * DAY, UTC).date().isoformat()
