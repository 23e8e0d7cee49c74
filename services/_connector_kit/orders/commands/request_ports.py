"""What the commands but `place_order` need of the exchange, and how they end."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from services._connector_kit.errors import FeedStoppedError, RejectedError
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import AccountVenue
from services._connector_kit.orders.keys import OrderRef

# Seconds. A command for which the venue lets nothing happen for so long is answered `unknown`.
GIVE_UP_AFTER = 60.0


class RequestOutcome(NamedTuple):
    """What became of a command."""

    status: str
    reason_code: str | None = None
    message: str | None = None


DONE = RequestOutcome("done")


def refusal(error: RejectedError | FeedStoppedError) -> RequestOutcome:
    """The answer where the exchange said no."""
    key = isinstance(error, FeedStoppedError)
    return RequestOutcome("rejected", "key_refused" if key else "exchange_rejected", str(error))


class VenueOpenOrder(NamedTuple):
    """An order that is to be cancelled; `created` in the venue's milliseconds, 0 if not known."""

    symbol: str
    order_id: str
    client_order_id: str | None
    created: int = 0

    @property
    def ref(self) -> OrderRef:
        """Which order it is."""
        return OrderRef(self.symbol, self.order_id)


class RequestVenue(AccountVenue, Protocol):
    """The exchange, as far as these commands need it. Raises what the kit's `errors` lists.

    `no_such_order` are the codes by which it says that it has no such order. Any other refusal of
    a question says nothing about the order.
    """

    no_such_order: Collection[str]

    def knows(self, symbol: str) -> bool:
        """True for a symbol of ours."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order; returns its order id.

        It keeps its client order id: *keep*, where the caller knows it and doesn't name it by it.

        Raises:
            RejectedError: there is nothing to cancel.
        """

    async def stop(self, order: VenueOpenOrder) -> None:
        """Cancel an order whose ids are known, by one request.

        Raises:
            RejectedError: it isn't open (any more).
        """

    async def stop_all(self, symbol: str) -> bool:
        """Cancel all open orders of a symbol by one request; False: the venue has no such request.

        The orders may lose their client order ids.
        """

    async def became(self, orders: Sequence[VenueOpenOrder]) -> Sequence[OrderStatusReport]:
        """What became of *orders*, by as few requests as the venue allows.

        Those that it doesn't show are left out.
        """
