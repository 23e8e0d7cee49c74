"""Binance's unfilled order count: how many orders an account may place in an interval.

An order counts from its placement until its first trade; a cancel does not remove it
(developers.binance.com, FAQ "Spot Unfilled Order Count Rules").
"""

from collections.abc import Callable
from typing import Any

from services.exchange_simulator.account import AccountEvent
from services.exchange_simulator.binance import errors
from services.exchange_simulator.binance.exchange_info import RATE_LIMITS

MS = {"SECOND": 1000, "MINUTE": 60_000, "DAY": 86_400_000}


class OrderCount:
    """The counts of one account. *clock* returns Unix ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._limits = [limit for limit in RATE_LIMITS if limit["rateLimitType"] == "ORDERS"]
        # For each limit: the current interval, and its number of orders that haven't traded.
        self._counts = [(-1, 0) for _ in self._limits]

    def check(self) -> None:
        """Check that one more order may be placed.

        Raises:
            BinanceError: -1015, a limit is reached.
        """
        for limit in self.limits():
            if limit["count"] >= limit["limit"]:
                interval = f"{limit['intervalNum']} {limit['interval']}"
                raise errors.too_many_orders(limit["limit"], interval)

    def on_account_event(self, event: AccountEvent) -> None:
        """Update the counts: an order counts until its first trade."""
        if event.kind == "new":
            self._count(1)
        elif event.kind == "trade" and len(event.order.fills) == 1:
            self._count(-1)

    def limits(self) -> list[dict[str, Any]]:
        """The limits with `count`, as `rateLimit/order` answers them."""
        counts = self._now()
        return [{**limit, "count": n} for limit, (_, n) in zip(self._limits, counts, strict=True)]

    def headers(self) -> dict[str, str]:
        """`X-MBX-ORDER-COUNT-10S` and `-1D`."""
        return {
            f"X-MBX-ORDER-COUNT-{limit['intervalNum']}{limit['interval'][0]}": str(limit["count"])
            for limit in self.limits()
        }

    def _count(self, change: int) -> None:
        self._counts = [(interval, max(n + change, 0)) for interval, n in self._now()]

    def _now(self) -> list[tuple[int, int]]:
        """The counts, reset if their interval has ended."""
        now = self._clock()
        current = [now // (MS[li["interval"]] * li["intervalNum"]) for li in self._limits]
        return [
            (interval, count if interval == counted else 0)
            for interval, (counted, count) in zip(current, self._counts, strict=True)
        ]
