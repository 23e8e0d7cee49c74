"""Watches orders that were answered `not_found` for a day: the venue may show them late."""

import structlog

from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.orders.commands.answers import accepted
from services._connector_kit.orders.execution.identity import is_ours
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import Clock, ExecutionVenue, OrderJournal

log = structlog.get_logger()

INTERVAL = 60.0


async def watch_late_orders(
    venue: ExecutionVenue, journal: OrderJournal, clock: Clock, *, interval: float = INTERVAL
) -> None:
    """Query each provisionally rejected order every *interval* seconds; runs until cancelled.

    An order that the venue shows is logged, and its journal record corrected.
    """
    while True:
        try:
            unconfirmed = await journal.provisional()
        except TransientError as e:
            log.warning("late_order_watch_delayed", error=str(e))
            unconfirmed = ()
        for record in unconfirmed:
            await _check_again(venue, journal, record)
        await clock.sleep(interval)


async def _check_again(venue: ExecutionVenue, journal: OrderJournal, record: Record) -> None:
    try:
        order = await venue.find(record)
        if order is None or not is_ours(order, record):
            return
        log.error(
            "late_order_found", client_order_id=record.client_order_id, order_id=order.order_id
        )
        answer = accepted(record, order, venue.milliseconds())
        corrected = record.closed(answer, created=order.created)
        await journal.correct(corrected, order)
    except (TransientError, RejectedError) as e:
        # The next round queries it again; the other orders do not wait for it.
        log.warning(
            "late_order_watch_delayed", client_order_id=record.client_order_id, error=str(e)
        )
