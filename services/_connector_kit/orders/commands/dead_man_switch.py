"""The dead-man's switch: nobody looks after a dead bot's orders, so they are cancelled."""

from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis

from common_models.stream_names import BOT_HEARTBEAT, BOT_ORDERS
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account.order_status import PublishedOrder
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import Clock
from services._runtime.redis_transaction import reading
from services._runtime.supervise import FailureLog

log = structlog.get_logger()

LOOK_EVERY = 1.0
# An order that is still open is cancelled again after so many seconds.
AGAIN_AFTER = 10.0
# Milliseconds since 1970 have 13; what is longer is no time.
MAX_DIGITS = 15


class OpenOrderSource(Protocol):
    """What was told of orders."""

    async def open_orders(self) -> Sequence[tuple[str, PublishedOrder]]:
        """Those that were told as open, by exchange order id; TransientError where unreadable."""


class OrderCanceller(Protocol):
    """The exchange, as far as cancelling needs it."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order, which keeps the client order id *keep*.

        Raises what the kit's `errors` lists.
        """


async def silent_for(redis: Redis) -> float | None:
    """Seconds since the bot told that it lives, by Redis's clock; None where it never did.

    Raises:
        TransientError: Redis is in trouble.
    """
    told: Any = await reading(redis.get(BOT_HEARTBEAT))
    if told is None or not told.isdigit() or len(told) > MAX_DIGITS:
        return None
    seconds, microseconds = await reading(redis.time())
    return float(seconds + microseconds / 1e6 - int(told) / 1000)


async def watch_bot(
    redis: Redis, orders: OpenOrderSource, venue: OrderCanceller, clock: Clock, patience: float
) -> None:
    """Cancel the bot's open orders while it is silent for *patience* seconds; until cancelled.

    A Redis that doesn't answer is no proof of a dead bot: then nothing is done.
    """
    cancelled_at: dict[OrderRef, float] = {}
    dead = False
    failures = FailureLog("bot_not_watched")
    while True:
        await clock.sleep(LOOK_EVERY)
        try:
            silent = await silent_for(redis)
            was_dead, dead = dead, silent is not None and silent > patience
            if dead and not was_dead:
                log.error("bot_is_silent", seconds=silent, action="its open orders are cancelled")
            if dead:
                await _cancel_all(orders, venue, clock.monotonic(), cancelled_at)
        except TransientError as e:
            failures.seen(e)
            continue
        failures.over()


async def _cancel_all(
    orders: OpenOrderSource, venue: OrderCanceller, now: float, cancelled_at: dict[OrderRef, float]
) -> None:
    for order_id, told in await orders.open_orders():
        if not (told.client_order_id or "").startswith(BOT_ORDERS):
            continue
        order = OrderRef(told.symbol, order_id)
        if now - cancelled_at.get(order, float("-inf")) < AGAIN_AFTER:
            continue
        cancelled_at[order] = now
        try:
            await venue.cancel(
                told.symbol, order_id=order_id, client_order_id=None, keep=told.client_order_id
            )
        except (TransientError, RejectedError, FeedStoppedError) as e:
            log.warning("dead_bots_order_not_cancelled", order_id=order_id, error=str(e))
            continue
        log.warning("dead_bots_order_cancelled", order_id=order_id, id=told.client_order_id)
