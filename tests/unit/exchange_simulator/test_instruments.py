"""Instruments, and numbers as texts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.instruments import (
    INSTRUMENTS,
    SimulatedInstrument,
    fixed,
    trimmed,
    whole,
)

numbers = st.integers(0, 10**15)
scales = st.integers(0, 8)


@given(st.integers(-(10**15), 10**15), scales)
def test_fixed_writes_the_exact_number_with_eight_decimals(number: int, scale: int) -> None:
    """The text equals the number exactly."""
    text = fixed(number, scale)
    assert Decimal(text) == Decimal(number).scaleb(-scale)
    assert len(text.partition(".")[2]) == 8


@given(numbers, scales)
def test_trimmed_writes_the_exact_number_and_two_decimals_at_least(number: int, scale: int) -> None:
    """No further trailing zeros."""
    text = trimmed(number, scale)
    fraction = text.partition(".")[2]
    assert Decimal(text) == Decimal(number).scaleb(-scale)
    assert len(fraction) == 2 or (len(fraction) > 2 and fraction[-1] != "0")


@given(numbers, scales)
def test_whole_reads_back_what_was_written(number: int, scale: int) -> None:
    """For `fixed` and `trimmed`."""
    assert whole(fixed(number, scale), scale) == number
    assert whole(trimmed(number, scale), scale) == number


@pytest.mark.parametrize("text", ["", ".", "1.2.3", "-1", "1e5", "0x1", "1.001", "\uff11"])
def test_whole_refuses_invalid_texts(text: str) -> None:
    """Not a number, a sign, an exponent, or more decimals than the scale."""
    with pytest.raises(ValueError, match="expected"):
        whole(text, 2)


def test_pairs_are_unique_across_venues() -> None:
    """A pair identifies its venue."""
    pairs = [instrument.pair for instrument in INSTRUMENTS]
    assert len(set(pairs)) == len(pairs)


def test_both_venues_have_the_symbols_that_are_configured_by_default() -> None:
    """BTC and ETH against USDT on Binance, XBT and ETH against ZAR on Luno."""
    listed = {(instrument.venue, instrument.symbol) for instrument in INSTRUMENTS}
    assert listed >= {
        ("binance", "BTC/USDT"),
        ("binance", "ETH/USDT"),
        ("luno", "XBT/ZAR"),
        ("luno", "ETH/ZAR"),
    }


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda i: i.symbol)
def test_the_limits_of_an_instrument_are_consistent(instrument: SimulatedInstrument) -> None:
    """The start price and the typical quantity are well within the limits."""
    assert instrument.min_price * 10 < instrument.start_price < instrument.max_price / 5
    assert (
        instrument.min_quantity < instrument.typical_quantity * 20 < instrument.max_market_quantity
    )
    assert instrument.money_scale <= 8
