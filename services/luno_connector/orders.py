"""Orders on Luno: the port `ExecutionVenue` of the order core."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.limits import VenueLimits
from services._connector_kit.listing import Listing
from services._connector_kit.orders.execution.identity import best_match
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.rules import rounded, text
from services._connector_kit.orders.execution.validation import OrderRules
from services._connector_kit.orders.ports import (
    LiveBook,
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    RoundedOrder,
    VenueAcceptance,
    VenueOrder,
)
from services._connector_kit.rate_limit import Priority
from services._runtime.redaction import excerpt
from services.luno_connector import translate_orders
from services.luno_connector.settings import KEY_HELP, KEY_REFUSED

UNKNOWN_ORDER = "ErrOrderNotFound"
NOT_FOUND = frozenset({UNKNOWN_ORDER, "ErrNotFound"})
# How far back an order is searched: it may have been sent for an earlier entry that Redis lost.
SEARCH_BEFORE_MS = 3_600_000

# https://www.luno.com/en/developers/api: answers after which there is no order and can't be one.
# What isn't here proves nothing, ErrDuplicateClientOrderID least of all: that order exists.
DEFINITIVE = frozenset(
    {
        "ErrAmountTooBig",
        "ErrAmountTooSmall",
        "ErrApiKeyRevoked",
        "ErrCannotTradeWhileQuoteActive",
        "ErrCounterDenominationNotAllowed",
        "ErrInsufficientBalance",
        "ErrInsufficientFunds",
        "ErrInsufficientPerms",
        "ErrInvalidArguments",
        "ErrInvalidBaseVolume",
        "ErrInvalidClientOrderId",
        "ErrInvalidCounterVolume",
        "ErrInvalidMarketPair",
        "ErrInvalidOrderSide",
        "ErrInvalidParameters",
        "ErrInvalidPrice",
        "ErrInvalidVolume",
        "ErrMarketNotAllowed",
        "ErrMarketUnavailable",
        "ErrNotEnoughLiquidity",
        "ErrPostOnlyMode",
        "ErrPostOnlyNotAllowed",
        "ErrPriceDenominationNotAllowed",
        "ErrPriceTooHigh",
        "ErrPriceTooLow",
        "ErrTooManyRequests",
        "ErrUnauthorised",
        "ErrUnderMaintenance",
        "ErrValueTooHigh",
        "ErrVolumeDenominationNotAllowed",
        "ErrVolumeTooHigh",
        "ErrVolumeTooLow",
    }
)
# https://www.luno.com/en/developers/api: `client_order_id` of POST /api/1/postorder.
CLIENT_ORDER_ID = re.compile(r"[0-9A-Za-z_;,.-]{1,255}")
Params = Mapping[str, str | int | bool]


class PostError(Exception):
    """Luno answered an order with an error of its own; `code` is its `error_code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EmptyNotFoundError(TransientError):
    """A 404 without a body: an order that isn't there, or an address that isn't."""


class OrderApi(Protocol):
    """What trading needs of Luno's REST; all but the posts raise only what `errors` lists.

    The posts send once. They raise PostError for an answer with an error code of Luno's, and
    OSError for anything that proves nothing.
    """

    async def post_limit(self, instrument: Instrument, params: Params) -> str:
        """`POST /api/1/postorder`; the order id."""

    async def post_market(self, instrument: Instrument, params: Params) -> str:
        """`POST /api/1/marketorder`; the order id."""

    async def order(self, client_order_id: str, instrument: Instrument | None) -> VenueOrder:
        """`GET /api/exchange/3/order`; RejectedError ErrOrderNotFound if there is none."""

    async def orders(self, since: int, instrument: Instrument | None) -> Sequence[VenueOrder]:
        """The account's open orders, and the closed ones created since *since* (milliseconds)."""


def order_rules(book: Callable[[str], LiveBook | None], slippage: Decimal) -> OrderRules:
    """What Luno takes as an order. *slippage* is the share above the book that a cap allows."""

    def cap_market_buy(order: RoundedOrder, instrument: Instrument) -> RoundedOrder | Rejection:
        """Luno has no market buy in base units: it becomes an IOC limit order at a capped price."""
        found = book(instrument.symbol)
        if found is None:
            return Rejection("book_out_of_sync", f"the book of {instrument.symbol} is not in sync")
        left = Decimal(order.quantity)
        for price, quantity in found.asks.top(len(found.asks)):
            left -= Decimal(str(quantity))
            if left <= 0:
                cap = rounded(
                    Decimal(str(price)) * (1 + slippage), instrument.rules.price.step, up=True
                )
                return RoundedOrder(order.quantity, text(cap))
        return Rejection("no_liquidity", "the book hasn't got that much on the other side")

    form = "1 to 255 of letters, digits and _ ; , . -"
    return OrderRules("Luno", CLIENT_ORDER_ID, form, cap_market_buy)


class LunoOrders:
    """Places, and finds again, the orders of one account."""

    def __init__(
        self,
        rest: OrderApi,
        limits: VenueLimits,
        clock: VenueClock,
        listing: Listing,
        validity: int,
    ) -> None:
        # `ttl` in milliseconds: how long after `timestamp` Luno may still carry a request out.
        self.validity = validity
        self._rest = rest
        self._limits = limits
        self._clock = clock
        self._listing = listing

    def milliseconds(self) -> int:
        """Luno's clock, as we know it."""
        return self._clock.milliseconds()

    def knows_time(self) -> bool:
        """True once Luno's clock is measured."""
        return self._clock.is_known

    async def ready(self, within: float) -> bool:
        """Wait until an order may be sent; False where a pause or the budget lasts longer."""
        known = await self._clock.known(within)
        return known and await self._limits.requests.spend_within(within, 1, Priority.PLACE)

    async def place(self, record: Record) -> PlaceOutcome:
        """Send the one POST."""
        instrument = self._listing.configured[record.order.symbol]
        try:
            if record.sent_price is None:
                order_id = await self._rest.post_market(
                    instrument, translate_orders.market_params(record, instrument)
                )
            else:
                order_id = await self._rest.post_limit(
                    instrument, translate_orders.limit_params(record, instrument)
                )
        except PostError as e:
            if e.code not in DEFINITIVE:
                return OutcomeUnknown(excerpt(f"{e.code}: {e}"))
            if e.code in KEY_REFUSED:  # the next order would be refused too
                said = f"Luno: {e.code} {excerpt(e)}; {KEY_HELP}"
                return Rejection("exchange_rejected", said, about_key=True)
            reason = "rate_limited" if e.code == "ErrTooManyRequests" else "exchange_rejected"
            return Rejection(reason, f"Luno: {excerpt(e.code, 50)} {excerpt(e)}")
        except OSError as e:
            return OutcomeUnknown(excerpt(f"no answer that can be read: {e!r}"))
        return VenueAcceptance(VenueOrder(order_id, record.client_order_id, "0"))

    async def find(self, record: Record) -> VenueOrder | None:
        """The order with that client order id, by direct query, which takes no symbol."""
        if not CLIENT_ORDER_ID.fullmatch(record.client_order_id):
            return None
        try:
            instrument = await self._listing.look_up(record.order.symbol)
            return await self._rest.order(record.client_order_id, instrument)
        except FeedStoppedError as e:
            raise TransientError(str(e)) from e  # it says nothing about the order
        except RejectedError as e:
            if e.code in NOT_FOUND:
                return None
            raise

    async def search(self, record: Record) -> VenueOrder | None:
        """The same among the open orders, and the closed ones since an hour before it was sent.

        Of all pairs, those that Luno doesn't list any more too.
        """
        try:
            instrument = await self._listing.look_up(record.order.symbol)
            orders = await self._rest.orders(record.timestamp - SEARCH_BEFORE_MS, instrument)
        except FeedStoppedError as e:
            raise TransientError(str(e)) from e
        return best_match(orders, record)
