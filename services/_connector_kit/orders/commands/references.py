"""How the venue is asked for the order that a command names.

An order's id at the venue never changes; its client order id does at Binance, where an amendment or
a cancel gives it another one. So what was published of it comes first.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from common_models import CancelOrderCommand, QueryOrderCommand
from services._connector_kit.errors import RejectedError
from services._connector_kit.orders.account.order_status import OrderStatusReport, PublishedOrder
from services._connector_kit.orders.keys import OrderRef

T = TypeVar("T")


class OrderReference(NamedTuple):
    """The ids that the venue is asked with; where there are both, both must fit."""

    order_id: str | None
    client_order_id: str | None


class PublishedOrders(Protocol):
    """What was published of orders. Raises TransientError where that can't be read."""

    async def published(self, order: OrderRef) -> PublishedOrder | None:
        """What was published of it; None where nothing was."""

    async def published_as(self, symbol: str, client_order_id: str) -> OrderRef | None:
        """The order that was published with that client order id, last."""


class OrderLookup(Protocol):
    """The venue, as far as it is asked for one order. Raises what the kit's `errors` lists."""

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """What became of one order; RejectedError where there is none."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order; returns its order id. RejectedError where there is none to cancel."""


class NamedOrder(NamedTuple):
    """An order that a command names: how the venue may be asked for it, best first.

    `client_order_id` is what it is called, and keeps; None where nobody here knows.
    """

    symbol: str
    references: Sequence[OrderReference]
    client_order_id: str | None

    async def report(self, venue: OrderLookup) -> OrderStatusReport:
        """What became of it; RejectedError where the venue doesn't know it."""
        return await self._first(
            lambda by: venue.report(
                self.symbol, order_id=by.order_id, client_order_id=by.client_order_id
            )
        )

    async def cancel(self, venue: OrderLookup) -> str:
        """Cancel it; returns its order id. RejectedError where there is nothing to cancel."""
        return await self._first(
            lambda by: venue.cancel(
                self.symbol,
                order_id=by.order_id,
                client_order_id=by.client_order_id,
                keep=self.client_order_id,
            )
        )

    async def _first(self, request: Callable[[OrderReference], Awaitable[T]]) -> T:
        """What the venue answers to the first reference by which it knows the order.

        Raises:
            RejectedError: to none of them; its last words.
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
    """How to ask for the order of *command*."""
    given = OrderReference(command.order_id, command.client_order_id)
    symbol, client_order_id = command.symbol, command.client_order_id
    if client_order_id is None:
        told = await published.published(OrderRef(symbol, command.order_id or ""))
        return NamedOrder(symbol, [given], told.client_order_id if told else None)
    known = await published.published_as(symbol, client_order_id)
    if known is None or command.order_id not in (None, known.order_id):
        return NamedOrder(symbol, [given], client_order_id)
    told = await published.published(known)
    by_order_id = OrderReference(known.order_id, None)
    # A closed order's client id may be another order's by now.
    closed = told is None or told.closed
    ways = [given, by_order_id] if closed else [by_order_id, given]
    return NamedOrder(symbol, ways, client_order_id)
