"""Keeps connections alive: retries after transient errors, and raises all others."""

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

INITIAL_WAIT = 0.5
MAX_WAIT = 5.0
HEALTHY_AFTER = 30.0
# In seconds. A failure that persists is logged again after the first gap, then at gaps that double
# up to the maximum: the start of a log may be gone.
INITIAL_WARNING_GAP = 10.0
MAX_WARNING_GAP = 300.0


class TransientError(Exception):
    """An error that may pass: wait at least `retry_after` seconds, then retry."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(redact(message))
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure that is retried: `attempt` failures in a row, the last one because of `cause`.

    The next try is at `at`, on the clock `time.monotonic`.
    """

    cause: str
    attempt: int
    at: float

    @property
    def next_try_in(self) -> float:
        """Seconds until the next try; 0 during the try."""
        return round(max(0.0, self.at - time.monotonic()), 1)


def full_jitter(
    first: float = INITIAL_WAIT, longest: float = MAX_WAIT, rng: random.Random | None = None
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
    """Run *session* again each time it returns or raises `TransientError`, for ever.

    A session that returns was closed by the other side, and counts as dropped. The waits and the
    count of attempts start over after a session of at least *healthy_after* seconds. Drops are
    logged by `FailureLog`. *on_down* is called with the cause of each drop, *on_retry* with the
    next try.

    Raises:
        Exception: whatever else *session* raises.
    """
    wait = waits()
    failures = FailureLog("session_dropped", clock, session=name)
    while True:
        started = clock()
        try:
            await session()
            error = TransientError("the other side ended the session")
        except TransientError as e:
            error = e
        if clock() - started >= healthy_after:
            wait = waits()
            failures = FailureLog("session_dropped", clock, session=name)
        pause = max(next(wait), error.retry_after)
        retry = failures.retrying(error, pause)
        if on_down:
            on_down(retry.cause)
        if on_retry:
            on_retry(retry)
        await sleep(pause)


async def raise_first_error(*waits: Awaitable[None]) -> None:
    """Wait for all of *waits*; the first error cancels the others and is raised unchanged."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_while_healthy(work: Awaitable[T], *watches: Awaitable[None]) -> T:
    """The result of *work*; the first error of *watches* cancels it and is raised unchanged."""
    task = asyncio.ensure_future(work)
    guard = asyncio.ensure_future(raise_first_error(*watches))
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
    """Logs a repeated failure: at first, then at growing gaps, and once it is over."""

    def __init__(
        self, event: str, clock: Callable[[], float] = time.monotonic, **about: str
    ) -> None:
        self._event = event
        self._recovered_event = f"{event}_recovered"
        self._log = log.bind(**about)
        self._clock = clock
        self._failures = 0
        self._next_warning_at = float("-inf")
        self._warning_gap = INITIAL_WARNING_GAP

    def seen(self, error: Exception, **about: object) -> None:
        """Log a failure: a warning at first and at growing gaps, debug in between."""
        self._failures += 1
        log_failure, now = self._log.debug, self._clock()
        if now >= self._next_warning_at:
            self._next_warning_at = now + self._warning_gap
            self._warning_gap = min(self._warning_gap * 2, MAX_WARNING_GAP)
            log_failure = self._log.warning
        log_failure(self._event, **about, error=str(error), attempt=self._failures)

    def retrying(self, error: Exception, pause: float) -> Retry:
        """Log a failure as `seen` does; it is retried in *pause* seconds."""
        self.seen(error, next_try_in=round(pause, 1))
        return Retry(str(error), self._failures, self._clock() + pause)

    def over(self) -> None:
        """Log the recovery, if there was a failure."""
        if self._failures:
            self._log.info(self._recovered_event, failures=self._failures)
            self._failures = 0
            self._next_warning_at = float("-inf")
            self._warning_gap = INITIAL_WARNING_GAP
