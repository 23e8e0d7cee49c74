"""Limits counted in Redis, across restarts and instances: pace, open orders, positions."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from redis.asyncio import Redis

from common_models.stream_names import BOT_ORDERS
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.keys import (
    accepted_key,
    open_key,
    positions_key,
    sending_key,
    sent_key,
    unanswered_key,
)
from services._connector_kit.orders.ports import Rejection
from services._connector_kit.orders.risk.open_orders import HaltedAfter, OpenOrders
from services._connector_kit.orders.risk.position_limits import PositionLimits, ProposedOrder
from services._connector_kit.orders.risk.positions import read_positions
from services._connector_kit.orders.settings import TradingSettings
from services._runtime.position import Position
from services._runtime.redis_transaction import at_once

MINUTE_MS = 60_000
BOT, OTHERS = "bot", "others"
# The limits of pace and open orders are this many times higher for orders that reduce a position.
REDUCING_FACTOR = 2


def writer(client_order_id: str) -> str:
    """Under whose pace limit an order counts: the bot's, by its ids, or all others'."""
    return BOT if client_order_id.startswith(BOT_ORDERS) else OTHERS


class LimitUsage(NamedTuple):
    """The usage of the limits, including the order that was just counted.

    `by_bot` and `by_others`: orders of the last minute. `open`: an upper bound of the open orders.
    `passed`: client order ids that passed the checks and have no answer. `positions`: by symbol.
    """

    by_bot: int
    by_others: int
    open: int
    passed: set[bytes]
    positions: dict[str, Position]


class OrderLimits:
    """Counts an order before it is sent, and rejects it if it exceeds a limit.

    One MULTI adds the order and counts all orders. So of several orders at once, in one process or
    two, those beyond a limit are rejected. A rejected order is removed from the count.

    The same MULTI reads the halt switch, so that it is the last read before the POST. `mark`
    returns the current price of a symbol in its quote asset; None without a live book.
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        settings: TradingSettings,
        halted_after: HaltedAfter,
        mark: Callable[[str], Decimal | None],
    ) -> None:
        self._redis: Any = redis
        self._halted_after = halted_after
        self._connector = connector
        self._each = settings.risk_orders_per_minute
        self._all = settings.risk_orders_per_minute_total or self._each
        self._most_open = settings.risk_max_open_orders
        self._unanswered = unanswered_key(connector)
        self._sending = sending_key(connector)
        self._accepted = accepted_key(connector)
        self._open = open_key(connector)
        self._positions = positions_key(connector)
        self._open_orders = OpenOrders(redis, connector, halted_after)
        self._position_limits = PositionLimits(settings, mark)

    async def reserve(self, record: Record, price: Decimal) -> Rejection | None:
        """Count the order of *record*; the rejection at *price*, None if it may be sent.

        Raises:
            TransientError: Redis failed: the order must not be sent, and may have been counted.
        """
        usage, halt = await self._count(record)
        order, quantity = record.order, Decimal(record.sent_quantity or "0")
        proposal = ProposedOrder(order.symbol, order.side, quantity, price)
        rejection = _halted(halt) or await self._rejection(record, proposal, usage)
        if rejection is not None:
            await self._remove(record)
        return rejection

    async def _count(self, record: Record) -> tuple[LimitUsage, str | None]:
        """Count the order; the usage of the limits, and the reason of a halt.

        The minute is of the venue's clock, which all instances share. An entry more than a minute
        ahead was written before the venue's clock was set back, and doesn't count.
        """
        name, now = record.client_order_id, record.timestamp
        own = self._sent(record)
        lately = (f"({now - MINUTE_MS}", now + MINUTE_MS)
        replies, halt = await self._halted_after(
            ("ZADD", self._sending, now, name),
            ("ZADD", own, now, name),
            ("ZREMRANGEBYSCORE", own, "-inf", now - MINUTE_MS),
            ("PEXPIRE", own, 2 * MINUTE_MS),
            ("ZCOUNT", sent_key(self._connector, BOT), *lately),
            ("ZCOUNT", sent_key(self._connector, OTHERS), *lately),
            ("ZINTERCARD", 2, self._unanswered, self._sending),
            ("HLEN", self._accepted),
            ("SCARD", self._open),
            ("ZRANGE", self._sending, 0, -1),
            ("HGETALL", self._positions),
        )
        passed, positions = set(replies[9]), read_positions(replies[10])
        return LimitUsage(replies[4], replies[5], sum(replies[6:9]), passed, positions), halt

    async def _rejection(
        self, record: Record, proposal: ProposedOrder, usage: LimitUsage
    ) -> Rejection | None:
        """The limit that the order exceeds, given the usage; None if it exceeds none."""
        pace = self._pace(record, usage, 1)
        others, few = usage.open - 1, usage.open <= self._most_open
        limits = self._position_limits
        if pace is None and few and limits.certainly_allowed(proposal, usage.positions, others):
            return None
        # Open orders can only lower the quantity that may be reduced, so they are left out.
        if pace is not None and not limits.reduces(proposal, usage.positions, ()):
            return pace
        # The bound may count foreign orders, duplicates and other markets: read the orders.
        snapshot = await self._open_orders.excluding(record.client_order_id, usage.passed)
        working = snapshot.orders.values()
        times = REDUCING_FACTOR if limits.reduces(proposal, snapshot.positions, working) else 1
        return (
            self._pace(record, usage, times)
            or self._too_many(len(working), times)
            or limits.rejection(proposal, snapshot.positions, working)
            or _halted(snapshot.halt)
        )

    def _pace(self, record: Record, usage: LimitUsage, times: int) -> Rejection | None:
        who, by_bot, by_others = writer(record.client_order_id), usage.by_bot, usage.by_others
        if (by_bot if who == BOT else by_others) > self._each * times:
            allowed = f"RISK_ORDERS_PER_MINUTE allows {self._each} by {who}"
        elif by_bot + by_others > self._all * times:
            allowed = f"RISK_ORDERS_PER_MINUTE_TOTAL allows {self._all} by bot and others"
        else:
            return None
        return Rejection("orders_per_minute", f"{allowed}{_if_higher(times)}; wait a little")

    def _too_many(self, others: int, times: int) -> Rejection | None:
        if others < self._most_open * times:
            return None
        allowed = f"RISK_MAX_OPEN_ORDERS allows {self._most_open}{_if_higher(times)}"
        return Rejection("max_open_orders", f"{others} are open; {allowed}")

    def _sent(self, record: Record) -> str:
        return sent_key(self._connector, writer(record.client_order_id))

    async def _remove(self, record: Record) -> None:
        """Remove the order from the count, because it isn't sent."""
        name = record.client_order_id
        await at_once(
            self._redis, ("ZREM", self._sending, name), ("ZREM", self._sent(record), name)
        )


def _if_higher(times: int) -> str:
    return f" ({times} times that to make a position smaller)" if times > 1 else ""


def _halted(reason: str | None) -> Rejection | None:
    return None if reason is None else Rejection("halted", f"trading is halted: {reason}")
