"""The simulation finds bugs: each planted one breaks a promise in a recorded world."""

import pytest

from services._connector_kit.orders.account import order_status
from tests.simulation.plan import draw
from tests.simulation.planted import PLANTED
from tests.simulation.sweep import run_plan

# The worlds were found with `python -m tests.simulation --bug NAME`.
RECORDED = {
    "ack first, without a book of record": (66, "SILENT"),
    "no book of record": (97, "PENDING"),
    "new id on retry": (52, "POSTS"),
    "resend on timeout": (192, "DOUBLE"),
    "query then resend": (1639, "DOUBLE"),
    "no compare-and-set": (412, "POSTS"),
    "a claim in several steps": (179299, "PENDING"),
    "no wait for the validity window": (52, "EVIDENCE"),
    "blind trust after Redis forgot": (10, "DOUBLE"),
    "fresh timestamp at send": (1110, "EVIDENCE"),
    "deciding without owning": (27, "LIE"),
    "rejected on timeout": (192, "LIE"),
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


def test_fills_that_are_published_again_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of the ledger shows in a whole world."""
    right = order_status._new_fills
    monkeypatch.setattr(order_status, "_new_fills", lambda _, report: right(None, report))
    found = [v for seed in range(12) for v in run_plan(draw(seed, whole=True)).violations]
    assert "FILL" in {violation.partition(":")[0] for violation in found}
