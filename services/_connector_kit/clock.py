"""This machine's clock, and the venue's as far as we can know it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._runtime.supervise import FailureLog

log = structlog.get_logger()

# Seconds.
REFRESH = 300.0
AFTER_FAILURE = 5.0
LOOK_EVERY = 5.0  # at the wall clock
# A clock of a computer strays by less than 0.1 s in that time; what isn't measured for longer, no
# order's time is taken from.
TRUSTED_FOR = 900.0
# A measurement whose answer took longer than this says too little.
SLOWEST_ANSWER_MS = 2000
# NTP slews by far less between two looks.
STEP_MS = 250
# The smallest clock error that is logged: Luno's time is known to the second only.
OFF_MS = 2000


def wall_ms() -> int:
    """Unix time, as this machine has it: it may be set."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds of a steady clock, which nothing sets and which counts during a suspend."""
    # macOS has no CLOCK_BOOTTIME.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class VenueClock:
    """A steady clock, and how far the venue's is ahead of it, in milliseconds.

    Until it is measured, the wall clock is taken for the venue's.
    """

    def __init__(
        self, steady: Callable[[], int] = steady_ms, wall: Callable[[], int] = wall_ms
    ) -> None:
        self._steady = steady
        self._wall = wall
        self._wall_ahead = wall() - steady()
        self.offset = self._wall_ahead
        self._measured_at = float("-inf")
        self._measured = asyncio.Event()
        self._doubted = asyncio.Event()

    def milliseconds(self) -> int:
        """The venue's time."""
        return self._steady() + self.offset

    @property
    def is_known(self) -> bool:
        """True once there is a measurement that can be trusted."""
        if self._age() > TRUSTED_FOR:
            self._measured.clear()
        return self._measured.is_set()

    async def known(self, within: float) -> bool:
        """Wait for a measurement that can be trusted; False where that takes too long (seconds)."""
        if self.is_known:
            return True
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
            TransientError: no answer, or one that took too long to be accurate.
        """
        started = self._steady()
        theirs = await fetch()
        took = self._steady() - started
        if not 0 <= took <= SLOWEST_ANSWER_MS:
            raise TransientError(f"the venue's time took {took} ms to come")
        self.offset = theirs - started - took // 2
        self._measured_at = self._steady()
        self._measured.set()

    async def keep_measured(self, fetch: Callable[[], Awaitable[int]]) -> None:
        """Measure again and again; runs until cancelled."""
        failures, off = FailureLog("clock_not_measured"), FailureLog("wall_clock_off")
        while True:
            try:
                await self.measure(fetch)
            except (TransientError, RejectedError, FeedStoppedError) as e:
                failures.seen(e)
                await asyncio.sleep(AFTER_FAILURE)
                continue
            failures.over()
            ahead = self.milliseconds() - self._wall()
            log.debug("clock_measured", ahead_of_wall_clock_ms=ahead)
            if abs(ahead) >= OFF_MS:
                way = "behind" if ahead > 0 else "ahead of"
                seconds = f"{abs(ahead) / 1000:.1f} s {way} the exchange's"
                off.seen(TransientError(f"this machine's clock is {seconds}; let it follow NTP"))
            else:
                off.over()
            self._doubted.clear()
            await self._until_due()

    async def _until_due(self) -> None:
        """Wait until the time is to be measured again: it is old, doubted, or a clock stepped."""
        while self._age() < REFRESH and not self._stepped():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._doubted.wait()
                    return

    def _stepped(self) -> bool:
        """True if the wall clock was set against the steady one since the last call."""
        ahead = self._wall() - self._steady()
        step, self._wall_ahead = ahead - self._wall_ahead, ahead
        if abs(step) < STEP_MS:
            return False
        log.warning("wall_clock_stepped", step_ms=step)
        return True

    def _age(self) -> float:
        """Seconds since the last measurement."""
        return (self._steady() - self._measured_at) / 1000


class SystemClock:
    """The port `Clock` of the order core, on this machine."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
