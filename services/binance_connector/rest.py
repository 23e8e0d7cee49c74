"""What trading needs of Binance's signed REST."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services._connector_kit.orders.ports import VenueOrder


class SignedRest(Protocol):
    """Signed requests. All but `post_once` raise only what the kit's `errors` lists."""

    async def post_once(
        self, path: str, params: Mapping[str, str | int], timeout: float
    ) -> tuple[int, Any]:
        """Sign *params* as they are, POST them once; the HTTP status and the decoded JSON.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: no answer; it may have been carried out.
            ValueError: an answer that is no JSON.
        """

    async def order(self, venue_symbol: str, client_order_id: str) -> VenueOrder:
        """`GET /api/v3/order` by client order id; RejectedError -2013 where there is none."""

    async def orders_since(self, venue_symbol: str, milliseconds: int) -> Sequence[VenueOrder]:
        """Open orders, and all orders created since a little before *milliseconds*."""
