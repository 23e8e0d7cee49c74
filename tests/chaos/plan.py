"""What happens in each chaos run: drawn from its number, the same each time."""

import re
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Literal

SERVICES = Path(__file__).parents[2] / "services"
REACHED = re.compile(r'\breach\("(\w+)"\)')

VENUES = ("binance", "luno")
Fate = Literal["kept", "restarted", "emptied"]
FATES: tuple[Fate, ...] = ("kept", "restarted", "emptied")
How = Literal["kill", "term", "stop", "replica_killed", "replica_stopped"]
HOWS: tuple[How, ...] = ("kill", "term", "stop", "replica_killed", "replica_stopped")
HOW_OFTEN = (50, 12, 14, 12, 12)

# The runs that surely reach a point have numbers from here on.
REACHING = 1_000_000

# The scaled-down waits; in seconds.
VALIDITY = 2.0
MARGIN = 1.0
HIDDEN_MS = 2_500  # the venue may be so slow to show an order
HIDDEN_LONG_MS = 9_000  # longer than anybody waits: given up, then corrected
LATE_MS = 700  # still valid when it is carried out
TOO_LATE_MS = 4_000  # refused by then
# In the runs whose order is carried out at the last moment a restart takes less than this.
LONG_VALIDITY = 9.0
AT_LAST_MS = 8_000

# What the exchange does to one order: rules of the simulator's fault plan.
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "slow": {"answer_after_ms": 1_000},
    "hang": {"execute": "never", "answer": "hang"},
    "execute_hang": {"answer": "hang"},
    "execute_close": {"answer": "close"},
    "execute_late": {"execute": "late", "execute_after_ms": LATE_MS, "answer": "close"},
    "execute_at_last": {"execute": "late", "execute_after_ms": AT_LAST_MS, "answer": "close"},
    "execute_too_late": {"execute": "late", "execute_after_ms": TOO_LATE_MS, "answer": "close"},
    "5xx_before": {"execute": "never", "answer": "error", "status": 503, "body": "html"},
    "5xx_after": {"answer": "error", "status": 504, "body": "json"},
    "empty_after": {"answer": "error", "status": 502, "body": "empty"},
    "429": {"execute": "never", "answer": "error", "status": 429, "retry_after": 1},
    "hidden": {"answer": "close", "invisible_ms": HIDDEN_MS},
    "hidden_long": {"answer": "close", "invisible_ms": HIDDEN_LONG_MS},
    "cancel_close": {"endpoint": "cancel", "answer": "close"},
    "query_5xx": {"answer": "close"},
}
# With this fault the first queries fail too.
QUERY_FAULT = {"execute": "never", "answer": "error", "status": 503, "count": 2}
# After these the order's fate is unclear, and it is asked for.
UNCLEAR = frozenset(FAULTS) - {"none", "slow", "429", "cancel_close"}
STREAM_FAULTS = ("", "drop", "duplicate", "reorder", "disconnect")


@dataclass(frozen=True)
class Plan:
    """One run. `failpoint` is "" where the process isn't harmed."""

    seed: int
    venue: str
    failpoint: str
    nth: int
    how: How
    fault: str
    target: str  # whose request the fault strikes: the limit or the market order
    fate: Fate
    lost_replies: bool  # connections to Redis are cut in mid-reply and mid-request
    settled_before: bool  # Redis knows this connector: orders are sent without a look first
    stream_fault: str
    side: str  # of the market order
    long_pause: bool  # a stopped process sleeps for longer than its requests are valid
    patient: bool  # the cancel waits for its order to be taken up, else it races it
    resends_at_once: bool  # an emptied Redis gets the commands again before the connector is back

    @property
    def replicas(self) -> bool:
        """Whether two instances run."""
        return self.how.startswith("replica")

    @property
    def validity(self) -> float:
        """How long a request of this run may be carried out, in seconds."""
        return LONG_VALIDITY if self.fault == "execute_at_last" else VALIDITY

    @property
    def late(self) -> float:
        """For how long the exchange may be busy with an order that it is slow with, in seconds."""
        slowest: int = FAULTS[self.fault].get("execute_after_ms", 0)
        return slowest / 1000

    @property
    def calm(self) -> bool:
        """Nothing goes wrong: then every order is accepted."""
        return (
            self.failpoint == ""
            and self.fault in ("none", "slow")
            and self.fate == "kept"
            and not self.lost_replies
        )

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in asdict(self).items() if value != "")


@cache
def failpoints() -> tuple[str, ...]:
    """All points that a connector's code names, in the code's order."""
    found = [
        name
        for folder in ("_connector_kit", *(f"{venue}_connector" for venue in VENUES))
        for path in sorted((SERVICES / folder).rglob("*.py"))
        for name in REACHED.findall(path.read_text(encoding="utf-8"))
    ]
    return tuple(dict.fromkeys(found))


def draw(seed: int) -> Plan:
    """Run number *seed*: one cell of the matrix after the other, the rest by chance."""
    if seed >= REACHING:
        return reaching(failpoints()[seed - REACHING])
    cells = _cells()
    chance = Random(f"chaos {seed}")
    failpoint, fault, venue, fate = cells[seed % len(cells)]
    how = chance.choices(HOWS, HOW_OFTEN)[0]
    return Plan(
        seed=seed,
        venue=venue,
        failpoint=failpoint,
        nth=1 if fault in UNCLEAR and failpoint in _ONCE else chance.choice((1, 1, 2)),
        how=how,
        fault=fault,
        target=chance.choice(("limit", "market")),
        fate=fate,
        lost_replies=chance.random() < 0.25,
        settled_before=chance.random() < 0.5,
        stream_fault=chance.choice((*STREAM_FAULTS, "")),
        side=chance.choice(("buy", "sell")),
        long_pause=chance.random() < 0.5,
        resends_at_once=chance.random() < 0.5,
        patient=chance.random() < 0.5,
    )


# Reached once an order is unclear, or for the one cancel: not a second time.
_ONCE = frozenset(
    {
        *("before_unclear", "after_unclear", "before_query", "after_query"),
        *("before_cancel", "after_cancel"),
    }
)


@cache
def _cells() -> tuple[tuple[str, str, str, Fate], ...]:
    """The matrix: failpoint x exchange fault x venue x Redis fate, in a random order."""
    cells = [
        cell
        for cell in product(("", *failpoints()), FAULTS, VENUES, FATES)
        if _is_possible(cell[0], cell[1], cell[3])
    ]
    Random("cells").shuffle(cells)
    return tuple(cells)


def _is_possible(failpoint: str, fault: str, fate: Fate) -> bool:
    if fault == "hidden_long" and fate == "emptied":
        # Beyond the promise: nobody remembers the order, and the venue doesn't show it.
        return False
    return fault in UNCLEAR or not failpoint.endswith(("_unclear", "_query"))


def reaching(failpoint: str) -> Plan:
    """A run that reaches this point, whatever the timing."""
    number = failpoints().index(failpoint)
    unclear = failpoint.endswith(("_unclear", "_query"))
    return replace(
        draw(number),
        seed=REACHING + number,
        venue=VENUES[number % 2],
        failpoint=failpoint,
        nth=1,
        how="kill",
        fault="execute_close" if unclear else "none",
        fate=FATES[number % 3],
        lost_replies=False,
        settled_before=True,
        patient=True,
    )
