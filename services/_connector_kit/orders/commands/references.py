"""Chooses the ids by which the venue is queried for the order that a command names.

An order's id never changes, but Binance replaces its client order id when it is amended or
cancelled. So the order id that was published with a client order id is tried first.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from common_models import CancelOrderCommand, QueryOrderCommand
from services._connector_kit.errors import RejectedError
from services._connector_kit.orders.account.order_status import OrderStatusReport, PublishedOrder
from services._connector_kit.orders.keys import OrderRef

T = TypeVar("T")


class OrderReference(NamedTuple):
    """The ids in a query to the venue; if both are given, both must match."""

    order_id: str | None
    client_order_id: str | None


class PublishedOrders(Protocol):
    """The published orders. Its methods raise TransientError if Redis fails."""

    async def published(self, order: OrderRef) -> PublishedOrder | None:
        """Return the order's last published state, None if there is none."""

    async def published_as(self, symbol: str, client_order_id: str) -> OrderRef | None:
        """Return the order last published with that client order id, None if there is none."""


class OrderLookup(Protocol):
    """The venue's requests for one order. Raises the errors of the kit's `errors` module."""

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """Return the state of one order; RejectedError if there is none."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order and return its order id; RejectedError if none can be cancelled."""


class NamedOrder(NamedTuple):
    """An order that a command names, with the references to try, best first.

    `client_order_id` is the id that it keeps when it is cancelled; None if it is unknown.
    """

    symbol: str
    references: Sequence[OrderReference]
    client_order_id: str | None

    async def report(self, venue: OrderLookup) -> OrderStatusReport:
        """Query its state; RejectedError if the venue does not know it."""
        return await self._first(
            lambda by: venue.report(
                self.symbol, order_id=by.order_id, client_order_id=by.client_order_id
            )
        )

    async def cancel(self, venue: OrderLookup) -> str:
        """Cancel it and return its order id; RejectedError if it can't be cancelled."""
        return await self._first(
            lambda by: venue.cancel(
                self.symbol,
                order_id=by.order_id,
                client_order_id=by.client_order_id,
                keep=self.client_order_id,
            )
        )

    async def _first(self, request: Callable[[OrderReference], Awaitable[T]]) -> T:
        """Return the venue's answer to the first reference that it accepts.

        Raises:
            RejectedError: the venue rejected all references; its last message.
        """
        for reference in self.references[:-1]:
            try:
                return await request(reference)
            except RejectedError:
                continue
        return await request(self.references[-1])


async def named(
    published: PublishedOrders, command: CancelOrderCommand | QueryOrderCommand
) -> NamedOrder:
    """Choose the references to the order of *command*."""
    given = OrderReference(command.order_id, command.client_order_id)
    symbol, client_order_id = command.symbol, command.client_order_id
    if client_order_id is None:
        order = await published.published(OrderRef(symbol, command.order_id or ""))
        return NamedOrder(symbol, [given], order.client_order_id if order else None)
    known = await published.published_as(symbol, client_order_id)
    if known is None or command.order_id not in (None, known.order_id):
        return NamedOrder(symbol, [given], client_order_id)
    order = await published.published(known)
    by_order_id = OrderReference(known.order_id, None)
    # The client order id of a closed order may belong to another order now.
    closed = order is None or order.closed
    ways = [given, by_order_id] if closed else [by_order_id, given]
    return NamedOrder(symbol, ways, client_order_id)
