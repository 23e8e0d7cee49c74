"""Rejections: how long the next order of the kind waits."""

import pytest

from services.bot.rejections import LONGEST_WAIT, PASSING, Rejections, after


def rejected(*reasons: str) -> Rejections:
    """So many times in a row, at 100 s each."""
    found: Rejections | None = None
    for reason in reasons:
        found = after(found, 100.0, reason, "because")
    assert found is not None
    return found


def test_after_a_reason_that_does_not_pass_the_wait_doubles() -> None:
    """Up to five minutes."""
    waits = [rejected(*["-2010"] * times).left(100.0) for times in range(1, 100)]
    assert waits[:7] == [5, 10, 20, 40, 80, 160, 300]
    assert set(waits[7:]) == {LONGEST_WAIT}


@pytest.mark.parametrize("reason", sorted(PASSING))
def test_after_a_reason_that_passes_the_wait_is_short(reason: str) -> None:
    """However often; and it is no step towards a longer one."""
    assert rejected(*[reason] * 9).left(100.0) == 2
    assert rejected(*[reason] * 9, "-2010").left(100.0) == 5


def test_the_wait_ends_and_a_clock_that_was_set_back_ends_it_too() -> None:
    """Nobody waits for a time that may never come."""
    found = rejected("-2010")
    assert [found.left(now) for now in (99.9, 100.0, 103.0, 105.0, 1e9)] == [0, 5, 2, 0, 0]
