"""Orders on Binance: the port `ExecutionVenue` of the order core.

The POST is signed and sent by ourselves, on the SDK's session: the SDK would put its own
timestamp where the journaled one must stand.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.limits import VenueLimits
from services._connector_kit.listing import Listing, UnlistedError
from services._connector_kit.orders.execution.identity import best_match, is_ours
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    VenueAcceptance,
    VenueOrder,
)
from services._connector_kit.rate_limit import Priority
from services._runtime.redaction import excerpt
from services.binance_connector import translate_orders
from services.binance_connector.rest import BAD_KEY, BAD_TIME, SignedRest
from services.binance_connector.settings import KEY_HELP

POST_TIMEOUT = 10.0
ORDER_WEIGHT = 1
UNKNOWN_ORDER = "-2013"
# The order of that client id ended without a fill more than 90 days ago: no younger one has the id.
ARCHIVED = "-2026"
ARCHIVED_AFTER_MS = 89 * 24 * 3_600_000

# https://developers.binance.com/docs/binance-spot-api-docs/errors: answers after which there is no
# order and can't be one. What isn't here proves nothing.
DEFINITIVE = frozenset(
    {
        -1003,  # too many requests: not placed
        -1013,  # a filter
        -1014,
        -1015,  # too many orders
        -1020,
        -1022,  # signature
        *range(-1136, -1099),  # a parameter
        -2010,  # the matching engine refused it
        -2014,  # key format
        -2015,  # key, address or permission
    }
)
# It exists: the query returns it.
DUPLICATE = "Duplicate order sent"


class BinanceOrders:
    """Places, and finds again, the orders of one account."""

    def __init__(
        self,
        rest: SignedRest,
        limits: VenueLimits,
        clock: VenueClock,
        listing: Listing,
        validity: int,
        key_known: Callable[[float], Awaitable[bool]],
    ) -> None:
        # recvWindow in milliseconds: how long after its timestamp Binance may still carry a request
        # out; it looks again just before matching (changelog of 2025-08-12).
        self.validity = validity
        self._rest = rest
        self._limits = limits
        self._clock = clock
        self._listing = listing
        self._key_known = key_known

    def milliseconds(self) -> int:
        """Binance's clock, as we know it."""
        return self._clock.milliseconds()

    def knows_time(self) -> bool:
        """True once Binance's clock is measured."""
        return self._clock.is_known

    async def ready(self, within: float) -> bool:
        """Wait until an order may be sent; False where a ban or a limit lasts longer."""
        known = await self._clock.known(within) and await self._key_known(within)
        if not known or not await self._limits.orders.open_within(within):
            return False
        return await self._limits.requests.spend_within(within, ORDER_WEIGHT, Priority.PLACE)

    async def place(self, record: Record) -> PlaceOutcome:
        """Send the one POST."""
        instrument = self._listing.configured[record.order.symbol]
        params = translate_orders.order_params(record, instrument)
        try:
            status, answer = await self._rest.post_once("order", params, POST_TIMEOUT)
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as e:
            return OutcomeUnknown(excerpt(f"no answer that can be read: {e!r}"))
        outcome = _outcome(status, answer, record)
        if isinstance(outcome, OutcomeUnknown) and BAD_TIME in outcome.message:
            self._clock.doubt()
        return outcome

    async def find(self, record: Record) -> VenueOrder | None:
        """The order with that client order id, by direct query (memory, then database)."""
        if not translate_orders.RULES.carries(record.client_order_id):
            return None
        try:
            instrument = await self._instrument(record)
            if instrument is None:
                return None
            return await self._rest.order(instrument, record.client_order_id)
        except FeedStoppedError as e:
            raise TransientError(str(e)) from e  # it says nothing about the order
        except RejectedError as e:
            if e.code == UNKNOWN_ORDER or (e.code == ARCHIVED and self._is_young(record)):
                return None
            raise

    async def search(self, record: Record) -> VenueOrder | None:
        """The same among the open orders and all orders since it was sent."""
        try:
            instrument = await self._instrument(record)
            if instrument is None:
                return None
            orders = await self._rest.orders_since(instrument, record.timestamp)
        except FeedStoppedError as e:
            raise TransientError(str(e)) from e
        return best_match(orders, record)

    async def _instrument(self, record: Record) -> Instrument | None:
        """The instrument of any symbol that Binance lists, whatever the settings say of it.

        None where the order can't exist, because there was never such a symbol.

        Raises:
            UnlistedError: there was, when the order was sized.
        """
        symbol = record.order.symbol
        instrument = await self._listing.look_up(symbol)
        if instrument is None and record.sent_quantity is not None:
            raise UnlistedError(symbol)
        return instrument

    def _is_young(self, record: Record) -> bool:
        return self.milliseconds() - record.timestamp < ARCHIVED_AFTER_MS


def _outcome(status: int, answer: Any, record: Record) -> PlaceOutcome:
    if not isinstance(answer, dict):
        return OutcomeUnknown(f"HTTP {status} with {type(answer).__name__}")
    if status == 200 and "code" not in answer:
        try:
            order = translate_orders.venue_order(answer, record.order.symbol)
        except (KeyError, TypeError, ValueError, ArithmeticError) as e:
            return OutcomeUnknown(excerpt(f"an answer that can't be read: {e!r}"))
        if not is_ours(order, record) or order.client_order_id != record.client_order_id:
            return OutcomeUnknown(excerpt(f"the answer is about another order: {order}"))
        return VenueAcceptance(order)
    code, message = answer.get("code"), excerpt(answer.get("msg", ""))
    definitive = type(code) is int and code in DEFINITIVE and not message.startswith(DUPLICATE)
    refused = status == 200 or 400 <= status < 500  # some proxies make a 200 of everything
    if refused and definitive and "orderId" not in answer:
        return _refusal(code, message)
    return OutcomeUnknown(f"HTTP {status}: {excerpt(code, 20)} {message}")


def _refusal(code: Any, message: str) -> Rejection:
    said = f"Binance: {code} {message}"
    if code in BAD_KEY:
        return Rejection("exchange_rejected", f"{said}; {KEY_HELP}", about_key=True)
    return Rejection("rate_limited" if code in (-1003, -1015) else "exchange_rejected", said)
