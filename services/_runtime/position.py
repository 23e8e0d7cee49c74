"""What is held of one market, and what it made. Pure."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

NOTHING = Decimal(0)


class Position(msgspec.Struct):
    """What was bought less what was sold, in the base asset, and the money of it.

    `cash` is what was received less what was spent, fees included, in the quote asset. A position
    is positive (long) or negative (short); profit is at `price`.
    """

    quantity: Decimal = NOTHING
    cash: Decimal = NOTHING
    price: Decimal | None = None  # the market's, or the last fill's
    day: str = ""  # in UTC, as 2026-11-22
    profit_at_midnight: Decimal = NOTHING

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
        profit = self.profit
        if self.day < day and profit is not None:
            self.profit_at_midnight, self.day = profit, day


def lost_today(positions: Iterable[Position]) -> Decimal:
    """What was lost with all of *positions* since midnight UTC; gains are negative."""
    profits = (position.profit_today for position in positions)
    return -sum((profit for profit in profits if profit is not None), NOTHING)
