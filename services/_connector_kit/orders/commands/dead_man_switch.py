"""The dead-man's switch: cancels a bot's open orders while its heartbeat is missing."""

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

POLL_INTERVAL = 1.0
# Seconds after which the cancel of an order that is still open is repeated.
AGAIN_AFTER = 10.0
# Epoch milliseconds have 13 digits; a longer heartbeat is invalid.
MAX_DIGITS = 15


class OpenOrderSource(Protocol):
    """The published orders."""

    async def open_orders(self) -> Sequence[tuple[str, PublishedOrder]]:
        """Return the open ones with their order ids; TransientError if Redis fails."""


class OrderCanceller(Protocol):
    """The exchange's cancel request."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order, which keeps the client order id *keep*; returns its order id.

        Raises the errors of the kit's `errors` module.
        """


async def silent_for(redis: Redis) -> float | None:
    """Seconds since the bot's heartbeat by Redis's clock; None without a valid heartbeat.

    Raises:
        TransientError: Redis failed.
    """
    heartbeat: Any = await reading(redis.get(BOT_HEARTBEAT))
    if heartbeat is None or not heartbeat.isdigit() or len(heartbeat) > MAX_DIGITS:
        return None
    seconds, microseconds = await reading(redis.time())
    return float(seconds + microseconds / 1e6 - int(heartbeat) / 1000)


async def watch_bot(
    redis: Redis, orders: OpenOrderSource, venue: OrderCanceller, clock: Clock, patience: float
) -> None:
    """Cancel the bot's open orders after *patience* seconds of silence; runs until cancelled.

    If Redis does not answer, nothing is cancelled: that does not prove that the bot is dead.
    """
    cancelled_at: dict[OrderRef, float] = {}
    dead = False
    failures = FailureLog("bot_watch_delayed")
    while True:
        await clock.sleep(POLL_INTERVAL)
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
    for order_id, published in await orders.open_orders():
        if not (published.client_order_id or "").startswith(BOT_ORDERS):
            continue
        order = OrderRef(published.symbol, order_id)
        if now - cancelled_at.get(order, float("-inf")) < AGAIN_AFTER:
            continue
        cancelled_at[order] = now
        try:
            await venue.cancel(
                published.symbol,
                order_id=order_id,
                client_order_id=None,
                keep=published.client_order_id,
            )
        except (TransientError, RejectedError, FeedStoppedError) as e:
            log.warning("dead_bots_order_not_cancelled", order_id=order_id, error=str(e))
            continue
        log.warning("dead_bots_order_cancelled", order_id=order_id, id=published.client_order_id)
