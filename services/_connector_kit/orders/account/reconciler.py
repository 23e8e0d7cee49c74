"""Publishes the account's orders as they change, and reconciles them with the venue."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from services._connector_kit.errors import (
    RETRY_REFUSED,
    ArchivedError,
    FeedStoppedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.balance_publisher import BalancePublisher
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.missing_fills import MissingFills
from services._connector_kit.orders.account.order_status import (
    ARCHIVED,
    LOST,
    OrderStatusReport,
    PublishedOrder,
    generation,
)
from services._connector_kit.orders.account.published_balances import PublishedBalances
from services._connector_kit.orders.account.venue import AccountListener, AccountVenue
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import Clock
from services._runtime.supervise import FailureLog, full_jitter

log = structlog.get_logger()

ERROR_RETRY_DELAY = 1.0
# In seconds: an accepted order that the account stream has not reported by then is queried.
STREAM_REPORT_WITHIN = 1.0
CATCH_UP_WITHIN = 5.0
# In seconds: an order that every query misses for this time is lost (a testnet that was reset).
# Before that the venue may be slow. If it shows the order later, the order is published again.
LOST_AFTER = 600.0


class AccountReconciler:
    """Publishes account changes; reconciles every `reconcile_interval` seconds.

    A connected stream with heartbeats may still have lost an event, so it doesn't replace that.
    """

    def __init__(
        self,
        venue: AccountVenue,
        ledger: Ledger,
        balances: PublishedBalances,
        clock: Clock,
        reconcile_interval: float,
        health: AccountHealth,
    ) -> None:
        self._venue = venue
        self._ledger = ledger
        self._clock = clock
        self._interval = reconcile_interval
        self._health = health
        self._listener = AccountListener(health)
        self.balances = BalancePublisher(
            venue, balances, clock, health, self._listener.balances_requested
        )
        self._accepted = asyncio.Event()
        self._not_found_since: dict[OrderRef, float] = {}
        self._fills = MissingFills(ledger, clock, self._query_order)

    async def run(self) -> None:
        """Run until cancelled; a part that fails, or whose key is refused, is retried."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._health.watch())
            tasks.create_task(self._keep_listening())
            tasks.create_task(self._publish_received())
            tasks.create_task(self._keep_reconciling())
            tasks.create_task(self.balances.keep_publishing())
            tasks.create_task(self._query_accepted())
            tasks.create_task(self._fills.keep_querying())

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._venue.listen(self._listener)
            except FeedStoppedError as e:
                self._health.refused("stream", str(e))
            await self._clock.sleep(RETRY_REFUSED)

    def metrics(self) -> Iterator[Metric]:
        """The number of dropped events, for Prometheus."""
        yield CounterMetricFamily(
            "account_events_dropped",
            "Events of the account stream dropped because the queue was full; reconciled later.",
            value=self._listener.dropped,
        )

    async def _publish_received(self) -> None:
        failures = FailureLog("account_publishing_delayed")
        while True:
            what = await self._listener.queue.get()
            while True:
                try:
                    if isinstance(what, OrderStatusReport):
                        await self._fills.publish(what)
                    else:
                        await self.balances.publish_pushed(*what)
                except TransientError as e:
                    failures.seen(e)
                    await self._clock.sleep(ERROR_RETRY_DELAY)
                else:
                    failures.over()
                    break

    def order_accepted(self) -> None:
        """Query the accepted orders soon, in case the stream doesn't report them."""
        self._accepted.set()

    async def _query_accepted(self) -> None:
        while True:
            await self._accepted.wait()
            self._accepted.clear()
            await self._clock.sleep(STREAM_REPORT_WITHIN)
            await self._catch_up()
            try:
                for order in await self._ledger.accepted():
                    await self._query_order(order)
            except TransientError as e:
                log.warning("accepted_not_queried", error=str(e))
                self._accepted.set()
            except FeedStoppedError as e:
                log.warning("accepted_not_queried", error=str(e))
                self._listener.missed()  # the reconciliation queries them, and retries

    async def _keep_reconciling(self) -> None:
        failures = FailureLog("reconciliation_failed")
        waits = full_jitter()
        while True:
            self._listener.reconcile_requested.clear()
            connection = self._health.connections
            try:
                await self.reconcile()
            except (TransientError, RejectedError) as e:
                failures.seen(e)
                self._health.down("comparison", str(e))
                retry_after = e.retry_after if isinstance(e, TransientError) else 0.0
                await self._clock.sleep(max(next(waits), retry_after))
                continue
            except FeedStoppedError as e:
                self._health.refused("comparison", str(e))
                await self._clock.sleep(RETRY_REFUSED)
                continue
            failures.over()
            waits = full_jitter()
            if connection == self._health.connections:
                self._health.up("comparison")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._listener.reconcile_requested.wait()

    async def reconcile(self) -> None:
        """Publish the orders and fills at the venue that are not published yet.

        Raises what the kit's `errors` lists.
        """
        await self._catch_up()
        open_now = {report.order: report for report in await self._venue.open_orders()}
        published = {OrderRef(t.symbol, i): t for i, t in await self._ledger.open_orders()}
        ask = list(await self._ledger.accepted())
        cursor = await self._ledger.trades_cursor()
        traded, next_cursor = await self._venue.traded_since(cursor)
        for order, report in open_now.items():
            self._not_found_since.pop(order, None)
            known = published.get(order)
            if known is None or _differs(known, report):
                ask.append(order)
        ask += [order for order in published if order not in open_now]
        ask += await self._ledger.fills_missing()
        news = [trade.order for trade in await self._ledger.unpublished(traded)]
        seen = {order: await self._query_order(order) for order in dict.fromkeys(ask + news)}
        if all(seen[order] for order in news):
            await self._ledger.set_trades_cursor(next_cursor)
        self._listener.balances_changed()

    async def _catch_up(self) -> None:
        """Wait up to `CATCH_UP_WITHIN` until received events are published, to save queries."""
        until = self._clock.monotonic() + CATCH_UP_WITHIN
        while not self._listener.queue.empty() and self._clock.monotonic() < until:
            await self._clock.sleep(CATCH_UP_WITHIN / 50)

    async def _query_order(self, order: OrderRef) -> bool:
        """Query one order and publish what is new; False if the venue doesn't show it yet."""
        try:
            report = await self._venue.report(
                order.symbol, order_id=order.order_id, client_order_id=None
            )
        except ArchivedError as e:
            log.warning("order_archived", **order._asdict(), error=str(e))
            await self._ledger.end(order, ARCHIVED, self._venue.milliseconds())
        except RejectedError as e:
            now = self._clock.monotonic()
            if now - self._not_found_since.setdefault(order, now) < LOST_AFTER:
                return False
            log.warning("order_lost", **order._asdict(), error=str(e))
            await self._ledger.end(order, LOST, self._venue.milliseconds())
        else:
            await self._fills.publish(report)
        self._not_found_since.pop(order, None)
        return True


def _differs(published: PublishedOrder, report: OrderStatusReport) -> bool:
    """True if an open order differs from its published state, or fills are missing."""
    remaining = report.quantity - report.prevented - report.filled
    changed = report.version >= published.version and remaining != published.remaining
    another = generation(published, report) != "same"
    return published.filled < report.filled or bool(published.missing) or changed or another
