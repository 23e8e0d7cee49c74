"""A share of the chaos runs; and that they do the harm they are meant to do."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.plan import FATES, FAULTS, HOWS, REACHING, VENUES, Plan, draw, failpoints, reaching
from tests.chaos.run import Outcome, carry_out

RUNS = 40
BATCH = 5
AT_ONCE = 2
# Each failpoint once, then runs of the matrix as it comes.
SHARE = [reaching(name) for name in failpoints()]
SHARE += [draw(seed) for seed in range(RUNS - len(SHARE))]
BATCHES = [SHARE[first : first + BATCH] for first in range(0, RUNS, BATCH)]


async def carry_out_all(plans: Sequence[Plan], folder: Path) -> list[Outcome]:
    """Some runs at once: most of a run is waiting."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(plan: Plan) -> Outcome:
        async with room:
            return await carry_out(plan, folder / str(plan.seed))

    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(one(plan)) for plan in plans]
    return [run.result() for run in runs]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plans", BATCHES, ids=lambda plans: f"{plans[0].seed}-{plans[-1].seed}")
async def test_money_is_safe_whatever_is_killed(plans: Sequence[Plan], tmp_path: Path) -> None:
    """At most one order for a command, one final answer, and the streams say what is so."""
    for outcome in await carry_out_all(plans, tmp_path):
        assert outcome.violations == [], outcome.report
        assert outcome.struck or outcome.plan.seed < REACHING, outcome.plan


def test_every_failpoint_has_a_run_that_must_reach_it() -> None:
    """A point that is never reached proves nothing; a new one is taken up by itself."""
    assert len(failpoints()) > 15
    assert {plan.failpoint for plan in SHARE} >= set(failpoints())


def test_the_matrix_has_every_point_with_every_fault_venue_and_fate() -> None:
    """No value is left out of the long run, and the same number is the same run."""
    plans = [draw(seed) for seed in range(700)]
    assert {plan.failpoint for plan in plans} == {"", *failpoints()}
    assert {plan.fault for plan in plans} == set(FAULTS)
    assert {plan.venue for plan in plans} == set(VENUES)
    assert {plan.fate for plan in plans} == set(FATES)
    assert {plan.how for plan in plans} == set(HOWS)
    assert plans[17] == draw(17)
