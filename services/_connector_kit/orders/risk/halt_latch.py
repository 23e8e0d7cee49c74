"""Whether trading is halted, by all that one process has read of the halt switch."""

from services._runtime.halt import halt_reason

NOT_READ = "the halt switch hasn't been read yet"


class HaltLatch:
    """A halt that was read once lasts until somebody resumes, whatever becomes of the keys.

    A resume writes a value to `control:trading` that was not there before. So a halt that expires,
    is deleted by hand or is lost with other data doesn't end, and neither does it end where an
    older copy of Redis brings an older `control:trading` back.
    """

    def __init__(self) -> None:
        self.reason: str | None = NOT_READ
        # A halt that this process found necessary itself, and that isn't in Redis yet.
        self.unwritten: str | None = None
        self._values_read: set[bytes] = set()

    def update(self, trading: bytes | None, halt: bytes | None) -> None:
        """The two keys' values, as they were read just now."""
        reason = halt_reason(trading, halt)
        if self.unwritten is not None:
            pass  # whatever was read may be older than what made it necessary
        elif halt is not None:
            self.reason = reason
        elif reason is not None:
            self.reason = self.reason if self.reason not in (None, NOT_READ) else reason
        elif trading not in self._values_read:
            self.reason = None
        if trading is not None:
            self._values_read.add(trading)

    def halt(self, reason: str) -> None:
        """Halt by ourselves; no value of `control:trading` counts until `written`."""
        self.reason = self.unwritten = reason

    def written(self) -> None:
        """The halt is in Redis: `control:trading` was deleted."""
        self.unwritten = None
