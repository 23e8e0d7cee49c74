"""What happens in one world, all of it drawn from a seed."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from services._connector_kit.orders.commands.place_order_consumer import PlaceOrderConsumer
from tests.simulation.faults import FAULTS, Faults
from tests.simulation.redis import Fate
from tests.simulation.venue import SYMBOL, VALIDITY_MS
from tests.simulation.venue_order import VenueKind
from tests.simulation.whole_plan import SYMBOLS, Whole, draw_whole

Action = Literal["kill", "freeze", "stop"]

# Each word of a mode is one thing that happens in the world, beside the faults on its wires.
MODES = (
    "plain",
    "kill",
    "freeze",
    "stop",
    "two",
    "two kill",
    "two freeze",
    "restart",
    "rollback",
    "keep",
    "empty",
    "failover",
    "flush",
    "kill rollback",
    "kill keep",
    "kill empty",
    "two freeze rollback",
    "two kill failover",
    "two freeze kill keep",
    "two flush",
    "two freeze kill",
    "freeze flush",
    "restart rollback",
    "two kill rollback empty",
)
# One world in so many has everything: account, requests, gate, settings.
WHOLE = 16
# The core leaves forgotten orders so long to show up (`DeskWaits.settle`).
SETTLE_MS = 3000
FATES: tuple[Fate, ...] = ("restart", "rollback", "keep", "empty", "failover", "flush")
VENUES: tuple[VenueKind, ...] = ("binance", "luno")

# Where an order is at stake: most triggers are set here. A Redis label is the first command of a
# write and what its key holds; EXEC is a transaction, named after what it changes first.
ORDER_PATH = (
    "XREADGROUP place_order.sent",
    "XREADGROUP place_order.after",
    "XAUTOCLAIM place_order.after",
    "INFO.after",
    "TIME.after",
    "ready.after",
    "ZADD unanswered.before",
    "ZADD unanswered.sent",
    "ZADD unanswered.after",
    "SET order.before",
    "SET order.sent",
    "SET order.after",
    "check.after",
    "place.before",
    "place.sent",
    "place.after",
    "find.after",
    "search.after",
    "WATCH order.before",
    "WATCH order.sent",
    "WATCH order.after",
    "EXEC order_response.before",
    "EXEC order_response.sent",
    "EXEC order_response.after",
    "EXEC place_order.sent",
    "WATCH answered.after",
    "GET order.after",
    "GET told_as.after",
    "WATCH told.after",
    "EXEC order_status.sent",
    "EXEC order_status.after",
    "SET redis.before",
    "SET redis.after",
    "ZRANGE ghosts.after",
    "ZRANGE unanswered.after",
    "EXEC order.sent",
    "EXEC order.after",
)


@dataclass(frozen=True)
class Trigger:
    """What befalls the process that comes to a point of that label the nth time (of any: "")."""

    label: str
    nth: int
    action: Action
    seconds: float  # down, or frozen
    same_name: bool = True  # of the consumer that comes back


@dataclass(frozen=True)
class Send:
    """A bot's XADD. `entry_id_ahead`: seconds by which an explicit id is off Redis's clock."""

    at: float
    data: bytes
    ahead: float | None = None


@dataclass(frozen=True)
class RedisTrouble:
    """What Redis suffers, and when; the state that a rollback comes back to is `back` older."""

    fate: Fate
    at: float
    down_for: float
    back: float


@dataclass(frozen=True)
class Plan:
    """One world."""

    seed: int
    mode: str
    fault: str
    venue: VenueKind
    faults: Faults
    sends: tuple[Send, ...]
    troubles: tuple[RedisTrouble, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    starts: tuple[float, ...] = (0.0,)  # when each instance starts
    lease: bool = True
    idle: int = 60_000  # milliseconds until an entry may be taken over
    first_start: bool = False  # on a Redis that has never seen this connector
    room: int = PlaceOrderConsumer.MAX_IN_FLIGHT  # orders under way at once
    resend_after: float = 10.0  # a bot whose answer was wiped asks again after so long
    trims: tuple[float, ...] = ()  # when a bot empties the command stream
    whole: Whole | None = None  # with account, requests and gate; None: the order core alone

    @property
    def forgets(self) -> bool:
        """Whether Redis loses anything."""
        return any(trouble.fate != "restart" for trouble in self.troubles)


@dataclass
class _Bot:
    """Writes the commands of one world."""

    rng: random.Random
    forgets: bool
    symbols: Sequence[str]
    sends: list[Send] = field(default_factory=list)

    def write(self, commands: int) -> tuple[Send, ...]:
        for number in range(commands):
            self._command(number)
        if self.rng.random() < 0.15:
            self._unreadable()
        return tuple(sorted(self.sends, key=lambda send: send.at))

    def _command(self, number: int) -> None:
        at = self.rng.uniform(0.5, 20)
        fields: dict[str, Any] = {
            "client_order_id": f"o{number}",
            "symbol": self._symbol(),
            "type": "market",
            "side": self.rng.choice(("buy", "sell")),
            "quantity": self.rng.randint(1, 50),
        }
        if self.rng.random() < 0.5:
            fields |= {"type": "limit", "price": self.rng.randint(100, 200)}
        if self.rng.random() < 0.05:
            del fields["client_order_id"]
        ahead = None
        if self.rng.random() < 0.1 and not self.forgets:
            ahead = self.rng.choice((-15.0, -9.0, 0.5, 5.0))
        self.sends.append(Send(at, _json(fields), ahead))
        if self.rng.random() < 0.25:
            # A bot that didn't hear of its XADD writes again at once; an impatient one later.
            gap = self.rng.choice((0.0, self.rng.uniform(0, 0.02), self.rng.uniform(0, 30)))
            self.sends.append(Send(at + gap, _json(fields)))
        if self.rng.random() < 0.15 and not self.forgets:
            other = fields | {"quantity": 77}
            self.sends.append(Send(at + self.rng.uniform(0, 30), _json(other)))

    def _symbol(self) -> str:
        if self.rng.random() >= 0.97:
            return "NO/SUCH"
        return self.rng.choice(self.symbols) if len(self.symbols) > 1 else self.symbols[0]

    def _unreadable(self) -> None:
        data = self.rng.choice(
            (
                b"\xff",
                b"[1, 2]",
                b'{"client_order_id": "u", "quantity": NaN}',
                b'{"client_order_id": "u", "client_order_id": "v"}',
                b'{"client_order_id": "u\\ud800", "symbol": 1}',
            )
        )
        self.sends.append(Send(self.rng.uniform(0.5, 20), data))


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def draw(seed: int, *, whole: bool | None = None) -> Plan:
    """The world of that seed: neighbouring seeds are of different kinds.

    *whole* worlds cost much more: by itself one in `WHOLE` is.
    """
    if whole is None:
        whole = random.Random(f"kind {seed}").random() < 1 / WHOLE
    mode = MODES[seed % len(MODES)]
    kind = seed // len(MODES)
    venue = VENUES[kind % len(VENUES)]
    fault = list(FAULTS)[kind // len(VENUES) % len(FAULTS)]
    rng = random.Random(f"plan {seed}")
    words = mode.split()
    troubles = tuple(_trouble(rng, fate, words) for fate in FATES if fate in words)
    plan = Plan(
        seed=seed,
        mode=mode,
        fault=fault,
        venue=venue,
        faults=FAULTS[fault],
        sends=(),
        troubles=troubles,
        triggers=tuple(_triggers(rng, words)),
        starts=_starts(rng, two="two" in words),
        lease=rng.random() < 0.5,
        idle=rng.choice((0, 5_000, 60_000)),
        room=rng.choice((1, 2, PlaceOrderConsumer.MAX_IN_FLIGHT, PlaceOrderConsumer.MAX_IN_FLIGHT)),
        first_start=rng.random() < 0.3,
        resend_after=rng.uniform(0, 20),
        trims=() if troubles else _trims(random.Random(f"trims {seed}")),
    )
    symbols = SYMBOLS if whole else (SYMBOL,)
    commands = rng.randint(1, 4)
    sends = _Bot(rng, plan.forgets, symbols).write(commands)
    rest = _rest(plan, commands) if whole else None
    if rest is not None and rest.old_release:  # it kept no book of record
        plan = replace(plan, trims=())
    return replace(plan, sends=sends, whole=rest)


def _rest(plan: Plan, commands: int) -> Whole:
    return draw_whole(
        plan.seed, forgets=plan.forgets, first_start=plan.first_start, commands=commands
    )


def _trouble(rng: random.Random, fate: Fate, words: list[str]) -> RedisTrouble:
    down_for = rng.uniform(0.1, 8)
    if fate == "empty" and "kill" in words:
        # Perhaps nobody is left who knew it: it must look like a first start late enough.
        down_for += (VALIDITY_MS + SETTLE_MS) / 1000
    return RedisTrouble(fate, rng.uniform(1, 25), down_for, rng.uniform(0.01, 6))


def _starts(rng: random.Random, *, two: bool) -> tuple[float, ...]:
    first = 0.0 if rng.random() < 0.9 else rng.uniform(1, 15)
    return (first, rng.uniform(0, 8)) if two else (first,)


def _trims(rng: random.Random) -> tuple[float, ...]:
    return (rng.uniform(0.5, 25), rng.uniform(0.5, 25)) if rng.random() < 0.2 else ()


def _triggers(rng: random.Random, words: list[str]) -> list[Trigger]:
    actions: tuple[Action, ...] = ("kill", "freeze", "stop")
    triggers = []
    for action in actions:
        if action not in words:
            continue
        for _ in range(rng.randint(1, 4)):
            on_path = rng.random() < 0.7
            label = rng.choice(ORDER_PATH) if on_path else ""
            nth = rng.randint(1, 6) if on_path else rng.randint(1, 400)
            longest = rng.choice((60, 60, 200)) if action == "freeze" else 20
            seconds = rng.uniform(0.1, longest)
            triggers.append(Trigger(label, nth, action, seconds, rng.random() < 0.7))
    return triggers
