"""`cancel_order`: an order that is known goes first, one that nobody knows costs next to nothing.

A program that cancels ids of its own invention, again and again, must not use up the requests that
everybody else's orders need. So the venue is asked about an unknown id once, and a few times a
minute for all of them together.
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

# Seconds. A cancel may overtake its order: for so long since it came the order is waited for,
ORDER_CLAIMED_WITHIN = 1.0
# while place_order commands wait to be claimed, as the first ones on a new Redis do for some
# seconds: the order may be among them,
ORDERS_WAIT_AT_MOST = 15.0
# and while the order is under way, or accepted and not shown yet.
ORDER_APPEARS_WITHIN = 20.0
# Between two looks for an order, and between two tries to cancel it.
FIRST_LOOK, LONGEST_LOOK = 0.1, 1.0
FIRST_TRY, LONGEST_TRY = 0.2, 2.0

# What the venue is asked about orders that nobody here knows: so often a minute in the long run,
UNKNOWN_A_MINUTE = 30
# half of it at once; a cancel waits so many seconds for its turn.
TURN_WITHIN = 5.0
# So many wait for their order to become known, and for their turn; together they are fewer than a
# desk reads before it has answered, so that it goes on reading.
MAX_WAITING = 60
MAX_IN_TURN = 30


class Cancels:
    """Cancels single orders. With *priority* all that is asked of the venue has it."""

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
        """Wait until the order is known to be under way or open; False where it doesn't get known.

        That asks Redis only. Raises TransientError where Redis is in trouble.
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
        told = await self._ledger.published(order)
        return not told.closed if told else order in await self._ledger.accepted()

    async def _becomes_known(self, command: CancelOrderCommand, client_order_id: str) -> bool:
        started, wait = self._clock.monotonic(), FIRST_LOOK
        while True:
            # In this order: what waits no longer has its record by then.
            waiting = await self._orders_waiting()
            if await self._is_known(command):
                return True
            if await self._journal.get(client_order_id) is not None:
                return False  # it is over
            patience = ORDERS_WAIT_AT_MOST if waiting else ORDER_CLAIMED_WITHIN
            left = started + patience - self._clock.monotonic()
            if left <= 0:
                return False
            await self._clock.sleep(min(wait, left))
            wait = min(wait * 2, LONGEST_LOOK)

    async def cancel_unknown(
        self, command: CancelOrderCommand, venue: RequestVenue, *, again: bool
    ) -> RequestOutcome:
        """Cancel an order that nobody here knows: it is over, or was placed elsewhere.

        *again*: an earlier try was sent, and not answered.
        """
        if again:  # it may have been carried out: nothing but its outcome is an answer
            await self._unknown.spend(1, Priority.CANCEL)
        elif not await self._its_turn():
            return RequestOutcome(
                "rejected",
                "rate_limited",
                "no such order is known here, and the exchange is asked about only "
                f"{UNKNOWN_A_MINUTE} such ids a minute",
            )
        with spending_as(Priority.BALANCES if self._priority is None else self._priority):
            order = await named(self._ledger, command)
            try:
                order_id = await order.cancel(venue)
            except RejectedError as e:
                # What became of it is worth a second question only while there is room.
                if not again and not await self._unknown.spend_within(0.0, 1, Priority.CANCEL):
                    return RequestOutcome("rejected", "nothing_to_cancel", str(e))
                return await self._not_cancelled(await _found(order, venue), e)
            await show(self._ledger, venue, command.symbol, order_id)
            return DONE

    async def _its_turn(self) -> bool:
        """Wait until the venue may be asked about one more id; False: that takes too long."""
        patience = TURN_WITHIN if self._in_turn < MAX_IN_TURN else 0.0
        self._in_turn += 1
        try:
            return await self._unknown.spend_within(patience, 1, Priority.CANCEL)
        finally:
            self._in_turn -= 1

    async def cancel_known(
        self, command: CancelOrderCommand, venue: RequestVenue
    ) -> RequestOutcome:
        """Cancel an order that is open, or under way: then it is tried until it appears."""
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
                # By the exchange's id: Binance gives a cancelled order the cancel's client id.
                await show(self._ledger, venue, command.symbol, order_id)
                return DONE

    async def _not_cancelled(
        self, report: OrderStatusReport | None, refusal: RejectedError
    ) -> RequestOutcome:
        if report is not None and report.status == "canceled":
            # Perhaps by an earlier try of ours, whose answer was lost.
            await self._ledger.publish(report)
            return DONE
        state = f"the order is {report.status}: " if report else ""
        return RequestOutcome("rejected", "nothing_to_cancel", f"{state}{refusal}")

    async def _patience(
        self, command: CancelOrderCommand, report: OrderStatusReport | None
    ) -> float:
        """How long a cancel that was refused is tried again, in seconds."""
        if report is not None:
            return 0.0 if report.closed else ORDER_APPEARS_WITHIN
        if command.client_order_id is None:
            return 0.0
        record = await self._journal.get(command.client_order_id)
        # Accepted since we looked, or the venue is slow to show it: it is there, or was.
        return 0.0 if record is None or refused(record) else ORDER_APPEARS_WITHIN


async def show(ledger: Ledger, venue: RequestVenue, symbol: str, order_id: str) -> None:
    """Publish what the venue says of an order, where it shows it already."""
    try:
        report = await venue.report(symbol, order_id=order_id, client_order_id=None)
    except RejectedError as e:
        log.warning("order_not_shown", order_id=order_id, symbol=symbol, error=str(e))
    else:  # else the next comparison publishes it
        await ledger.publish(report)


async def _found(order: NamedOrder, venue: RequestVenue) -> OrderStatusReport | None:
    try:
        return await order.report(venue)
    except RejectedError:
        return None


def refused(record: Record) -> bool:
    """True for a record that was closed without an order."""
    return record.state == "closed" and order_id_of(record) is None


def order_id_of(record: Record) -> str | None:
    """The venue's id in a closed record's answer."""
    return OrderResponseEvent.model_validate_json(record.answer or "").order_id
