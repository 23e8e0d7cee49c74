"""Kill the real connectors, again and again: `python -m tests.chaos --runs 700`."""

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from redis.exceptions import RedisError

from tests.chaos.plan import draw
from tests.chaos.run import Outcome, carry_out

WITHIN = 240.0


def main() -> int:
    """0 if every run kept every promise, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first run")
    parser.add_argument("--jobs", type=int, default=4, help="how many at a time")
    parser.add_argument("--only", type=int, nargs="+", help="these runs alone, by number")
    options = parser.parse_args()
    seeds = options.only or range(options.seed, options.seed + options.runs)
    started = time.monotonic()
    outcomes = asyncio.run(_run_all(seeds, options.jobs))
    _print_table(outcomes, time.monotonic() - started)
    return 1 if any(outcome.violations for outcome in outcomes) else 0


async def _run_all(seeds: Sequence[int], jobs: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    waiting = iter(seeds)

    async def work() -> None:
        for seed in waiting:
            outcome = await _run(seed)
            outcomes.append(outcome)
            broken = len(outcome.violations)
            _say(
                f"{len(outcomes)}/{len(seeds)} {outcome.seconds:5.1f} s  "
                f"{'BROKEN ' + str(broken) if broken else 'kept'}  {outcome.plan}"
            )
            if broken:
                _say("\n".join(outcome.violations))
                _say(outcome.report)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(jobs):
            tasks.create_task(work())
    return outcomes


async def _run(seed: int) -> Outcome:
    plan = draw(seed)
    with tempfile.TemporaryDirectory(prefix=f"chaos-{seed}-") as folder:
        try:
            async with asyncio.timeout(WITHIN):
                return await carry_out(plan, Path(folder))
        except (AssertionError, OSError, RuntimeError, TimeoutError, RedisError):
            report = f"{traceback.format_exc()}\nrepeat: python -m tests.chaos --only {seed}"
            return Outcome(
                plan, ["ERROR: the run couldn't be carried out"], False, False, 0.0, report=report
            )


def _print_table(outcomes: list[Outcome], seconds: float) -> None:
    for column in ("failpoint", "fault", "venue", "fate", "how", "lost_replies", "stream_fault"):
        _say(f"\n{column:24} {'runs':>5} {'reached':>8} {'fault':>6} {'broken':>7}")
        for row in _rows(outcomes, column):
            _say(row)
    answers: Counter[str] = Counter()
    for outcome in outcomes:
        answers += outcome.answers
    broken = [outcome.plan.seed for outcome in outcomes if outcome.violations]
    _say(f"\nfinal answers: {', '.join(f'{kind} {n}' for kind, n in answers.most_common())}")
    _say(f"{len(outcomes)} runs in {seconds:.0f} s, {len(broken)} broken: {sorted(broken)}")


def _rows(outcomes: list[Outcome], column: str) -> Iterator[str]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(str(getattr(outcome.plan, column)) or "none", []).append(outcome)
    for value, group in sorted(groups.items()):
        counts = [
            len(group),
            sum(outcome.struck for outcome in group),
            sum(outcome.faulted for outcome in group),
            sum(bool(outcome.violations) for outcome in group),
        ]
        yield f"{value:24} {counts[0]:5} {counts[1]:8} {counts[2]:6} {counts[3]:7}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
