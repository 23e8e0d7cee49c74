"""A position's profit, in all and of the day."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services._runtime.position import Position, lost_today

PRICES = st.decimals("1", "1000", places=2)


def position(
    quantity: str, cash: str, price: str | None, day: str = "", before: str = "0"
) -> Position:
    """What is held, and its money."""
    valued_at = None if price is None else Decimal(price)
    return Position(Decimal(quantity), Decimal(cash), valued_at, day, Decimal(before))


@given(st.lists(st.tuples(st.integers(-50, 50), PRICES), max_size=8), PRICES)
def test_profit_is_what_selling_all_of_it_would_leave(
    trades: list[tuple[int, Decimal]], price: Decimal
) -> None:
    """Whether long or short, and however often it went through zero."""
    held = Position(price=price)
    for quantity, paid in trades:
        held.quantity += quantity
        held.cash -= quantity * paid
    assert held.profit == sum((quantity * (price - paid) for quantity, paid in trades), Decimal(0))


def test_a_new_day_begins_at_nothing_and_comes_once() -> None:
    """At the price of that moment; a clock that goes back changes nothing."""
    held = position("2", "-200", "90", day="2026-11-22")
    assert held.profit_today == -20
    held.roll("2026-11-22")
    assert held.profit_today == -20
    held.roll("2026-11-23")
    assert held.profit_today == 0
    held.price = Decimal(85)
    held.roll("2026-11-22")
    assert held.profit_today == -10
    assert held == position("2", "-200", "85", day="2026-11-23", before="-20")


def test_without_a_price_nothing_is_known_and_the_day_waits() -> None:
    """Where nothing is held the money alone says it."""
    held = position("2", "-200", None, day="2026-11-22")
    held.roll("2026-11-23")
    assert held.profit_today is None
    assert held == position("2", "-200", None, day="2026-11-22")
    closed = position("0", "-7", None, day="2026-11-22")
    closed.roll("2026-11-23")
    assert closed.profit_today == 0
    assert closed == position("0", "-7", None, day="2026-11-23", before="-7")


def test_gains_make_up_for_losses() -> None:
    """Of all positions together; one without a price counts for nothing."""
    lost, won = position("1", "-100", "70"), position("-1", "100", "90")
    assert lost_today([lost, won, position("1", "-100", None)]) == 20
    assert lost_today([won]) == -10
    assert lost_today([]) == 0
