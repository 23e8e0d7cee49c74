"""Binance's signed REST: orders, fills, balances and the clock."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.listing import Listing
from services._connector_kit.orders.bookkeeping import Fill, Report
from services._connector_kit.orders.ledger import Balance
from services._connector_kit.orders.ports import VenueOrder
from services._connector_kit.rate_limit import Priority, RateBudget, retry_after
from services._runtime.redaction import excerpt
from services.binance_connector import translate_orders
from services.binance_connector.settings import BinanceSettings

T = TypeVar("T")

# About the key itself (developers.binance.com/docs/binance-spot-api-docs/errors), where asking
# again with it won't help.
BAD_KEY = frozenset({-2014, -2015, -1022})

# In seconds, where a 418 or 429 names no time.
RETRY_AFTER = 60.0

# The request's timestamp is too old, or of the future.
BAD_TIME = "-1021"

# Binance has no such symbol (any more): https://github.com/binance/binance-spot-api-docs/issues/22
UNLISTED = "-1121"

# How far around an order's time its history is searched: it may have been sent for an earlier entry
# that Redis forgot, and clocks differ.
SEARCH_BEFORE_MS = 3_600_000
SEARCH_AFTER_MS = 60_000
PAGE = 1000

# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/account-endpoints: what open
# orders cost for one symbol, and for all of the account's at once.
OPEN_ORDERS_WEIGHT = 6
ALL_OPEN_ORDERS_WEIGHT = 80
TRADES_WEIGHT = 20
ALL_ORDERS_WEIGHT = 20

# https://developers.binance.com/docs/wallet/account/api-key-permission: those we look at.
MOVES_MONEY = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")
READS, TRADES = "enableReading", "enableSpotAndMarginTrading"
FROM_KNOWN_ADDRESSES_ONLY = "ipRestrict"
PERMISSIONS = (*MOVES_MONEY, READS, TRADES, FROM_KNOWN_ADDRESSES_ONLY)


def signed(params: Mapping[str, str | int], secret: str) -> str:
    """*params* percent-encoded, with their HMAC-SHA256 `signature` at the end.

    https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security
    """
    payload = urlencode(params)
    return f"{payload}&signature={signature(payload, secret)}"


def signature(payload: str, secret: str) -> str:
    """The hex HMAC-SHA256 of *payload*."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


class Caller(Protocol):
    """The client's one way to send a request: within the budget, its errors sorted."""

    sdk: Any
    budget: RateBudget

    async def call(
        self, weight: int, request: Callable[[], Awaitable[Any]], priority: Priority = ...
    ) -> Any:
        """Send one request that may be repeated safely."""


