"""Faults as rules: which requests and frames go wrong, how often, and how. No I/O, no clock.

Each rule has a random generator of its own, made from the simulator's seed and the rule's
number: the same rules and the same requests give the same faults.
"""

from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.exchange_simulator.endpoints import Endpoint, RequestEndpoint, StreamEndpoint
from services.exchange_simulator.instruments import Venue

Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    venue: Venue
    # How often: so many times (null: always), after so many were let through, with this chance.
    count: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    # Only requests (query string and body) or frames with this text in them.
    contains: str = ""


class RequestFault(_Rule):
    """What happens to a request: whether and when it is carried out, and how it is answered."""

    endpoint: RequestEndpoint
    execute: Literal["now", "late", "never"] = "now"
    execute_after_ms: Milliseconds = 0  # with "late"
    # "error" and "close" don't wait for an execution that is late; "normal" does. "earlier", of
    # market data: what the same request was answered the last time, as a cache would.
    answer: Literal["normal", "earlier", "hang", "close", "error"] = "normal"
    answer_after_ms: Milliseconds = 0
    # With "error": the status, the kind of body, the header Retry-After in seconds.
    # "deep" is JSON of 200,000 nested lists, "bomb" 256 MB of spaces packed with gzip.
    status: Annotated[int, Field(ge=200, le=599)] = 503
    body: Literal["json", "html", "empty", "foreign", "deep", "bomb"] = "json"
    location: str = ""  # the header Location: with a status from 301 to 308, where to go instead
    retry_after: Annotated[int, Field(ge=0)] | None = None
    # With "place": for so long queries don't find the order.
    invisible_ms: Milliseconds = 0
    # With "place": for so long its fills aren't among the account's trades.
    fills_late_ms: Milliseconds = 0

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.execute == "never" and self.answer == "normal":
            raise ValueError(
                "execute='never' has no normal answer; want answer 'hang', 'close' or 'error'"
            )
        if self.status < 400 and not self.location and self.body not in ("deep", "bomb"):
            raise ValueError("a status below 400 is for body 'deep' or 'bomb', or with a location")
        if self.answer == "earlier" and (self.endpoint != "market_data" or self.execute != "now"):
            raise ValueError("answer='earlier' is for endpoint 'market_data' with execute 'now'")
        return self


class StreamFault(_Rule):
    """What happens to a frame: lost, sent twice, after its successor, late; or the socket goes.

    "burst" holds it and those behind it back until there are `frames` of them, and sends them
    at once.
    """

    endpoint: StreamEndpoint
    action: Literal["drop", "duplicate", "reorder", "delay", "burst", "disconnect", "half_open"]
    delay_ms: Milliseconds = 0  # with "delay"
    frames: Annotated[int, Field(ge=2, le=1_000_000)] = 2  # with "burst"


Fault = RequestFault | StreamFault


@dataclass(slots=True)
class _Entry:
    number: int
    fault: Fault
    rng: Random
    passed: int = 0
    used: int = 0

    @property
    def spent(self) -> bool:
        """True when it has struck as often as it may."""
        return self.fault.count is not None and self.used >= self.fault.count

    def strikes(self) -> bool:
        """Count a request or frame that the rule is aimed at; True when it's this one's turn."""
        self.passed += 1
        if self.passed <= self.fault.skip or self.rng.random() >= self.fault.probability:
            return False
        self.used += 1
        return True


class FaultPlan:
    """The rules in force, oldest first; the first that wants a request or frame gets it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._entries: list[_Entry] = []
        self._numbers = 0
        # Where any rule may strike: frames elsewhere needn't be looked at.
        self.armed: frozenset[tuple[Venue, Endpoint]] = frozenset()

    def add(self, fault: Fault) -> int:
        """Put a rule in force; returns its number."""
        self._numbers += 1
        rng = Random(f"{self._seed}:{self._numbers}")  # noqa: S311 - a fault, no key
        self._entries.append(_Entry(self._numbers, fault, rng))
        self._arm()
        return self._numbers

    def remove(self, number: int) -> bool:
        """End a rule; False when there is none of that number."""
        before = len(self._entries)
        self._entries = [entry for entry in self._entries if entry.number != number]
        self._arm()
        return len(self._entries) < before

    def clear(self) -> None:
        """End all rules, and begin anew with their numbers."""
        self._entries.clear()
        self._numbers = 0
        self._arm()

    def take_request(self, venue: Venue, endpoint: Endpoint, text: str) -> RequestFault | None:
        """What is to happen to this request, None: nothing."""
        fault = self._take(venue, endpoint, text)
        return fault if isinstance(fault, RequestFault) else None

    def take_frame(self, venue: Venue, endpoint: Endpoint, text: str) -> StreamFault | None:
        """What is to happen to this frame, None: nothing."""
        fault = self._take(venue, endpoint, text)
        return fault if isinstance(fault, StreamFault) else None

    def report(self) -> list[dict[str, Any]]:
        """All rules with their numbers and how often they struck, the spent ones too."""
        return [
            {"id": entry.number, "used": entry.used, **entry.fault.model_dump()}
            for entry in self._entries
        ]

    def _take(self, venue: Venue, endpoint: Endpoint, text: str) -> Fault | None:
        if (venue, endpoint) not in self.armed:
            return None
        for entry in self._entries:
            fault = entry.fault
            aimed = (fault.venue, fault.endpoint) == (venue, endpoint) and fault.contains in text
            if aimed and not entry.spent and entry.strikes():
                self._arm()
                return fault
        return None

    def _arm(self) -> None:
        self.armed = frozenset(
            (entry.fault.venue, entry.fault.endpoint) for entry in self._entries if not entry.spent
        )
