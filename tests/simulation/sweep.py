"""Many worlds on all cores, and what came of them."""

import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.exhaustive import all_bases, second_kills, single_kills
from tests.simulation.plan import Plan, draw
from tests.simulation.planted import PLANTED
from tests.simulation.world import simulate

CHUNK = 50
# So many failures are kept to be shown.
MOST_SHOWN = 10


@dataclass(frozen=True)
class Result:
    """One world, in short."""

    plan: Plan
    commands: int
    answers: Counter[str]
    violations: list[str]


@dataclass
class Tally:
    """Counts by (mode, fault, venue), and the first worlds that broke a promise."""

    worlds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    commands: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    violations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one world."""
        cell = (result.plan.mode, result.plan.fault, result.plan.venue)
        self.worlds[cell] += 1
        self.commands[cell] += result.commands
        self.answers += result.answers
        self.violations[cell] += len(result.violations)
        if result.violations and len(self.failed) < MOST_SHOWN:
            self.failed.append(result)

    def by(self, *columns: int) -> Iterator[tuple[tuple[str, ...], int, int, int]]:
        """(names, worlds, commands, violations) for each combination of those columns."""
        sums: defaultdict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        for cell, worlds in self.worlds.items():
            row = sums[tuple(cell[column] for column in columns)]
            row[0] += worlds
            row[1] += self.commands[cell]
            row[2] += self.violations[cell]
        for names, (worlds, commands, violations) in sorted(sums.items()):
            yield names, worlds, commands, violations


def run_plan(plan: Plan, bug: str | None = None) -> Result:
    """Run one world on the product's core, or on the one with that planted bug."""
    outcome = simulate(plan, PLANTED[bug] if bug else None)
    return Result(plan, outcome.commands, outcome.answers, outcome.violations)


def _run_seeds(bug: str | None, whole: bool | None, seeds: range) -> list[Result]:
    return [run_plan(draw(seed, whole=whole), bug) for seed in seeds]


def _run_kills(once: Plan) -> list[Result]:
    return [run_plan(once), *(run_plan(twice) for twice in second_kills(once))]


def sweep(
    first_seed: int,
    worlds: int,
    jobs: int | None = None,
    bug: str | None = None,
    *,
    whole: bool | None = None,
) -> Iterator[Tally]:
    """Run *worlds* random worlds; the tally so far, again and again, and at the end."""
    last = first_seed + worlds
    chunks = [range(at, min(at + CHUNK, last)) for at in range(first_seed, last, CHUNK)]
    with multiprocessing.Pool(jobs or os.cpu_count()) as pool:
        yield from _tallied(pool.imap_unordered(partial(_run_seeds, bug, whole), chunks))


def sweep_kills(seeds: int, jobs: int | None = None) -> Iterator[Tally]:
    """Run every single kill and every pair of kills; the tally so far, again and again."""
    singles = (once for plan in all_bases(seeds) for once in single_kills(plan))
    with multiprocessing.Pool(jobs or os.cpu_count()) as pool:
        yield from _tallied(pool.imap_unordered(_run_kills, singles))


def _tallied(batches: Iterable[list[Result]]) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    for batch in batches:
        for result in batch:
            tally.add(result)
        yield tally
