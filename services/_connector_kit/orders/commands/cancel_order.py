"""`cancel_order`: known orders are cancelled first; unknown ids cost few requests.

A client that cancels invented ids must not use up the request budget that other orders need. So
the venue is queried once for an unknown id, and a limited number of times a minute for all of them
together.
"""

from collections.abc import Awaitable, Callable

import structlog

from common_models import CancelOrderCommand, OrderResponseEvent
from services._connector_kit.errors import RejectedError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.commands.references import NamedOrder, named
from services._connector_kit.orders.commands.request_ports import DONE, RequestOutcome, RequestVenue
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import Clock, OrderJournal
from services._connector_kit.rate_limit import Priority, RateBudget, spending_as
from services._runtime.failpoints import reach

log = structlog.get_logger()

# A cancel may overtake its order. It waits so many seconds for the order to be claimed,
ORDER_CLAIMED_WITHIN = 1.0
# so many while place_order commands wait to be claimed, as they do on a new Redis,
ORDERS_WAIT_AT_MOST = 15.0
# and so many while the order is being placed, or is accepted and not shown yet.
ORDER_APPEARS_WITHIN = 20.0
# Seconds between two polls for an order, and between two attempts to cancel it.
FIRST_POLL, LONGEST_POLL = 0.1, 1.0
FIRST_TRY, LONGEST_TRY = 0.2, 2.0

# Queries of the venue a minute for orders that are unknown here; half of them may come at once.
UNKNOWN_A_MINUTE = 30
# Seconds that a cancel of an unknown order waits for this budget.
TURN_WITHIN = 5.0
# Cancels that wait for their order to become known, and for the budget. Their sum is below
# `MAX_READ` of the consumer, so that it continues to read.
MAX_WAITING = 60
MAX_IN_TURN = 30


