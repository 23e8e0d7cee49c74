"""Reads our orders that may still trade, together with the positions."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from services._connector_kit.orders.account.order_state import AcceptedOrder
from services._connector_kit.orders.account.order_status import PublishedOrder
from services._connector_kit.orders.execution.record import Record, load
from services._connector_kit.orders.keys import (
    OrderRef,
    accepted_key,
    first_published_key,
    open_key,
    order_key,
    positions_key,
    published_key,
    sending_key,
    unanswered_key,
)
from services._connector_kit.orders.risk.position_limits import WorkingOrder
from services._connector_kit.orders.risk.positions import read_positions
from services._runtime.position import Position
from services._runtime.redis_commands import pairs
from services._runtime.redis_transaction import at_once, reading

# Executes commands, then reads the halt switch (`HaltWatch.reason_after`).
HaltedAfter = Callable[..., Awaitable[tuple[list[Any], str | None]]]


class OpenOrdersSnapshot(NamedTuple):
    """Open orders by client order id, positions by symbol, and the reason of a halt."""

    orders: dict[str, WorkingOrder]
    positions: dict[str, Position]
    halt: str | None


class OpenOrders:
    """Reads open orders. A fill during the read may count twice, but is never missed."""

    def __init__(self, redis: Redis, connector: str, halted_after: HaltedAfter) -> None:
        self._redis: Any = redis
        self._connector = connector
        self._halted_after = halted_after
        self._unanswered = unanswered_key(connector)
        self._sending = sending_key(connector)
        self._accepted = accepted_key(connector)
        self._open = open_key(connector)
        self._positions = positions_key(connector)

    async def excluding(self, own: str, passed: set[bytes]) -> OpenOrdersSnapshot:
        """The open orders except *own*.

        Of the orders without an answer only those in *passed* count: the others came later, and
        have counted this one.

        Raises:
            TransientError: Redis failed.
        """
        unanswered, sending, accepted, open_refs = await at_once(
            self._redis,
            ("ZRANGE", self._unanswered, 0, -1),
            ("ZRANGE", self._sending, 0, -1),
            ("HGETALL", self._accepted),
            ("SMEMBERS", self._open),
        )
        noted = pairs(accepted)
        published_keys = [self._published_key(text.decode()) for text in (*noted, *open_refs)]
        waiting = {own} | {name.decode() for name in passed & {*unanswered} & {*sending}}
        taken = {
            msgspec.json.decode(data, type=AcceptedOrder).client_order_id for data in noted.values()
        }
        names = [*waiting | taken | await self._published(published_keys)]
        keys = [*published_keys, *(order_key(self._connector, name) for name in names)]
        # One MULTI, so that each fill is either in the position or in the remaining quantity.
        (found, held), halt = await self._halted_after(
            ("MGET", *keys), ("HGETALL", self._positions)
        )
        published, records = found[: len(published_keys)], found[len(published_keys) :]
        ours = {
            name: load(data) for name, data in zip(names, records, strict=True) if data is not None
        }
        orders = {name: _whole(ours[name]) for name in waiting | taken if name in ours}
        for each in _decode_published(published):
            name = each.client_order_id or ""
            if name in waiting or name not in ours or ours[name].order.symbol != each.symbol:
                continue
            if each.closed:
                orders.pop(name, None)
            else:
                side = each.side or ours[name].order.side
                orders[name] = WorkingOrder(each.symbol, side, each.remaining)
        orders.pop(own, None)
        return OpenOrdersSnapshot(orders, read_positions(held), halt)

    async def _published(self, published_keys: Sequence[str]) -> set[str]:
        """The client order ids of the published states at these keys."""
        found = await reading(self._redis.mget(published_keys)) if published_keys else ()
        return {
            published.client_order_id
            for published in _decode_published(found)
            if published.client_order_id
        }

    def _published_key(self, text: str) -> str:
        order = OrderRef.parse(text)
        if order is None:
            return first_published_key(self._connector, text)
        return published_key(self._connector, order)


def _decode_published(found: Sequence[bytes | None]) -> list[PublishedOrder]:
    return [msgspec.json.decode(data, type=PublishedOrder) for data in found if data is not None]


def _whole(record: Record) -> WorkingOrder:
    """The order with its whole quantity remaining, because no fill is known."""
    order = record.order
    quantity = Decimal(record.sent_quantity or str(order.quantity))
    return WorkingOrder(order.symbol, order.side, quantity)
