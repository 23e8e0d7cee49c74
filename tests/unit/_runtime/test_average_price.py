"""At which price a position was entered, whatever was bought and sold."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime.average_price import average_price

TRADES = st.lists(
    st.tuples(
        st.integers(-5, 5).filter(bool).map(Decimal), st.integers(1, 200).map(Decimal)
    ),  # a quantity, at a price
    min_size=1,
    max_size=20,
)


@pytest.mark.parametrize(
    ("held", "average", "traded", "price", "wanted"),
    [
        ("0", None, "2", "100", "100"),  # entered
        ("2", "100", "2", "110", "105"),  # more of it
        ("4", "105", "-1", "200", "105"),  # less of it
        ("4", "105", "-4", "200", None),  # none is left
        ("4", "105", "-5", "200", "200"),  # through zero: short, entered there
        ("-1", "200", "-3", "100", "125"),  # more of a short
        ("-4", "125", "1", "90", "125"),
        ("4", None, "2", "110", None),  # of a part it isn't known
        ("4", None, "-2", "110", None),
        ("4", None, "-5", "110", "110"),  # that part is gone
    ],
)
def test_the_average_is_of_what_is_held_and_was_entered(
    held: str, average: str | None, traded: str, price: str, wanted: str | None
) -> None:
    """It changes where the position grows."""
    known = None if average is None else Decimal(average)
    found = average_price(Decimal(held), known, Decimal(traded), Decimal(price))
    assert found == (None if wanted is None else Decimal(wanted))


@given(TRADES)
def test_an_average_is_between_the_prices_since_the_position_was_opened(
    trades: list[tuple[Decimal, Decimal]],
) -> None:
    """Nothing from before it was flat, or the other way round, is left in it."""
    held, average = Decimal(0), None
    entered: list[Decimal] = []
    for traded, price in trades:
        average = average_price(held, average, traded, price)
        if held * (held + traded) <= 0:
            entered = []
        held += traded
        if held * traded > 0:
            entered.append(price)
        assert (average is None) == (held == 0)
        if average is not None:
            assert round(min(entered), 9) <= round(average, 9) <= round(max(entered), 9)
