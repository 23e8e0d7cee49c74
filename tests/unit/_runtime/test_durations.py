"""Durations as text."""

import pytest

from services._runtime.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1w", 604_800)],
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, seconds: int) -> None:
    """Seconds to weeks."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "1.5h", "5M", "5mm", "5y", "\u0665m"])
def test_other_text_is_not_a_duration(text: str) -> None:
    """Only ASCII digits count as digits."""
    assert parse_duration(text) is None


def test_units_can_be_restricted() -> None:
    """Timeframes of candles have no weeks."""
    assert parse_duration("1w", "smhd") is None
    assert parse_duration("1d", "smhd") == 86_400
