"""A position's profit, in all and of the day."""

from collections.abc import Iterable
from decimal import Decimal
from operator import itemgetter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime.position import Position, day_of, lost_today

Event = tuple[Any, ...]
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
    assert held.day == "2026-11-23"
    assert held.profit_at_midnight == -20


def test_without_a_price_nothing_is_known_and_the_day_waits() -> None:
    """Where nothing is held the money alone says it."""
    held = position("2", "-200", None, day="2026-11-22")
    held.roll("2026-11-23")
    assert held.profit_today is None
    assert held == position("2", "-200", None, day="2026-11-22")
    closed = position("0", "-7", None, day="2026-11-22")
    closed.roll("2026-11-23")
    assert closed.profit_today == 0
    assert closed.day == "2026-11-23"
    assert closed.profit_at_midnight == -7


def test_the_first_price_is_the_mark_if_none_was_known_at_midnight() -> None:
    """Of a position whose fills came without one."""
    held = position("2", "-200", None, day="2026-11-22")
    held.see(Decimal(90), MIDNIGHT)
    held.see(Decimal(80), MIDNIGHT + 1)
    assert (held.day, held.profit_today) == ("2026-11-29", Decimal(-20))


def test_gains_make_up_for_losses() -> None:
    """Of all positions together; one without a price counts for nothing."""
    lost, won = position("1", "-100", "70"), position("-1", "100", "90")
    assert lost_today([lost, won, position("1", "-100", None)]) == 20
    assert lost_today([won]) == -10
    assert lost_today([]) == 0


MIDNIGHT = 1_795_910_400.0  # 2026-11-29, 00:00 UTC
AT = st.integers(-3600, 3600)
# A price, or a fill: quantity and money; and when, in seconds from midnight on.
EVENTS = st.lists(
    st.tuples(AT, PRICES) | st.tuples(AT, st.integers(-5, 5), PRICES),
    max_size=12,
    unique_by=itemgetter(0),
)


def after(events: Iterable[Event]) -> Position:
    """The position once it was told of these."""
    held = Position()
    for at, *what in events:
        if len(what) == 1:
            held.see(what[0], MIDNIGHT + at)
        else:
            held.trade(Decimal(what[0]), -what[0] * what[1], MIDNIGHT + at)
    return held


@given(EVENTS, PRICES, PRICES, st.randoms(use_true_random=False))
def test_the_profit_of_the_day_does_not_depend_on_the_order_of_events(
    events: list[Event], before: Decimal, now: Decimal, chance: Random
) -> None:
    """What the fills of today made, and what was held at midnight since the last price before it.

    As after a restart: streams are read one beside the other, each from where it was left.
    """
    known: list[Event] = [*events, (-3601, before), (3601, now)]
    chance.shuffle(known)
    prices = {at: what[0] for at, *what in known if len(what) == 1}
    fills = [(at, *what) for at, *what in known if len(what) == 2]
    mark = prices[max(at for at in prices if at < 0)]
    expected = sum(
        (quantity * (now - (mark if at < 0 else paid)) for at, quantity, paid in fills),
        Decimal(0),
    )
    held = after(known)
    assert (held.day, held.profit_today) == ("2026-11-29", expected)


def test_a_fill_is_a_price_if_no_newer_one_is_known() -> None:
    """Else the market's stands, which lies between bid and ask."""
    held = position("1", "-100", "100")
    held.see(Decimal(100), MIDNIGHT)
    held.see(Decimal(105), MIDNIGHT + 59, newer_by=60)
    assert held.price == 100
    held.see(Decimal(105), MIDNIGHT + 60, newer_by=60)
    assert held.price == 105


@pytest.mark.parametrize(
    ("at", "day"), [(0, "2026-11-29"), (-0.001, "2026-11-28"), (86399.999, "2026-11-29")]
)
def test_a_day_is_one_in_utc(at: float, day: str) -> None:
    """Midnight is the day's own."""
    assert day_of(MIDNIGHT + at) == day
