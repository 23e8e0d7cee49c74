"""A venue's clock, with an offset that tests set."""

from collections.abc import Callable


class SimulatedClock:
    """The Unix ms of *clock* plus `offset_ms`."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.offset_ms = 0

    def __call__(self) -> int:
        """The venue's time."""
        return self._clock() + self.offset_ms