class Cancels:
    """Cancels single orders. *priority*, if given, applies to all requests to the venue."""

    def __init__(
        self,
        ledger: Ledger,
        journal: OrderJournal,
        clock: Clock,
        orders_waiting: Callable[[], Awaitable[bool]],
        priority: Priority | None,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._orders_waiting = orders_waiting
        self._priority = priority
        self._waiting = 0
        self._in_turn = 0
        self._unknown = RateBudget(UNKNOWN_A_MINUTE, clock=clock.monotonic)

    async def known(self, command: CancelOrderCommand) -> bool:
        """Wait until the order is known to be in progress or open; False if it stays unknown.

        Only Redis is read.

        Raises:
            TransientError: Redis failed.
        """
        if await self._is_known(command):
            return True
        if command.client_order_id is None or self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            return await self._becomes_known(command, command.client_order_id)
        finally:
            self._waiting -= 1

    async def _is_known(self, command: CancelOrderCommand) -> bool:
        symbol, client_order_id = command.symbol, command.client_order_id
        order = OrderRef(symbol, command.order_id) if command.order_id else None
        if order is None and client_order_id is not None:
            record = await self._journal.get(client_order_id)
            if record is not None and record.state != "closed":
                return True
            order = await self._ledger.published_as(symbol, client_order_id)
            if order is None:
                return record is not None and not refused(record)
        if order is None:
            return False
        published = await self._ledger.published(order)
        return not published.closed if published else order in await self._ledger.accepted()

    async def _becomes_known(self, command: CancelOrderCommand, client_order_id: str) -> bool:
        started, wait = self._clock.monotonic(), FIRST_POLL
        while True:
            # Check the queue first; a command that has left it already has its record.
            waiting = await self._orders_waiting()
            if await self._is_known(command):
                return True
            if await self._journal.get(client_order_id) is not None:
                # Closed, or claimed since `_is_known` read the record.
                return await self._is_known(command)
            patience = ORDERS_WAIT_AT_MOST if waiting else ORDER_CLAIMED_WITHIN
            left = started + patience - self._clock.monotonic()
            if left <= 0:
                return False
            await self._clock.sleep(min(wait, left))
            wait = min(wait * 2, LONGEST_POLL)

    async def cancel_unknown(
        self, command: CancelOrderCommand, venue: RequestVenue, *, again: bool
    ) -> RequestOutcome:
        """Cancel an order that is unknown here: it is closed, or was placed by another program.

        *again*: an earlier attempt was sent and not answered.
        """
        if again:  # it may have been executed: only its outcome is an answer
            await self._unknown.spend(1, Priority.CANCEL)
        elif not await self._wait_for_turn():
            return RequestOutcome(
                "rejected",
                "rate_limited",
                "the order is unknown here, and the exchange is queried for only "
                f"{UNKNOWN_A_MINUTE} such ids a minute",
            )
        with spending_as(Priority.BALANCES if self._priority is None else self._priority):
            order = await named(self._ledger, command)
            try:
                order_id = await order.cancel(venue)
            except RejectedError as e:
                # Its state is queried only while the budget allows it.
                if not again and not await self._unknown.spend_within(0.0, 1, Priority.CANCEL):
                    return RequestOutcome("rejected", "nothing_to_cancel", str(e))
                return await self._not_cancelled(await _found(order, venue), e)
            await show(self._ledger, venue, command.symbol, order_id)
            return DONE

    async def _wait_for_turn(self) -> bool:
        """Wait for the budget to query one more unknown id; False if that takes too long."""
        patience = TURN_WITHIN if self._in_turn < MAX_IN_TURN else 0.0
        self._in_turn += 1
        try:
            return await self._unknown.spend_within(patience, 1, Priority.CANCEL)
        finally:
            self._in_turn -= 1

    async def cancel_known(
        self, command: CancelOrderCommand, venue: RequestVenue
    ) -> RequestOutcome:
        """Cancel an open order; retry for one in progress until it appears at the venue."""
        started, wait = self._clock.monotonic(), FIRST_TRY
        with spending_as(self._priority):
            while True:
                order = await named(self._ledger, command)
                try:
                    reach("before_cancel")
                    order_id = await order.cancel(venue)
                    reach("after_cancel")
                except RejectedError as e:
                    report = await _found(order, venue)
                    until = started + await self._patience(command, report)
                    if (left := until - self._clock.monotonic()) > 0:
                        await self._clock.sleep(min(wait, left))
                        wait = min(wait * 2, LONGEST_TRY)
                        continue
                    return await self._not_cancelled(report, e)
                # By order id: Binance replaces a cancelled order's client order id.
                await show(self._ledger, venue, command.symbol, order_id)
                return DONE

    async def _not_cancelled(
        self, report: OrderStatusReport | None, refusal: RejectedError
    ) -> RequestOutcome:
        if report is not None and report.status == "canceled":
            # Perhaps by our earlier attempt, whose answer was lost.
            await self._ledger.publish(report)
            return DONE
        state = f"the order is {report.status}: " if report else ""
        return RequestOutcome("rejected", "nothing_to_cancel", f"{state}{refusal}")

    async def _patience(
        self, command: CancelOrderCommand, report: OrderStatusReport | None
    ) -> float:
        """How long a rejected cancel is retried, in seconds."""
        if report is not None:
            return 0.0 if report.closed else ORDER_APPEARS_WITHIN
        if command.client_order_id is None:
            return 0.0
        record = await self._journal.get(command.client_order_id)
        # It was accepted meanwhile, or the venue does not show it yet: it exists or existed.
        return 0.0 if record is None or refused(record) else ORDER_APPEARS_WITHIN


async def show(ledger: Ledger, venue: RequestVenue, symbol: str, order_id: str) -> None:
    """Publish the venue's state of an order, if the venue shows it already."""
    try:
        report = await venue.report(symbol, order_id=order_id, client_order_id=None)
    except RejectedError as e:
        log.warning("order_not_shown", order_id=order_id, symbol=symbol, error=str(e))
    else:  # otherwise the next reconciliation publishes it
        await ledger.publish(report)


async def _found(order: NamedOrder, venue: RequestVenue) -> OrderStatusReport | None:
    try:
        return await order.report(venue)
    except RejectedError:
        return None


def refused(record: Record) -> bool:
    """True if a record was closed without an order."""
    return record.state == "closed" and order_id_of(record) is None


def order_id_of(record: Record) -> str | None:
    """The order id in a closed record's answer; None if there is no order."""
    return OrderResponseEvent.model_validate_json(record.answer or "").order_id
