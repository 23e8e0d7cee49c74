"""The simulation finds bugs: each planted one breaks a promise in a recorded world."""

import pytest

from tests.simulation.plan import draw
from tests.simulation.planted import PLANTED
from tests.simulation.sweep import run_plan

# The worlds were found with `python -m tests.simulation --bug NAME`.
RECORDED = {
    "ack first": (2, "SILENT"),
    "new id on retry": (82, "STRAY"),
    "resend on timeout": (82, "POSTS"),
    "query then resend": (82, "POSTS"),
    "no compare-and-set": (1457, "DOUBLE"),
    "no wait for the validity window": (123, "LIE"),
    "blind trust after Redis forgot": (10, "DOUBLE"),
    "fresh timestamp at send": (1816, "LIE"),
    "deciding without owning": (246, "DUPLICATE"),
    "rejected on timeout": (137, "LIE"),
}


def test_every_planted_bug_has_its_world() -> None:
    """No bug is planted without a recorded world that shows it."""
    assert set(RECORDED) == set(PLANTED)


@pytest.mark.parametrize("bug", PLANTED)
def test_the_recorded_world_finds_the_planted_bug(bug: str) -> None:
    """With the bug the promise breaks, in the way it was recorded."""
    seed, kind = RECORDED[bug]
    violations = run_plan(draw(seed), bug).violations
    assert kind in {violation.partition(":")[0] for violation in violations}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_product_keeps_its_promise_in_that_very_world(bug: str) -> None:
    """It is the bug that breaks it, not the world."""
    assert run_plan(draw(RECORDED[bug][0])).violations == []
