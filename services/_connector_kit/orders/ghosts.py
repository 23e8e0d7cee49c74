"""Orders that were given up as not found, and are watched for a day all the same."""

import structlog

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Clock, Journal, Venue

log = structlog.get_logger()

EVERY = 60.0


async def watch_ghosts(
    venue: Venue, journal: Journal, clock: Clock, *, every: float = EVERY
) -> None:
    """Report each given-up order that the venue has after all; runs until cancelled."""
    while True:
        try:
            for record in await journal.provisional():
                order = await venue.find(record)
                if order is not None:
                    log.error(
                        "ghost_order",
                        client_order_id=record.client_order_id,
                        order_id=order.order_id,
                    )
                    await journal.correct(record, order)
        except TransientError as e:
            log.warning("ghost_watch_delayed", error=str(e))
        await clock.sleep(every)
