"""Calls strategies' `on_timer` when it is due, by Redis's clock."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from common_models.stream_names import TIMER
from services.bot.dispatcher import cause_of
from services.bot.strategy_host import StrategyHost, StrategyRunner

# The clock is polled at least this often, in seconds: it may have been set.
POLL_EVERY = 1.0


class Timer:
    """Due at each multiple of *every* seconds since 1970, once each. Pure.

    After a pause only the last missed moment is due.
    """

    def __init__(self, every: float) -> None:
        self._every = round(every * 1000)
        self._last: int | None = None

    def due(self, now: float) -> int | None:
        """The moment that is due now, in milliseconds, else None; the first call only starts it."""
        moment = round(now * 1000) // self._every * self._every
        before, self._last = self._last, moment
        return moment if before is not None and moment > before else None

    def wait(self, now: float) -> float:
        """Seconds until the next moment."""
        return (self._every - round(now * 1000) % self._every) / 1000


class Timers:
    """The timers of all strategies; a stopped strategy is not called."""

    def __init__(self, host: StrategyHost, now: Callable[[], float | None]) -> None:
        """*now* is Redis's time in seconds; None while timers must wait."""
        self._host = host
        self._now = now
        self._timers: list[tuple[StrategyRunner, Timer]] = [
            (running, Timer(running.every))
            for running in host.running.values()
            if running.every is not None
        ]

    async def run(self, after_each: Callable[[], None]) -> None:
        """Run until cancelled; call *after_each* after each strategy. Without timers, return."""
        if not self._timers:
            return
        while True:
            wait = self.fire(after_each)
            await asyncio.sleep(wait)

    def fire(self, after_each: Callable[[], None]) -> float:
        """Call the strategies whose timer is due; return the seconds until the next one."""
        now = self._now()
        if now is None:
            return POLL_EVERY
        for running, timer in self._timers:
            moment = timer.due(now)
            if moment is not None:
                at = datetime.fromtimestamp(moment / 1000, UTC)
                self._host.notify(running, "on_timer", at, cause_of(TIMER, f"{moment}-0"))
                after_each()
        return min(POLL_EVERY, *(timer.wait(now) for _, timer in self._timers))
