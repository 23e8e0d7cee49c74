"""The product's order core in random worlds: no double order, no silence, no lie."""

from collections import Counter

import pytest

from tests.simulation.faults import FAULTS
from tests.simulation.plan import MODES, VENUES, draw
from tests.simulation.sweep import run_plan, sweep

# Every mode on every fault of both venues, twice.
WORLDS = 2 * len(MODES) * len(FAULTS) * len(VENUES)
CHUNK = 52
WHOLE_WORLDS = 104
EVERYTHING = {
    "accepted",
    "replay",
    "outcome_unknown",
    "not_found",
    "ghost",
    "duplicate_id",
    "invalid_command",
    "expired",
    "clock",
    "halted",
    "rate_limited",
    "exchange_rejected",
    "unknown_symbol",
}


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_every_promise_is_kept(first: int) -> None:
    """Whatever goes wrong, each command has at most one order and exactly one true answer."""
    results = [run_plan(draw(seed)) for seed in range(first, first + CHUNK)]
    assert {r.plan.seed: r.violations for r in results if r.violations} == {}


@pytest.mark.parametrize("first", range(0, WHOLE_WORLDS, CHUNK // 2))
def test_every_promise_is_kept_in_a_whole_world(first: int) -> None:
    """With account, requests, gate and settings too: what is published is what the venue has."""
    seeds = range(first, first + CHUNK // 2)
    results = [run_plan(draw(seed, whole=True)) for seed in seeds]
    assert {r.plan.seed: r.violations for r in results if r.violations} == {}


def test_the_worlds_hold_everything_that_can_be_answered() -> None:
    """The worlds are not idle: each kind of answer comes up in them."""
    answers: Counter[str] = Counter()
    for seed in range(2000, 2600):
        answers += run_plan(draw(seed)).answers
        if set(answers) >= EVERYTHING:
            return
    assert set(answers) >= EVERYTHING


def test_a_sweep_counts_every_world_once() -> None:
    """What several processes found is added up, broken promises with their seeds."""
    *_, tally = sweep(first_seed=100, worlds=60, jobs=2, bug="rejected on timeout")
    assert tally.worlds.total() == 60
    assert tally.violations.total() > 0
    assert tally.failed[0].plan == draw(tally.failed[0].plan.seed)
