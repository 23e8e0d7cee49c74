"""What happens in a whole world beside its orders and its Redis, drawn from a seed."""

import json
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

SYMBOLS = ("BTC/USDT", "ETH/USDT")
Span = tuple[float, float]
DAY = 24 * 3600.0
# Longer than anything is kept.
LONG_PAUSE = 8 * DAY


@dataclass(frozen=True)
class AccountFaults:
    """What goes wrong between a connector and its account: probabilities, and spans of time.

    `unheard` events never arrive; `drops`: connections of the stream that break within 40 s;
    `errors` and `lost_answers` of requests; `stray_401`: a request is refused by a whim;
    `refusals`: every request is.
    """

    unheard: float = 0.0
    drops: float = 0.0
    errors: float = 0.0
    lost_answers: float = 0.0
    stray_401: float = 0.0
    refusals: tuple[Span, ...] = ()


@dataclass(frozen=True)
class RunSettings:
    """What one start of a connector is told: its symbols; and the filters the venue has then."""

    symbols: tuple[str, ...]
    lot: Decimal


@dataclass(frozen=True)
class Request:
    """A command that may be done again."""

    at: float
    command: str
    data: bytes


@dataclass(frozen=True)
class WallStep:
    """A machine's wall clock is set."""

    at: float
    seconds: float


@dataclass(frozen=True)
class Whole:
    """What makes a world whole."""

    account: AccountFaults
    settings: tuple[RunSettings, ...]  # of the first start, the second, …
    requests: tuple[Request, ...] = ()
    elsewhere: tuple[tuple[float, str], ...] = ()  # orders placed by somebody else
    reset_at: float | None = None  # ids begin anew
    halts: tuple[Span, ...] = ()
    book_gaps: tuple[Span, ...] = ()
    wall_steps: tuple[WallStep, ...] = ()
    pause_at: float | None = None  # everything is down for `LONG_PAUSE`
    old_release: bool = False  # Redis holds what the release before wrote
    most_held: int | None = None  # units of each symbol; None: any number


ACCOUNT_FAULTS = (
    AccountFaults(),
    AccountFaults(unheard=0.3),
    AccountFaults(drops=0.9),
    AccountFaults(errors=0.3, lost_answers=0.2),
    AccountFaults(stray_401=0.1),
    AccountFaults(unheard=0.1, drops=0.5, errors=0.1, lost_answers=0.1, stray_401=0.03),
)


def draw_whole(seed: int, *, forgets: bool, first_start: bool, commands: int) -> Whole:
    """The rest of the world of that seed."""
    rng = random.Random(f"whole {seed}")
    faults = rng.choice(ACCOUNT_FAULTS)
    if rng.random() < 0.2:
        begin = rng.uniform(0, 25)
        faults = AccountFaults(**(vars(faults) | {"refusals": ((begin, begin + _span(rng)),)}))
    quiet = not forgets and rng.random() < 0.5
    return Whole(
        account=faults,
        settings=tuple(_settings(rng, first=number == 0) for number in range(6)),
        requests=tuple(_request(rng, number, commands) for number in range(rng.randint(0, 5))),
        elsewhere=tuple(
            (rng.uniform(1, 40), rng.choice(SYMBOLS)) for _ in range(rng.randint(0, 2))
        ),
        reset_at=rng.uniform(20, 60) if quiet and rng.random() < 0.2 else None,
        halts=_spans(rng, 0.15),
        book_gaps=_spans(rng, 0.3),
        wall_steps=tuple(
            WallStep(rng.uniform(0, 30), rng.choice((-30.0, 30.0, 3600.0, -0.5)))
            for _ in range(rng.choice((0, 0, 1, 2)))
        ),
        pause_at=rng.uniform(40, 90) if not forgets and rng.random() < 0.15 else None,
        old_release=not forgets and not first_start and rng.random() < 0.25,
        most_held=rng.choice((None, 30, 60)),
    )


def _span(rng: random.Random) -> float:
    return rng.choice((rng.uniform(0, 5), rng.uniform(5, 60)))


def _spans(rng: random.Random, likely: float) -> tuple[Span, ...]:
    if rng.random() >= likely:
        return ()
    begin = rng.uniform(0, 25)
    return ((begin, begin + _span(rng)),)


def _settings(rng: random.Random, *, first: bool) -> RunSettings:
    some = (SYMBOLS,) if first else (SYMBOLS, SYMBOLS[:1], SYMBOLS[1:])
    return RunSettings(rng.choice(some), Decimal(rng.choice(("1", "0.1", "0.01"))))


def _request(rng: random.Random, number: int, commands: int) -> Request:
    fields: dict[str, Any] = {"client_request_id": f"r{number}"}
    command = rng.choice(
        ("cancel_order", "cancel_order", "cancel_all_orders", "query_order", "request_balance")
    )
    if command in ("cancel_order", "query_order"):
        ids = {"client_order_id": f"o{rng.randrange(commands)}"}
        if rng.random() < 0.2:
            ids = {"order_id": str(rng.randint(1, 3))}
        fields |= {"symbol": rng.choice(SYMBOLS), **ids}
    elif command == "cancel_all_orders":
        fields |= {"symbol": rng.choice(SYMBOLS)} if rng.random() < 0.3 else {}
    return Request(rng.uniform(1, 50), command, json.dumps(fields).encode())
