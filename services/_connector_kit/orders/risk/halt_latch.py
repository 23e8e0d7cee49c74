"""Whether trading is halted, from every value of the halt switch that one process has read."""

from services._runtime.halt import halt_reason

NOT_READ = "the halt switch hasn't been read yet"


class HaltLatch:
    """A halt lasts, once read, until an operator resumes, even if its key disappears.

    A resume writes a new value to `control:trading`. So a halt doesn't end when its key expires, is
    deleted by hand or is lost with other data, and neither when an older copy of Redis restores an
    older value of `control:trading`.
    """

    def __init__(self) -> None:
        self.reason: str | None = NOT_READ
        # The reason of a halt by this process that isn't in Redis yet.
        self.unwritten: str | None = None
        self._values_read: set[bytes] = set()

    def update(self, trading: bytes | None, halt: bytes | None) -> None:
        """Update the state from the two keys' values, just read."""
        reason = halt_reason(trading, halt)
        if self.unwritten is not None:
            pass  # the values read may be older than the cause of the halt
        elif halt is not None:
            self.reason = reason
        elif reason is not None:
            self.reason = self.reason if self.reason not in (None, NOT_READ) else reason
        elif trading not in self._values_read:
            self.reason = None
        if trading is not None:
            self._values_read.add(trading)

    def halt(self, reason: str) -> None:
        """Halt from this process; values of `control:trading` are ignored until `written`."""
        self.reason = self.unwritten = reason

    def written(self) -> None:
        """The halt is in Redis: `control:trading` was deleted."""
        self.unwritten = None
