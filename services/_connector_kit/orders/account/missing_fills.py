"""Queries orders whose reported fills don't add up to the filled quantity.

A report with the order's own fee is published at once, and its fills follow. A report without it is
held back until its fills are known, because its fee is the sum of theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import Clock

log = structlog.get_logger()

# In seconds: how long a venue may take to show the fills of a filled quantity. Then the order is
# published without them, with `fills_complete` false.
FILLS_TIMEOUT = 10.0
QUERY_EVERY = 1.0


class MissingFills:
    """Publishes reports once their fills add up; *ask* queries an order and publishes it."""

    def __init__(
        self, ledger: Ledger, clock: Clock, ask: Callable[[OrderRef], Awaitable[object]]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._ask = ask
        self._held: dict[OrderRef, tuple[float, list[OrderStatusReport]]] = {}
        self._pending = asyncio.Event()

    async def publish(self, report: OrderStatusReport) -> None:
        """Publish *report* or hold it back; query the fills that are missing.

        Raises:
            TransientError: Redis failed; publishing again is safe.
        """
        if await self._ledger.publish_complete(report):
            return
        _, reports = self._held.setdefault(report.order, (self._clock.monotonic(), []))
        if report.fee is not None:
            await self._ledger.publish(report)
        elif report not in reports:
            reports.append(report)
        self._pending.set()

    async def keep_querying(self) -> None:
        """Query the orders with missing fills, until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            while self._held:
                for order in list(self._held):
                    await self._query_missing(order)
                if self._held:
                    await self._clock.sleep(QUERY_EVERY)

    async def _query_missing(self, order: OrderRef) -> None:
        since, reports = self._held[order]
        try:
            async with asyncio.timeout(FILLS_TIMEOUT):
                await self._ask(order)
        except (TransientError, RejectedError, FeedStoppedError, TimeoutError) as e:
            log.warning("fills_not_read", **order._asdict(), error=str(e))
        try:
            late = self._clock.monotonic() - since >= FILLS_TIMEOUT
            for report in list(reports):
                if late:
                    await self._ledger.publish(report)
                elif not await self._ledger.publish_complete(report):
                    return
                reports.remove(report)
            published = await self._ledger.published(order)
            if not late and published is not None and published.missing:
                return
        except TransientError as e:
            log.warning("fills_not_published", **order._asdict(), error=str(e))
            return
        if late:
            log.warning("fills_are_missing", **order._asdict())
        del self._held[order]
