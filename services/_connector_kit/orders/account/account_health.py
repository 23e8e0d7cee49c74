"""Whether the published account is complete and up to date; new orders depend on it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from services._connector_kit.errors import RETRY_REFUSED
from services._connector_kit.orders.ports import Clock, Rejection

log = structlog.get_logger()

# In seconds: a reconnect of the account stream usually takes less.
GRACE = 5.0


def _nothing() -> None:
    """Default callback; does nothing."""


class AccountHealth:
    """The parts of the account that don't work, each with its reason.

    `fault` is the rejection of new orders: at once if the key is refused or a part has not worked
    yet, else after a part was down for `GRACE` seconds. `on_change` is called when it changes.
    """

    def __init__(self, clock: Clock) -> None:
        self.on_change: Callable[[], None] = _nothing
        self._clock = clock
        self._refused: dict[str, str] = {}
        self._order_refused: str | None = None
        self._order_refused_until = float("-inf")
        self._down = dict.fromkeys(("stream", "comparison"), "not yet")
        self._since = float("-inf")  # no grace at the start
        self._reported: Rejection | None = Rejection("account_unavailable", "")
        self._changed = asyncio.Event()
        self.connections = 0  # of the account stream

    def connected(self) -> None:
        """The account stream is connected; a reconciliation must find the events missed before."""
        self.connections += 1
        self.down("comparison", "not done since the account stream was connected")
        self.up("stream")

    def down(self, part: str, reason: str) -> None:
        """*part* doesn't work, and is retried."""
        self._start_grace()
        self._refused.pop(part, None)
        self._down[part] = reason
        self._changed.set()

    def refused(self, part: str, reason: str) -> None:
        """The venue refused our key to *part*, which is retried every `RETRY_REFUSED` seconds."""
        self._start_grace()
        self._down.pop(part, None)
        self._refused[part] = reason
        self._changed.set()

    def order_refused(self, reason: str) -> None:
        """The venue refused our key to an order; the next one is sent after `RETRY_REFUSED`."""
        self._order_refused = reason
        self._order_refused_until = self._clock.monotonic() + RETRY_REFUSED
        self._changed.set()

    def up(self, part: str) -> None:
        """*part* works."""
        self._refused.pop(part, None)
        self._down.pop(part, None)
        self._changed.set()

    def _start_grace(self) -> None:
        if not (self._down or self._refused):
            self._since = self._clock.monotonic()

    @property
    def fault(self) -> Rejection | None:
        """The rejection of new orders; None if the account works."""
        for part, reason in self._refused.items():
            return Rejection("key_refused", f"{part}: {reason}")
        if self._clock.monotonic() < self._order_refused_until:
            return Rejection("key_refused", f"an order: {self._order_refused}")
        if self._down and self._clock.monotonic() - self._since >= GRACE:
            parts = ", ".join(f"{part}: {reason}" for part, reason in self._down.items())
            return Rejection("account_unavailable", f"the account can't be followed: {parts}")
        return None

    async def watch(self) -> None:
        """Call `on_change` when the fault changes, log when its code changes; until cancelled."""
        while True:
            self._changed.clear()
            self._report()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_change()):
                    await self._changed.wait()

    def _seconds_to_change(self) -> float | None:
        """Seconds until the passing of time changes the fault; None if it won't."""
        now = self._clock.monotonic()
        moments = [self._order_refused_until]
        if self._down:
            moments.append(self._since + GRACE)
        return min((moment - now for moment in moments if moment > now), default=None)

    def _report(self) -> None:
        before, fault = self._reported, self.fault
        if fault == before:
            return
        self._reported = fault
        if fault is None:
            log.info("account_up")
        elif before is None or fault.reason_code != before.reason_code:
            log.error("account_down", reason_code=fault.reason_code, reason=fault.message)
        self.on_change()
