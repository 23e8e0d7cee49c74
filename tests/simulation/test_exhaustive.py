"""Kills at every point of an order's way, and at pairs of them: a slice of the long run."""

import pytest

from tests.simulation.exhaustive import FAULTS, base, second_kills, single_kills
from tests.simulation.plan import VENUES
from tests.simulation.sweep import run_plan
from tests.simulation.venue_order import VenueKind

pytestmark = pytest.mark.timeout(300)

SEED = 3


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_kill_anywhere_breaks_no_promise(fault: str, venue: VenueKind) -> None:
    """Every second point, and after some of them a second kill."""
    for count, once in enumerate(single_kills(base(SEED, fault, venue), every=2)):
        assert run_plan(once).violations == []
        if count % 10 == 0:
            for twice in second_kills(once, every=15):
                assert run_plan(twice).violations == []