class SignedRest:
    """Signed requests of one account. All but `post_once` raise what the kit's `errors` lists."""

    def __init__(
        self,
        binance: Caller,
        settings: BinanceSettings,
        listing: Listing,
        clock: VenueClock,
    ) -> None:
        self._clock = clock
        secret = settings.binance_api_secret
        self._binance = binance
        self._root = settings.binance_rest_url
        self._secret = secret.get_secret_value() if secret else ""
        self._listing = listing

    async def post_once(
        self, path: str, params: Mapping[str, str | int], timeout: float
    ) -> tuple[int, Any]:
        """Sign *params* as they are, POST them once; the HTTP status and the decoded JSON.

        The SDK's session, but not its signing: that would replace timestamp and recvWindow.
        aiohttp never repeats a POST.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: no answer; it may have been carried out.
            ValueError, RecursionError: an answer that is no JSON.
        """
        session: aiohttp.ClientSession = self._binance.sdk.session
        async with session.post(
            f"{self._root}/v3/{path}",
            data=signed(params, self._secret),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=aiohttp.ClientTimeout(total=timeout),
            allow_redirects=False,
        ) as response:
            if response.status in (418, 429):
                header = response.headers.get("Retry-After")
                self._binance.budget.pause(retry_after(header, RETRY_AFTER))
            return response.status, msgspec.json.decode(await response.read())

    async def milliseconds(self) -> int:
        """`GET /api/v3/time`."""
        answer = await self._binance.call(1, self._binance.sdk.get_server_time)
        return _read(lambda: int(answer["serverTime"]))

    async def order(self, instrument: Instrument, client_order_id: str) -> VenueOrder:
        """`GET /api/v3/order` by client order id; RejectedError -2013 where there is none."""
        row = await self._resolve(
            4,
            lambda: self._binance.sdk.get_order(
                symbol=instrument.venue_symbol, origClientOrderId=client_order_id
            ),
        )
        return _read(lambda: translate_orders.venue_order(row, instrument.symbol))

    async def orders_since(self, instrument: Instrument, milliseconds: int) -> Sequence[VenueOrder]:
        """Open orders, and all orders created from an hour before *milliseconds* on."""
        sdk, name = self._binance.sdk, instrument.venue_symbol
        rows: list[Any] = await self._resolve(
            OPEN_ORDERS_WEIGHT, lambda: sdk.get_open_orders(symbol=name)
        )
        get = partial(sdk.get_all_orders, symbol=name, limit=PAGE)  # oldest first
        first = {"startTime": milliseconds - SEARCH_BEFORE_MS}
        while True:
            page = await self._resolve(ALL_ORDERS_WEIGHT, partial(get, **first))
            rows += page
            if len(page) < PAGE:
                break
            last_id, created = _read(partial(_place_in_time, page[-1]))
            if created > milliseconds + SEARCH_AFTER_MS:
                break
            first = {"orderId": last_id + 1}
        symbol = instrument.symbol
        return _read(lambda: [translate_orders.venue_order(row, symbol) for row in rows])

    async def report(
        self, instrument: Instrument, *, order_id: str | None, client_order_id: str | None
    ) -> Report:
        """What became of one order, with all its fills; RejectedError -2013 where there is none."""
        reference = _reference(order_id, client_order_id)
        sdk, name = self._binance.sdk, instrument.venue_symbol
        request = partial(sdk.get_order, symbol=name, **reference)
        row = await self._signed(4, request, Priority.BALANCES)
        fills: tuple[Fill, ...] = ()
        if _read(lambda: float(row["executedQty"])):
            request = partial(sdk.get_my_trades, symbol=name, orderId=row["orderId"])
            trades = await self._signed(5, request, Priority.BALANCES)
            fills = _read(lambda: translate_orders.fills(trades))
        return _read(lambda: translate_orders.order_report(row, instrument.symbol, fills))

    async def open_orders(self) -> list[Report]:
        """The account's open orders of the served symbols, without their fills."""
        ask = partial(self._signed, priority=Priority.BALANCES)
        get = self._binance.sdk.get_open_orders
        symbols = {i.venue_symbol: i.symbol for i in self._listing.served.values()}
        rows: list[Any] = []
        if len(symbols) * OPEN_ORDERS_WEIGHT > ALL_OPEN_ORDERS_WEIGHT:
            rows += await ask(ALL_OPEN_ORDERS_WEIGHT, get)
        else:
            for name in symbols:
                rows += await _if_listed(ask(OPEN_ORDERS_WEIGHT, partial(get, symbol=name)))
        return _read(
            lambda: [
                translate_orders.order_report(row, symbols[row["symbol"]])
                for row in rows
                if row["symbol"] in symbols
            ]
        )

    async def trades_since(self, venue_symbol: str, trade_id: int | None) -> list[tuple[int, str]]:
        """The account's trades after *trade_id* (None: the latest), as (trade id, order id)."""
        since = {} if trade_id is None else {"fromId": trade_id + 1}
        get = partial(self._binance.sdk.get_my_trades, symbol=venue_symbol, limit=PAGE, **since)
        rows = await _if_listed(self._signed(TRADES_WEIGHT, get, Priority.BALANCES))
        return _read(lambda: [(int(row["id"]), str(row["orderId"])) for row in rows])

    async def cancel(
        self, venue_symbol: str, *, order_id: str | None, client_order_id: str | None, keep: str
    ) -> str:
        """`DELETE /api/v3/order`; the order id. RejectedError -2011: there is nothing to cancel.

        Binance gives the order the cancel's client id: *keep*, by which it stays known.
        """
        reference = _reference(order_id, client_order_id) | {"newClientOrderId": keep}
        answer = await self._signed(
            1,
            lambda: self._binance.sdk.cancel_order(symbol=venue_symbol, **reference),
            Priority.CANCEL,
        )
        return _read(lambda: str(int(answer["orderId"])))

    async def balances(self) -> list[Balance]:
        """The account's balances that are not zero."""
        answer = await self._signed(
            20,
            lambda: self._binance.sdk.get_account(omitZeroBalances="true"),
            Priority.BALANCES,
        )
        return _read(lambda: translate_orders.balances(answer["balances"]))

    async def permissions(self) -> dict[str, bool]:
        """`GET /sapi/v1/account/apiRestrictions`: what the key may do, by Binance's names."""
        sdk = self._binance.sdk
        answer = await self._signed(1, sdk.get_account_api_permissions, Priority.BALANCES)
        return _read(lambda: {name: _yes_or_no(answer[name]) for name in PERMISSIONS})

    async def _resolve(self, weight: int, request: Callable[[], Awaitable[Any]]) -> Any:
        return await self._signed(weight, request, Priority.RESOLVE)

    async def _signed(
        self, weight: int, request: Callable[[], Awaitable[Any]], priority: Priority
    ) -> Any:
        self._binance.sdk.timestamp_offset = self._clock.offset  # the SDK signs by our clock
        try:
            return await self._binance.call(weight, request, priority)
        except RejectedError as e:
            if e.code != BAD_TIME:
                raise
            self._clock.doubt()
            raise TransientError(str(e)) from e


async def _if_listed(rows: Awaitable[Any]) -> Any:
    """The *rows* of one symbol: none where Binance doesn't list it any more."""
    try:
        return await rows
    except RejectedError as e:
        if e.code != UNLISTED:
            raise
        return []


def _place_in_time(row: Mapping[str, Any]) -> tuple[int, int]:
    """An order's id, and when it was created."""
    return int(row["orderId"]), int(row["time"])


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _reference(order_id: str | None, client_order_id: str | None) -> dict[str, Any]:
    """How a request names an order; where it has both ids, Binance looks at both."""
    ids = {
        "orderId": None if order_id is None else int(order_id),
        "origClientOrderId": client_order_id,
    }
    return {name: value for name, value in ids.items() if value is not None}


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, ArithmeticError) as e:
        raise TransientError(excerpt(f"an answer of Binance can't be read: {e!r}")) from e
