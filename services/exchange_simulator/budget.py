"""A request budget a minute, counted as both venues do."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class MinuteBudget:
    """The weight each client has used of *limit* in the current minute of *clock* (Unix ms)."""

    limit: int
    clock: Callable[[], int]
    _minute: int = 0
    _used: dict[str, int] = field(default_factory=dict)

    def charge(self, client: str, weight: int) -> int:
        """Count *weight*; returns the client's use of this minute, *weight* included."""
        minute = self.clock() // 60_000
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        used = self._used.get(client, 0) + weight
        self._used[client] = used
        return used

    def seconds_left(self) -> int:
        """Whole seconds until the count starts over, at least 1."""
        return max(1, -(-(60_000 - self.clock() % 60_000) // 1000))
