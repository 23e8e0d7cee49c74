"""What a person sees: numbers, durations, and nothing that a terminal obeys."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime.text_sanitizing import escape_control_characters
from services.tradectl.show import number, span, summary


@given(st.text())
def test_cleaned_text_holds_printable_characters_only(text: str) -> None:
    """Whatever was in it; what was printable already stays as it is."""
    assert all(c.isprintable() for c in escape_control_characters(text))
    if text.isprintable():
        assert escape_control_characters(text) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_shown_whole_and_without_an_exponent(value: float) -> None:
    """No digit is lost."""
    shown = number(value)
    assert Decimal(shown) == Decimal(str(value))
    assert "e" not in shown.lower()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.00001, "0.00001"), (60000.0, "60000"), (True, "True"), ("a\x1bb", "a\\x1bb")],
)
def test_other_values_are_shown_as_they_are(value: object, shown: str) -> None:
    """Nothing is a dash, and text is cleaned."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0421, "42 ms"), (-0.5, "-500 ms"), (3.25, "3.2 s"), (600, "10 min"), (86400, "24.0 h")],
)
def test_a_duration_is_shown_in_the_unit_that_fits(seconds: float, shown: str) -> None:
    """From milliseconds to hours."""
    assert span(seconds) == shown


def test_a_message_on_one_line_keeps_its_zeros_and_leaves_out_what_is_empty() -> None:
    """Levels and fills as quantity at price, a fee as asset and amount."""
    fields = {
        "filled_quantity": 0,
        "price": None,
        "replay": False,
        "bids": [{"price": 10.0, "quantity": 0.5}, {"price": 9.0, "quantity": 1}],
        "asks": [],
        "trades": [{"price": 10, "quantity": 1, "trade_id": "7"}],
        "fee": {"BTC": 1e-06},
        "stopped": {"a": {"b": "c\x07"}},
    }
    assert summary(fields) == (
        "filled_quantity=0 bids=0.5@10(+1) trades=1@10 fee=BTC:0.000001 "
        'stopped={"a": {"b": "c\\u0007"}}'
    )
