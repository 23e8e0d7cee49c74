"""The exchange as the commands other than `place_order` use it, and their outcomes."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from services._connector_kit.errors import FeedStoppedError, RejectedError
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import AccountVenue
from services._connector_kit.orders.keys import OrderRef

# Seconds without progress at the venue after which a command is answered `unknown`.
GIVE_UP_AFTER = 60.0


class RequestOutcome(NamedTuple):
    """The outcome of a command: the fields of its answer."""

    status: str
    reason_code: str | None = None
    message: str | None = None


DONE = RequestOutcome("done")


def refusal(error: RejectedError | FeedStoppedError) -> RequestOutcome:
    """The outcome of a command that the exchange rejected."""
    key = isinstance(error, FeedStoppedError)
    return RequestOutcome("rejected", "key_refused" if key else "exchange_rejected", str(error))


class VenueOpenOrder(NamedTuple):
    """An order to cancel; `created` is in venue milliseconds, 0 if unknown."""

    symbol: str
    order_id: str
    client_order_id: str | None
    created: int = 0

    @property
    def ref(self) -> OrderRef:
        """The order's symbol and order id."""
        return OrderRef(self.symbol, self.order_id)


class RequestVenue(AccountVenue, Protocol):
    """The exchange as these commands use it. Raises the errors of the kit's `errors` module.

    `no_such_order` holds the codes that mean that the order does not exist. Any other rejection of
    a query proves nothing about the order.
    """

    no_such_order: Collection[str]

    def knows(self, symbol: str) -> bool:
        """True if this connector serves the symbol."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order and return its order id.

        *keep* is the client order id that the order keeps, if it is not in *client_order_id*.

        Raises:
            RejectedError: there is no order to cancel.
        """

    async def stop(self, order: VenueOpenOrder) -> None:
        """Cancel an order whose ids are known, by one request.

        Raises:
            RejectedError: it is not open.
        """

    async def stop_all(self, symbol: str) -> bool:
        """Cancel all open orders of a symbol by one request; False if the venue has none for it.

        The orders may lose their client order ids.
        """

    async def became(self, orders: Sequence[VenueOpenOrder]) -> Sequence[OrderStatusReport]:
        """Query the states of *orders* with as few requests as the venue allows.

        Orders that the venue does not show are left out.
        """
