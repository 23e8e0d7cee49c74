"""Cancels the open orders at the venue while Redis is full and accepts no commands."""

import asyncio

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.commands.request_ports import RequestVenue
from services._connector_kit.orders.ports import Clock
from services._connector_kit.rate_limit import Priority, spending_as

log = structlog.get_logger()

# Seconds until a POST that was in flight at the halt has reached the venue or never will.
LATEST_ARRIVAL = 15.0
AGAIN_AFTER = 5.0


async def cancel_when_full(full: asyncio.Event, venue: RequestVenue, clock: Clock) -> None:
    """Cancel all open orders each time that Redis is found full; runs until cancelled."""
    while True:
        await full.wait()
        full.clear()
        await cancel_open(venue, clock)


async def cancel_open(venue: RequestVenue, clock: Clock) -> None:
    """Cancel open orders until a poll `LATEST_ARRIVAL` seconds after the first finds none."""
    began = clock.monotonic()
    while True:
        polled_at, wait = clock.monotonic(), AGAIN_AFTER
        try:
            with spending_as(Priority.OPERATOR):
                orders = await venue.open_orders()
                for order in orders:
                    await _cancel(venue, order.symbol, order.order_id, order.client_order_id)
        except (TransientError, RejectedError, FeedStoppedError) as e:
            log.error("cancelling_open_orders_delayed", error=str(e))  # noqa: TRY400 - expected, no traceback
            wait = max(wait, e.retry_after if isinstance(e, TransientError) else 0.0)
        else:
            log.error("open_orders_cancelled", orders=len(orders), reason="Redis is full")
            if not orders and polled_at - began >= LATEST_ARRIVAL:
                return
        await clock.sleep(wait)


async def _cancel(
    venue: RequestVenue, symbol: str, order_id: str, client_order_id: str | None
) -> None:
    try:
        await venue.cancel(symbol, order_id=order_id, client_order_id=None, keep=client_order_id)
    except RejectedError as e:  # filled or cancelled meanwhile; the next poll shows it
        log.warning("open_order_not_cancelled", order_id=order_id, error=str(e))
