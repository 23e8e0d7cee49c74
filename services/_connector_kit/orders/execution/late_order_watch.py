"""Orders that were given up as not found, and are watched for a day all the same."""

import structlog

from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.orders.commands.answers import accepted
from services._connector_kit.orders.execution.identity import is_ours
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import Clock, ExecutionVenue, OrderJournal

log = structlog.get_logger()

EVERY = 60.0


async def watch_late_orders(
    venue: ExecutionVenue, journal: OrderJournal, clock: Clock, *, every: float = EVERY
) -> None:
    """Report each given-up order that the venue has after all; runs until cancelled."""
    while True:
        try:
            given_up = await journal.provisional()
        except TransientError as e:
            log.warning("ghost_watch_delayed", error=str(e))
            given_up = ()
        for record in given_up:
            await _look_again(venue, journal, record)
        await clock.sleep(every)


async def _look_again(venue: ExecutionVenue, journal: OrderJournal, record: Record) -> None:
    try:
        order = await venue.find(record)
        if order is None or not is_ours(order, record):
            return
        log.error("ghost_order", client_order_id=record.client_order_id, order_id=order.order_id)
        answer = accepted(record, order, venue.milliseconds())
        corrected = record.closed(answer, created=order.created)
        await journal.correct(corrected, order)
    except (TransientError, RejectedError) as e:
        # The next round comes back to it; the others are not kept waiting for this one.
        log.warning("ghost_watch_delayed", client_order_id=record.client_order_id, error=str(e))
