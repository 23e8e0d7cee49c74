"""The fair value: a random walk near its start, or trends and ranges."""

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


def test_without_phases_the_value_stays_near_its_start() -> None:
    """For an hour."""
    assert all(abs(price - 1) < 0.01 for price in path(1, 60 * MINUTE, phase=None))


@pytest.mark.parametrize("character", [RANGING, TRENDING])
def test_with_phases_the_value_moves_more_than_a_round_trip_costs(character: Character) -> None:
    """0.2 % in fees, within two minutes out of three."""
    prices = path(2, 60 * MINUTE, character=character)
    minutes = [prices[i : i + MINUTE] for i in range(0, len(prices), MINUTE)]
    wide = [minute for minute in minutes if max(minute) / min(minute) > 1.004]
    assert len(wide) > 40


@pytest.mark.slow
def test_trending_markets_move_farther_and_ranging_markets_turn_more_often() -> None:
    """Over ten hours: the change from minute to minute, and the share of reversals."""

    def lasting(character: Character) -> float:
        marks = path(3, 600 * MINUTE, character=character)[:: MINUTE // 2]
        moves = [after - before for before, after in itertools.pairwise(marks)]
        same = sum(one * other > 0 for one, other in itertools.pairwise(moves))
        return same / len(moves)

    assert lasting(TRENDING) > lasting(RANGING) + 0.1


@given(st.integers(0, 1_000), st.sampled_from([RANGING, TRENDING]))
def test_the_value_stays_within_a_bounded_distance(seed: int, character: Character) -> None:
    """The farther away, the more likely a trend leads back, even after hours."""
    value = FairValue(START, Random(seed), Random(seed), character, 20)
    for _ in range(3_000):
        value.act()
        assert abs(value.price / START - 1) < MAX_DISTANCE + character.trend[1] + 0.01


def test_the_same_seed_gives_the_same_path() -> None:
    """Another seed gives another path."""
    assert path(5, 5_000) == path(5, 5_000)
    assert path(5, 5_000) != path(6, 5_000)


def test_the_value_continues_from_the_price_of_a_move() -> None:
    """The price after a flash crash is the new start."""
    value = FairValue(START, Random(1), Random(1), TRENDING, MINUTE)
    for _ in range(10_000):
        value.act()
    value.move(START // 2)
    value.act()
    assert value.price == pytest.approx(START / 2, rel=0.001)
