"""A venue's request budget, spent by priority."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

# A shorter wait than this is what the floats of the bucket lose.
ROUNDING = 1e-6
# The longest ban there is: Binance's, of three days.
LONGEST_PAUSE = 3 * 24 * 3600


class Priority(IntEnum):
    """Who goes first when the budget is short. The first two may spend its reserve."""

    OPERATOR = 0  # a person's cancels
    CANCEL_ALL = 1
    CANCEL = 2
    RESOLVE = 3
    PLACE = 4
    BALANCES = 5
    DATA = 6


_override: ContextVar[Priority | None] = ContextVar("priority", default=None)


@contextmanager
def spending_as(priority: Priority | None) -> Iterator[None]:
    """Every request of this block, and of the tasks that begin in it, has *priority*.

    What one request costs elsewhere (listing orders, asking for one, cancelling it) the venue's
    code knows; on whose behalf all of them are made only the caller does. None: as they are.
    """
    before = _override.set(priority)
    try:
        yield
    finally:
        _override.reset(before)


def in_force(priority: Priority) -> Priority:
    """The priority of a request that would have *priority* by itself: see `spending_as`."""
    override = _override.get()
    return priority if override is None else override


def retry_after(header: str | None, otherwise: float) -> float:
    """The seconds that a `Retry-After` header asks for; *otherwise* if it can't be read.

    It is a number of seconds or a date (RFC 9110, section 10.2.3).
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return float(min(int(text[:9]), LONGEST_PAUSE))
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return otherwise
    return min(max(seconds, 0.0), LONGEST_PAUSE)


class RateBudget:
    """At most *limit* weight in any *window* seconds.

    A bucket of half the limit that refills at half the limit a window: whatever the venue's
    window is aligned to, no window sees more than the limit. `used` takes the venue's own count
    into account, `pause` its wish for silence.

    *reserve* is a share of the limit that is filled first, and kept for cancelling everything:
    half of it for CANCEL_ALL, all of it for OPERATOR.
    """

    def __init__(
        self,
        limit: int,
        window: float = 60.0,
        *,
        reserve: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._reserve = reserve * limit
        self._burst = limit / 2
        self._per_second = limit / 2 / window
        self._left = self._burst
        self._clock = clock
        self._updated = clock()
        self._silent_until = 0.0
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left(self) -> float:
        """Weight that could be spent at once, without the reserve; 0 during a pause."""
        self._refill()
        return 0.0 if self.paused_for else max(0.0, self._left - self._reserve)

    @property
    def paused_for(self) -> float:
        """Seconds that the pause still lasts; 0 without a pause."""
        return max(0.0, self._silent_until - self._clock())

    @property
    def full(self) -> float:
        """The maximum that is ever left."""
        return self._burst - self._reserve

    def seconds_for(self, weight: float, priority: Priority) -> float:
        """Seconds until *weight* can be spent, if no other request spends any."""
        self._refill()
        return max(self.paused_for, self._wait_for(weight, priority), 0.0)

    async def spend(self, weight: int, priority: Priority = Priority.DATA) -> None:
        """Wait until *weight* may be spent; those with a higher priority go first.

        Raises:
            ValueError: the weight is more than could ever be saved up.
        """
        most = self._burst - self._kept_from(priority)
        if weight > most:
            raise ValueError(f"weight {weight}: expected at most {most:g}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (priority, next(self._order), weight, done))
        self._serve()
        try:
            await done
        except asyncio.CancelledError:
            self._serve()  # those behind it needn't wait for its share
            raise

    async def spend_within(self, seconds: float, weight: int, priority: Priority) -> bool:
        """As `spend`, but False where it takes longer than *seconds*: then nothing is spent.

        Where a pause lasts longer than that, False at once.
        """
        if self.paused_for > seconds:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self.spend(weight, priority)
        except TimeoutError:
            return False
        return True

    def pause(self, seconds: float) -> None:
        """Spend nothing for *seconds* (the venue's Retry-After)."""
        self._silent_until = max(self._silent_until, self._clock() + seconds)

    def used(self, weight: int) -> None:
        """The venue counts *weight* as used in its current window."""
        self._refill()
        self._left = min(self._left, self.limit - weight)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._updated) * self._per_second)
        self._updated = now

    def _kept_from(self, priority: int) -> float:
        """The part of the reserve that *priority* may not spend."""
        if priority == Priority.OPERATOR:
            return 0.0
        return self._reserve / 2 if priority == Priority.CANCEL_ALL else self._reserve

    def _wait_for(self, weight: float, priority: int) -> float:
        return (weight + self._kept_from(priority) - self._left) / self._per_second

    def _serve(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._refill()
        while self._waiting:
            priority, _, weight, done = self._waiting[0]
            if done.done():  # its waiter was cancelled
                heappop(self._waiting)
                continue
            wait = max(self._silent_until - self._clock(), self._wait_for(weight, priority))
            if wait > ROUNDING:
                self._timer = asyncio.get_running_loop().call_later(wait, self._serve)
                return
            heappop(self._waiting)
            self._left -= weight
            done.set_result(None)
