"""The venue's clock, as far as we can know it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError

log = structlog.get_logger()

REFRESH = 300.0
AFTER_FAILURE = 5.0
# A measurement whose answer took longer than this says too little.
SLOWEST_ANSWER_MS = 2000


class VenueClock:
    """Our clock, and how far the venue's is ahead of it, in milliseconds."""

    def __init__(self, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.offset = 0
        self._now = now
        self._measured = asyncio.Event()
        self._doubted = asyncio.Event()

    def milliseconds(self) -> int:
        """The venue's time."""
        return self._now() + self.offset

    async def known(self, within: float) -> bool:
        """Wait for the first measurement; False where it takes longer than *within* seconds."""
        try:
            async with asyncio.timeout(within):
                await self._measured.wait()
        except TimeoutError:
            return False
        return True

    def doubt(self) -> None:
        """The venue says that our time is wrong: measure again, soon."""
        self._doubted.set()

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
        self._measured.set()

    async def keep_measured(self, fetch: Callable[[], Awaitable[int]]) -> None:
        """Measure again and again; runs until cancelled."""
        while True:
            try:
                await self.measure(fetch)
            except (TransientError, RejectedError, FeedStoppedError) as e:
                log.warning("clock_not_measured", error=str(e))
                await asyncio.sleep(AFTER_FAILURE)
                continue
            log.debug("clock_measured", offset_ms=self.offset)
            self._doubted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH):
                    await self._doubted.wait()
