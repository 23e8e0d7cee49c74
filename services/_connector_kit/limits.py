"""A venue's limits, which are three: the address's requests and connections, the account's orders.

A ban is the address's: it holds requests and connections. A reached limit of new orders holds
nothing but new orders.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from services._connector_kit.errors import RateLimitedError
from services._connector_kit.rate_limit import (
    LONGEST_PAUSE,
    Priority,
    RateBudget,
    in_force,
    retry_after,
)

log = structlog.get_logger()

# Seconds. A query for an order must fail soon if the exchange doesn't answer.
RESOLVE_WITHIN = 5.0
CONNECT_WITHIN = 30.0
# The share of a venue's limit of requests that is kept for cancelling everything.
RESERVE = 0.2


class OrderLimit:
    """An account's limit of new orders: while it is reached, only they wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._closed_until = float("-inf")

    @property
    def closed_for(self) -> float:
        """Seconds until a new order may be sent; 0 where it may be now."""
        return max(0.0, self._closed_until - self._clock())

    def close(self, seconds: float) -> None:
        """Let no new order leave for *seconds*."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    async def open_within(self, seconds: float) -> bool:
        """Wait until a new order may be sent; False, at once, where that takes longer."""
        deadline = self._clock() + seconds
        while (left := self.closed_for) > 0.0:
            if self._clock() + left > deadline:
                return False
            await asyncio.sleep(left)
        return True


class VenueLimits:
    """One venue's limits for one process. `usual_ban`: seconds, where the venue names no time."""

    def __init__(
        self,
        requests: RateBudget,
        connections: RateBudget,
        *,
        usual_ban: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests = requests
        self.connections = connections
        self.orders = OrderLimit(clock)
        self._usual_ban = usual_ban

    def ban(self, seconds: float | None) -> float:
        """Send no request and open no connection for *seconds* (None: the usual time).

        Returns the seconds. Connections that are open stay.
        """
        wait = self._usual_ban if seconds is None else min(max(seconds, 0.0), LONGEST_PAUSE)
        if wait > self.requests.paused_for:
            log.warning("venue_ban", seconds=round(wait, 3))
        self.requests.pause(wait)
        self.connections.pause(wait)
        return wait

    def obey(self, header: str | None) -> float:
        """`ban` for as long as a `Retry-After` header says; returns the seconds."""
        return self.ban(retry_after(header, self._usual_ban))

    async def spend(self, weight: int, priority: Priority) -> None:
        """Wait until a request of that weight may be sent.

        Raises:
            RateLimitedError: where it is to resolve an order: not within `RESOLVE_WITHIN`.
        """
        priority = in_force(priority)
        if priority is not Priority.RESOLVE:
            await self.requests.spend(weight, priority)
        elif not await self.requests.spend_within(RESOLVE_WITHIN, weight, priority):
            raise self._too_soon("no request may be sent", self.requests)

    async def connect(self) -> None:
        """Wait until a connection may be opened.

        Raises:
            RateLimitedError: that takes longer than `CONNECT_WITHIN`.
        """
        if not await self.connections.spend_within(CONNECT_WITHIN, 1, Priority.DATA):
            raise self._too_soon("no connection may be opened", self.connections)

    @staticmethod
    def _too_soon(what: str, budget: RateBudget) -> RateLimitedError:
        wait = budget.paused_for
        why = f"the venue bans this address for {wait:.0f} s" if wait else "the budget is spent"
        return RateLimitedError(f"{what}: {why}", retry_after=wait)
