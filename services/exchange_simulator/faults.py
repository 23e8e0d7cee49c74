"""Fault rules: which requests and frames fail, how often, and how. No I/O, no clock.

Each rule has its own random generator, seeded with the simulator's seed and the rule's number:
the same rules and the same requests give the same faults.
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
    # How often: `count` times (null: always), after `skip` matches, with this probability.
    count: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    # Matches only requests (query string and body) or frames that contain this text.
    contains: str = ""


class RequestFault(_Rule):
    """A fault of a request: whether and when it is executed, and how it is answered."""

    endpoint: RequestEndpoint
    execute: Literal["now", "late", "never"] = "now"
    execute_after_ms: Milliseconds = 0  # with "late"
    # "error" and "close" don't wait for a late execution; "normal" does. "earlier", for market
    # data only, repeats the last response to the same request, as a cache would.
    answer: Literal["normal", "earlier", "hang", "close", "error"] = "normal"
    answer_after_ms: Milliseconds = 0
    # With "error": the status, the kind of body, the header Retry-After in seconds.
    # "deep" is JSON of 200,000 nested lists, "bomb" 256 MB of spaces packed with gzip.
    status: Annotated[int, Field(ge=200, le=599)] = 503
    body: Literal["json", "html", "empty", "foreign", "deep", "bomb"] = "json"
    location: str = ""  # the header Location of a redirect, with a status from 301 to 308
    retry_after: Annotated[int, Field(ge=0)] | None = None
    # With "place": how long queries don't find the order.
    invisible_ms: Milliseconds = 0
    # With "place": how long its fills aren't among the account's trades.
    fills_late_ms: Milliseconds = 0

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.execute == "never" and self.answer == "normal":
            raise ValueError(
                "execute='never' has no normal answer; expected answer 'hang', 'close' or 'error'"
            )
        if self.status < 400 and not self.location and self.body not in ("deep", "bomb"):
            raise ValueError("a status below 400 is for body 'deep' or 'bomb', or with a location")
        if self.answer == "earlier" and (self.endpoint != "market_data" or self.execute != "now"):
            raise ValueError("answer='earlier' is for endpoint 'market_data' with execute 'now'")
        return self


class StreamFault(_Rule):
    """A fault of a frame: drop, duplicate, reorder or delay it, or break its connection.

    "burst" holds back the frame and the frames after it until there are `frames` of them, and
    sends all at once.
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
    def used_up(self) -> bool:
        """True if the rule was applied `count` times."""
        return self.fault.count is not None and self.used >= self.fault.count

    def applies(self) -> bool:
        """Count a request or frame that the rule matches; True if the fault applies to it."""
        self.passed += 1
        if self.passed <= self.fault.skip or self.rng.random() >= self.fault.probability:
            return False
        self.used += 1
        return True


class FaultPlan:
    """The active rules, oldest first; the first that applies to a request or frame is used."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._entries: list[_Entry] = []
        self._numbers = 0
        # The endpoints with an active rule: frames of others need no check.
        self.armed: frozenset[tuple[Venue, Endpoint]] = frozenset()

    def add(self, fault: Fault) -> int:
        """Add a rule; returns its number."""
        self._numbers += 1
        rng = Random(f"{self._seed}:{self._numbers}")  # noqa: S311 - a fault, no key
        self._entries.append(_Entry(self._numbers, fault, rng))
        self._arm()
        return self._numbers

    def remove(self, number: int) -> bool:
        """Remove a rule; False if no rule has that number."""
        before = len(self._entries)
        self._entries = [entry for entry in self._entries if entry.number != number]
        self._arm()
        return len(self._entries) < before

    def clear(self) -> None:
        """Remove all rules, and restart their numbers at 1."""
        self._entries.clear()
        self._numbers = 0
        self._arm()

    def take_request(self, venue: Venue, endpoint: Endpoint, text: str) -> RequestFault | None:
        """The fault of this request, None if there is none."""
        fault = self._take(venue, endpoint, text)
        return fault if isinstance(fault, RequestFault) else None

    def take_frame(self, venue: Venue, endpoint: Endpoint, text: str) -> StreamFault | None:
        """The fault of this frame, None if there is none."""
        fault = self._take(venue, endpoint, text)
        return fault if isinstance(fault, StreamFault) else None

    def report(self) -> list[dict[str, Any]]:
        """All rules with their numbers and how often they were applied, used up or not."""
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
            if aimed and not entry.used_up and entry.applies():
                self._arm()
                return fault
        return None

    def _arm(self) -> None:
        self.armed = frozenset(
            (entry.fault.venue, entry.fault.endpoint)
            for entry in self._entries
            if not entry.used_up
        )
