"""The venue's clock, as far as we can know it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from services._connector_kit.errors import TransientError

log = structlog.get_logger()

REFRESH = 300.0
AFTER_FAILURE = 15.0
# A measurement whose answer took longer than this says too little.
SLOWEST_ANSWER_MS = 2000


class VenueClock:
    """Our clock, and how far the venue's is ahead of it."""

    def __init__(self, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.offset = 0
        self._now = now

    def milliseconds(self) -> int:
        """The venue's time."""
        return self._now() + self.offset

    async def measure(self, fetch: Callable[[], Awaitable[int]]) -> None:
        """Ask the venue for its time; half of the round trip is taken for the way back.

        Raises:
            TransientError: no answer, or one that took too long to tell anything.
        """
        started = self._now()
        theirs = await fetch()
        took = self._now() - started
        if not 0 <= took <= SLOWEST_ANSWER_MS:
            raise TransientError(f"the venue's time took {took} ms to come")
        self.offset = theirs - started - took // 2

    async def keep_measured(self, fetch: Callable[[], Awaitable[int]]) -> None:
        """Measure again and again; runs until cancelled."""
        while True:
            try:
                await self.measure(fetch)
            except TransientError as e:
                log.warning("clock_not_measured", error=str(e))
                await asyncio.sleep(AFTER_FAILURE)
            else:
                log.debug("clock_measured", offset_ms=self.offset)
                await asyncio.sleep(REFRESH)
