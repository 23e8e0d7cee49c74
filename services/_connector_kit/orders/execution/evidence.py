"""Decides when a missing order counts as not found; the executor's timings. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutorTimings:
    """The executor's waits, in seconds."""

    retry: float = 0.1  # first delay before a journal call is repeated; it doubles
    longest_retry: float = 2.0
    poll: float = 0.5  # first delay between two queries for an order; it doubles
    longest_poll: float = 2.0
    margin: float = 15.0  # added to a request's validity before "not found" counts
    misses: int = 3  # queries after the deadline that must not find the order,
    missed_for: float = 10.0  # and the time that must lie between the first and the last
    refused_poll: float = 60.0  # between two queries while the venue rejects them
    refused_for: float = 86_400.0  # after this time of rejected queries the order is given up


class Evidence:
    """Collects the failed queries for one order.

    `complete`: the final search has been made, so that "not found" may be published.
    """

    def __init__(self, timings: ExecutorTimings) -> None:
        self.complete = False
        self._timings = timings
        self._seen: set[str] = set()
        self._misses = 0
        self._first_miss = float("inf")
        self._first_refusal = float("inf")

    def first(self, event: str) -> bool:
        """Return True the first time that *event* is reported."""
        new = event not in self._seen
        self._seen.add(event)
        return new

    def missed(self, now: float) -> bool:
        """Count a query at *now* that found nothing; True if the order counts as missing."""
        self._misses += 1
        self._first_miss = min(self._first_miss, now)
        enough, missed_for = self._timings.misses, self._timings.missed_for
        return self._misses >= enough and now - self._first_miss >= missed_for

    def refused_for_too_long(self, now: float) -> bool:
        """Note a rejected query at *now*; True if they have lasted for `refused_for`."""
        self._first_refusal = min(self._first_refusal, now)
        return now - self._first_refusal >= self._timings.refused_for
