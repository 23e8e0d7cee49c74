"""Run the order core through simulated worlds: `python -m tests.simulation --worlds 1000`."""

import argparse
import sys
import time
from collections.abc import Iterator

from tests.simulation.exhaustive import base, killed_at
from tests.simulation.plan import VENUES, Plan, draw
from tests.simulation.planted import PLANTED
from tests.simulation.sweep import Result, Tally, sweep, sweep_kills
from tests.simulation.world import simulate

SAY_EVERY = 10.0


def main() -> int:
    """0 if every world kept every promise, else 1."""
    options = _options()
    if options.trace:
        return _replay(options)
    started = time.monotonic()
    tallies = (
        sweep_kills(options.seeds, options.jobs)
        if options.kills
        else sweep(
            options.seed, options.worlds, options.jobs, options.bug, whole=options.whole or None
        )
    )
    tally = _watch(tallies, started, options.bug)
    _print_table(tally, ("mode", "fault"), time.monotonic() - started, cells=options.cells)
    return 1 if tally.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000, help="how many random worlds")
    parser.add_argument("--seed", type=int, default=0, help="of the first world")
    parser.add_argument("--whole", action="store_true", help="only worlds that have everything")
    parser.add_argument("--jobs", type=int, help="processes; as many as there are cores")
    parser.add_argument("--cells", action="store_true", help="a row for each mode and fault")
    parser.add_argument("--kills", action="store_true", help="every kill and pair of kills instead")
    parser.add_argument("--seeds", type=int, default=2, help="with --kills: of each kind of world")
    parser.add_argument("--bug", choices=PLANTED, help="plant this one in the core")
    parser.add_argument("--trace", action="store_true", help="tell what happens in world --seed")
    parser.add_argument("--fault", help="with --trace: replay a world of --kills")
    parser.add_argument("--venue", choices=VENUES, default="binance", help="of that world")
    parser.add_argument("--at", type=int, nargs="*", default=[], help="the points of its kills")
    return parser.parse_args()


def _replay(options: argparse.Namespace) -> int:
    if options.fault:
        plan = killed_at(base(options.seed, options.fault, options.venue), *options.at)
    else:
        plan = draw(options.seed, whole=options.whole or None)
    outcome = simulate(plan, PLANTED[options.bug] if options.bug else None, trace=True)
    _say(f"mode {plan.mode}, fault {plan.fault}, venue {plan.venue}, lease {plan.lease}")
    for line in outcome.trace:
        _say(line)
    for violation in outcome.violations or ["every promise was kept"]:
        _say(violation)
    return 1 if outcome.violations else 0


def _watch(tallies: Iterator[Tally], started: float, bug: str | None) -> Tally:
    """Print each failure at once, and the progress every few seconds; returns the last tally."""
    tally, said, printed = Tally(), started, 0
    for tally in tallies:
        for result in tally.failed[printed:]:
            _print_failure(result, bug)
        printed = len(tally.failed)
        if time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            done = tally.worlds.total()
            rate = done / (said - started)
            _say(f"{done} worlds, {rate:.0f}/s, {tally.violations.total()} violations")
    return tally


def _print_table(tally: Tally, names: tuple[str, str], seconds: float, *, cells: bool) -> None:
    columns = [(0, 1, 2)] if cells else [(0, 2), (1, 2)]
    for chosen in columns:
        title = " x ".join([*names, "venue"][column] for column in chosen)
        _say(f"\n{title:44} {'worlds':>9} {'commands':>9} {'violations':>10}")
        for row, worlds, commands, violations in tally.by(*chosen):
            _say(f"{' | '.join(row):44} {worlds:9} {commands:9} {violations:10}")
    total = (tally.worlds.total(), tally.commands.total(), tally.violations.total())
    _say(f"{'total':44} {total[0]:9} {total[1]:9} {total[2]:10}   in {seconds:.0f} s")
    answers = ", ".join(f"{kind} {count}" for kind, count in tally.answers.most_common())
    _say(f"\nanswers: {answers}")


def _print_failure(result: Result, bug: str | None) -> None:
    plan = result.plan
    _say(f"\nseed {plan.seed}: {plan.mode} | {plan.fault} | {plan.venue}")
    for violation in result.violations:
        _say(f"  {violation}")
    _say(f"  replay: python -m tests.simulation --trace --seed {_replay_arguments(plan, bug)}")


def _replay_arguments(plan: Plan, bug: str | None) -> str:
    planted = f' --bug "{bug}"' if bug else ""
    if plan == draw(plan.seed):
        return f"{plan.seed}{planted}"
    if plan == draw(plan.seed, whole=True):
        return f"{plan.seed} --whole"
    points = " ".join(str(trigger.nth) for trigger in plan.triggers)
    return f"{plan.seed} --fault {plan.fault} --venue {plan.venue} --at {points}{planted}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
