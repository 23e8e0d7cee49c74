"""What the traders believe: it wanders near its start, or it trends and ranges."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.fair_value import (
    MAX_DISTANCE,
    RANGING,
    TRENDING,
    Character,
    FairValue,
)

START = 6_425_000
MINUTE = 2400  # actions, at 40 a second


def path(
    seed: int, actions: int, phase: int | None = MINUTE, character: Character = RANGING
) -> list[float]:
    """The price after each action, as a share of the first one."""
    value = FairValue(START, Random(seed), Random(f"{seed}:phases"), character, phase)
    prices = []
    for _ in range(actions):
        value.act()
        prices.append(value.price / START)
    return prices


def test_without_phases_it_stays_near_where_it_began() -> None:
    """An hour of it."""
    assert all(abs(price - 1) < 0.01 for price in path(1, 60 * MINUTE, phase=None))


@pytest.mark.parametrize("character", [RANGING, TRENDING])
def test_with_phases_it_moves_more_than_a_round_trip_costs(character: Character) -> None:
    """0.2 % in fees, within two minutes out of three."""
    prices = path(2, 60 * MINUTE, character=character)
    minutes = [prices[i : i + MINUTE] for i in range(0, len(prices), MINUTE)]
    wide = [minute for minute in minutes if max(minute) / min(minute) > 1.004]
    assert len(wide) > 40


@pytest.mark.slow
def test_one_character_trends_farther_the_other_turns_more_often() -> None:
    """Over ten hours: from one minute to the next, and how often a minute leads back."""

    def lasting(character: Character) -> float:
        marks = path(3, 600 * MINUTE, character=character)[:: MINUTE // 2]
        moves = [after - before for before, after in itertools.pairwise(marks)]
        same = sum(one * other > 0 for one, other in itertools.pairwise(moves))
        return same / len(moves)

    assert lasting(TRENDING) > lasting(RANGING) + 0.1


@given(st.integers(0, 1_000), st.sampled_from([RANGING, TRENDING]))
def test_it_never_leaves_for_good(seed: int, character: Character) -> None:
    """The farther away, the likelier a trend leads back: hours later it is still in sight."""
    value = FairValue(START, Random(seed), Random(seed), character, 20)
    for _ in range(3_000):
        value.act()
        assert abs(value.price / START - 1) < MAX_DISTANCE + character.trend[1] + 0.01


def test_the_same_seed_is_the_same_path() -> None:
    """And another is another."""
    assert path(5, 5_000) == path(5, 5_000)
    assert path(5, 5_000) != path(6, 5_000)


def test_after_a_move_it_goes_on_from_there() -> None:
    """A flash crash is where it begins anew."""
    value = FairValue(START, Random(1), Random(1), TRENDING, MINUTE)
    for _ in range(10_000):
        value.act()
    value.move(START // 2)
    value.act()
    assert value.price == pytest.approx(START / 2, rel=0.001)
