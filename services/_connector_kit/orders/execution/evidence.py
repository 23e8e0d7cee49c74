"""When a missing order counts as not found, and how long the executor waits for what. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutorTimings:
    """How long the core waits for what; in seconds."""

    retry: float = 0.1  # between two tries of the same transaction
    longest_retry: float = 2.0
    poll: float = 0.5  # between two queries for an order
    longest_poll: float = 2.0
    margin: float = 15.0  # after the venue could last have carried it out
    misses: int = 3
    missed_for: float = 10.0
    refused_poll: float = 60.0  # between two queries that the venue refuses to answer
    refused_for: float = 86_400.0  # so long they are repeated, then the order is given up


class Evidence:
    """What speaks against an order's existence, while it is looked for."""

    def __init__(self, timings: ExecutorTimings) -> None:
        self.complete = False
        self._timings = timings
        self._seen: set[str] = set()
        self._misses = 0
        self._first_miss = float("inf")
        self._first_refusal = float("inf")

    def first(self, event: str) -> bool:
        """True the first time that *event* happens."""
        new = event not in self._seen
        self._seen.add(event)
        return new

    def missed(self, now: float) -> bool:
        """The venue didn't show it; True once that happened often enough, for long enough."""
        self._misses += 1
        self._first_miss = min(self._first_miss, now)
        enough, missed_for = self._timings.misses, self._timings.missed_for
        return self._misses >= enough and now - self._first_miss >= missed_for

    def refused_for_too_long(self, now: float) -> bool:
        """The venue refused to say; True once it has done so for too long."""
        self._first_refusal = min(self._first_refusal, now)
        return now - self._first_refusal >= self._timings.refused_for
