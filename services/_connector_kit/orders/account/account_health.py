"""Whether what is published of the account is true and complete; new orders depend on it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from services._connector_kit.errors import RETRY_REFUSED
from services._connector_kit.orders.ports import Clock, Rejection

log = structlog.get_logger()

# In seconds: a reconnect of the account stream is usually over by then.
GRACE = 5.0


def _nothing() -> None:
    """No callback is set."""


class AccountHealth:
    """Which parts of the account don't work, and why.

    `fault` is why no new order may leave: at once where the key is refused or a part has not
    worked yet, else once something was down for `GRACE`. `on_change` is called when that changes.
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
        """The account stream is there; what was missed is found by a comparison begun now."""
        self.connections += 1
        self.down("comparison", "not done since the account stream was connected")
        self.up("stream")

    def down(self, part: str, reason: str) -> None:
        """*part* doesn't work, and is tried again."""
        self._start_grace()
        self._refused.pop(part, None)
        self._down[part] = reason
        self._changed.set()

    def refused(self, part: str, reason: str) -> None:
        """The venue refused our key to *part*, which is tried again every `RETRY_REFUSED`."""
        self._start_grace()
        self._down.pop(part, None)
        self._refused[part] = reason
        self._changed.set()

    def order_refused(self, reason: str) -> None:
        """The venue refused our key to an order; the next is sent after `RETRY_REFUSED`."""
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
        """Why no new order may leave; None where nothing is wrong with the account."""
        for part, reason in self._refused.items():
            return Rejection("key_refused", f"{part}: {reason}")
        if self._clock.monotonic() < self._order_refused_until:
            return Rejection("key_refused", f"an order: {self._order_refused}")
        if self._down and self._clock.monotonic() - self._since >= GRACE:
            parts = ", ".join(f"{part}: {reason}" for part, reason in self._down.items())
            return Rejection("account_unavailable", f"the account can't be followed: {parts}")
        return None

    async def watch(self) -> None:
        """Call `on_change` with each change of the fault, log that of its code; until cancelled."""
        while True:
            self._changed.clear()
            self._report()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_change()):
                    await self._changed.wait()

    def _seconds_to_change(self) -> float | None:
        """Seconds until time alone changes the fault; None where it doesn't."""
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
