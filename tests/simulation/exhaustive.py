"""One command, and every place at which its process can be killed: each alone, and each pair."""

import json
from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.faults import Faults, certain
from tests.simulation.plan import VENUES, Plan, Send, Trigger
from tests.simulation.venue import SYMBOL
from tests.simulation.venue_order import VenueKind
from tests.simulation.world import simulate

FAULTS = ("none", "lost", "late", "fails_before", "fails_after", "no_reply", "refused", "hidden")
DOWN_FOR = 1.0


def base(seed: int, fault: str, venue: VenueKind) -> Plan:
    """The world of one command in which nothing is killed yet."""
    command = {
        "client_order_id": "o0",
        "symbol": SYMBOL,
        "type": "market" if seed % 2 else "limit",
        "side": "buy",
        "quantity": 1,
        "price": None if seed % 2 else 100,
    }
    return Plan(
        seed=seed,
        mode="every kill",
        fault=fault,
        venue=venue,
        faults=_faults(fault),
        sends=(Send(0.05, json.dumps(command).encode()),),
        lease=False,
        idle=5_000,
    )


def _faults(fault: str) -> Faults:
    if fault == "none":
        return Faults()
    # An order is worth hiding only where the reply doesn't tell of it.
    return replace(certain(fault), no_reply=1.0) if fault == "hidden" else certain(fault)


def killed_at(plan: Plan, *points: int) -> Plan:
    """The same world, with its process killed at each of those points (counted from 1).

    The last one comes back under another consumer's name, every second time.
    """
    return replace(
        plan,
        triggers=tuple(
            Trigger("", point, "kill", DOWN_FOR, same_name=point % 2 == 0) for point in points
        ),
    )


def all_bases(seeds: int) -> list[Plan]:
    """Every venue fault on both venues, *seeds* times."""
    return [
        base(seed, fault, venue) for seed in range(seeds) for fault in FAULTS for venue in VENUES
    ]


def single_kills(plan: Plan, every: int = 1) -> Iterator[Plan]:
    """Kills at every point (at each *every*th only) until the command is done with."""
    for point in range(1 + plan.seed % every, simulate(plan).busy_points + 1, every):
        yield killed_at(plan, point)


def second_kills(once: Plan, every: int = 1) -> Iterator[Plan]:
    """All that follows from a world with one kill: a second one at every later point."""
    first = once.triggers[0].nth
    for point in range(first + 1, simulate(once).busy_points + 1, every):
        yield killed_at(once, first, point)
