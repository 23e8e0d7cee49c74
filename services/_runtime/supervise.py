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

INITIAL_WAIT = 0.5
MAX_WAIT = 5.0
HEALTHY_AFTER = 30.0
# Trouble that goes on is told again: after so many seconds first, then at gaps that double up to
# the longest. Nobody reads the log from its start.
INITIAL_WARNING_GAP = 10.0
MAX_WARNING_GAP = 300.0


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
    """Run *session* again each time it ends, for ever; only `TransientError` is forgiven.

    A session that returns has been hung up on politely: that is a drop too. The waits start
    over only after a session that lasted *healthy_after* seconds, and so does the count of
    attempts. The first drop is logged as a warning, and again while no healthy session follows:
    see `FailureLog`. Each drop is told to *on_down*, and to *on_retry* with when the next try is.
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
    """Wait for all of *waits*; the first fault ends them all and is raised as it is."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_while_healthy(work: Awaitable[T], *watches: Awaitable[None]) -> T:
    """What *work* gives; the first fault of *watches* ends it and is raised as it is."""
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
    """Something that fails again and again: told at first, now and then, and when it is over."""

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
        """It failed: a warning at first and at growing gaps, at debug in between."""
        self._failures += 1
        log_failure, now = self._log.debug, self._clock()
        if now >= self._next_warning_at:
            self._next_warning_at = now + self._warning_gap
            self._warning_gap = min(self._warning_gap * 2, MAX_WARNING_GAP)
            log_failure = self._log.warning
        log_failure(self._event, **about, error=str(error), attempt=self._failures)

    def retrying(self, error: Exception, pause: float) -> Retry:
        """It failed, and is tried again in *pause* seconds: tells it as `seen` does."""
        self.seen(error, next_try_in=round(pause, 1))
        return Retry(str(error), self._failures, self._clock() + pause)

    def over(self) -> None:
        """It worked."""
        if self._failures:
            self._log.info(self._recovered_event, failures=self._failures)
            self._failures = 0
            self._next_warning_at = float("-inf")
            self._warning_gap = INITIAL_WARNING_GAP
