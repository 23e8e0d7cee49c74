"""A venue's clock: the machine's, or as far off as a test wants it."""

from collections.abc import Callable


class SimulatedClock:
    """Unix ms of *clock*, and `offset_ms` more."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.offset_ms = 0

    def __call__(self) -> int:
        """The venue's time."""
        return self._clock() + self.offset_ms
