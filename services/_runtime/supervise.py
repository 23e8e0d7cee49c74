"""Keep a connection alive: transient trouble is waited out, anything else goes up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services._runtime.redaction import redact

T = TypeVar("T")
log = structlog.get_logger()

FIRST_WAIT = 0.5
LONGEST_WAIT = 5.0
HEALTHY_AFTER = 30.0
# Trouble that goes on is told again: after so many seconds first, then at gaps that double up to
# the longest. Nobody reads the log from its start.
TELL_AGAIN_FIRST = 10.0
TELL_AGAIN = 300.0


class TransientError(Exception):
    """Something that may pass: wait at least `retry_after` seconds, then try again."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(redact(message))
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Retry:
    """What failed `attempt` times in a row, the last time for `cause`.

    It is tried again at `at` of `time.monotonic`.
    """

    cause: str
    attempt: int
    at: float

    @property
    def next_try_in(self) -> float:
        """Seconds until the next try; 0 while it is being tried."""
        return round(max(0.0, self.at - time.monotonic()), 1)


def full_jitter(
    first: float = FIRST_WAIT, longest: float = LONGEST_WAIT, rng: random.Random | None = None
) -> Iterator[float]:
    """Waits in seconds: each random below a limit that doubles from *first* up to *longest*."""
    draw = (rng or random.Random()).random  # noqa: S311 - jitter, not cryptography
    limit = min(first, longest)
    while True:
        yield draw() * limit
        limit = min(limit * 2, longest)


async def keep_alive(
    session: Callable[[], Awaitable[None]],
    *,
    name: str,
    waits: Callable[[], Iterator[float]] = full_jitter,
    healthy_after: float = HEALTHY_AFTER,
    on_down: Callable[[str], None] | None = None,
    on_retry: Callable[[Retry], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run *session* again each time it ends, for ever; only `TransientError` is forgiven.

    A session that returns has been hung up on politely: that is a drop too. The waits start
    over only after a session that lasted *healthy_after* seconds, and so does the count of
    attempts. The first drop is logged as a warning, and again while no healthy session follows:
    see `FailureLog`. Each drop is told to *on_down*, and to *on_retry* with when the next try is.
    """
    wait = waits()
    trouble = FailureLog("session_dropped", clock, session=name)
    while True:
        started = clock()
        try:
            await session()
            error = TransientError("the other side ended the session")
        except TransientError as e:
            error = e
        if clock() - started >= healthy_after:
            wait = waits()
            trouble = FailureLog("session_dropped", clock, session=name)
        pause = max(next(wait), error.retry_after)
        retry = trouble.retrying(error, pause)
        if on_down:
            on_down(retry.cause)
        if on_retry:
            on_retry(retry)
        await sleep(pause)


async def first_fault(*waits: Awaitable[None]) -> None:
    """Wait for all of *waits*; the first fault ends them all and is raised as it is."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def while_fine(work: Awaitable[T], *watches: Awaitable[None]) -> T:
    """What *work* gives; the first fault of *watches* ends it and is raised as it is."""
    task = asyncio.ensure_future(work)
    guard = asyncio.ensure_future(first_fault(*watches))
    try:
        await asyncio.wait([task, guard], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            guard.result()
        return await task
    finally:
        task.cancel()
        guard.cancel()
        await asyncio.gather(task, guard, return_exceptions=True)


class FailureLog:
    """Something that fails again and again: told at first, now and then, and when it is over."""

    def __init__(
        self, event: str, clock: Callable[[], float] = time.monotonic, **about: str
    ) -> None:
        self._event = event
        self._over_event = f"{event}_no_more"
        self._log = log.bind(**about)
        self._clock = clock
        self._failures = 0
        self._tell_at = float("-inf")
        self._gap = TELL_AGAIN_FIRST

    def seen(self, error: Exception, **about: object) -> None:
        """It failed: a warning at first and at growing gaps, at debug in between."""
        self._failures += 1
        say, now = self._log.debug, self._clock()
        if now >= self._tell_at:
            self._tell_at = now + self._gap
            self._gap = min(self._gap * 2, TELL_AGAIN)
            say = self._log.warning
        say(self._event, **about, error=str(error), attempt=self._failures)

    def retrying(self, error: Exception, pause: float) -> Retry:
        """It failed, and is tried again in *pause* seconds: tells it as `seen` does."""
        self.seen(error, next_try_in=round(pause, 1))
        return Retry(str(error), self._failures, self._clock() + pause)

    def over(self) -> None:
        """It worked."""
        if self._failures:
            self._log.info(self._over_event, failures=self._failures)
            self._failures = 0
            self._tell_at = float("-inf")
            self._gap = TELL_AGAIN_FIRST
