"""Binance's signed REST: orders, fills, balances and the clock."""

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
import structlog

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import ArchivedError, RejectedError, TransientError
from services._connector_kit.fees import Fees
from services._connector_kit.instruments import Instrument
from services._connector_kit.limits import VenueLimits
from services._connector_kit.listing import Listing
from services._connector_kit.orders.account.order_status import Fill, OrderStatusReport, first_fills
from services._connector_kit.orders.account.venue import BalanceSnapshot
from services._connector_kit.orders.execution.amounts import amount, moment, positive
from services._connector_kit.orders.ports import VenueOrder
from services._connector_kit.rate_limit import Priority
from services._runtime.redaction import excerpt
from services.binance_connector import order_count, translate_orders
from services.binance_connector.rest_answers import (
    UNLISTED,
    if_listed,
    place_in_time,
    read,
    reference,
    rows_of,
    version,
    yes_or_no,
)
from services.binance_connector.settings import BinanceSettings

T = TypeVar("T")
TradeRow = tuple[int, str, int]  # a trade of the account: its id, its order's, when
log = structlog.get_logger()

# About the key itself (developers.binance.com/docs/binance-spot-api-docs/errors), where asking
# again with it won't help.
BAD_KEY = frozenset({-2014, -2015, -1022})

# The order was cancelled or expired without a fill, more than 90 days ago.
ARCHIVED = "-2026"

# The request's timestamp is too old, or of the future.
BAD_TIME = "-1021"

# How far around an order's time its history is searched: it may have been sent for an earlier entry
# that Redis lost, and clocks differ.
SEARCH_BEFORE_MS = 3_600_000
SEARCH_AFTER_MS = 60_000
PAGE = 1000

# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/account-endpoints: what open
# orders cost for one symbol, and for all of the account's at once.
OPEN_ORDERS_WEIGHT = 6
ALL_OPEN_ORDERS_WEIGHT = 80
TRADES_WEIGHT = 20
ORDER_TRADES_WEIGHT = 5
ALL_ORDERS_WEIGHT = 20
COMMISSION_WEIGHT = 20
PRICE_WEIGHT = 2

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


class BinanceApi(Protocol):
    """The client's one way to send a request: within the budget, its errors sorted."""

    sdk: Any
    limits: VenueLimits
    order_limits: Mapping[int, int]  # by interval in ms

    async def call(
        self, weight: int, request: Callable[[], Awaitable[Any]], priority: Priority = ...
    ) -> Any:
        """Send one request that may be repeated safely."""


class SignedRest:
    """Signed requests of one account. All but `post_once` raise what the kit's `errors` lists."""

    def __init__(
        self,
        binance: BinanceApi,
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
            ValueError, RecursionError: an answer that isn't JSON, or is too large.
        """
        session: aiohttp.ClientSession = self._binance.sdk.session
        async with session.post(
            f"{self._root}/v3/{path}",
            data=signed(params, self._secret),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=aiohttp.ClientTimeout(total=timeout),
            allow_redirects=False,
        ) as response:
            body = b""
            try:
                body = await response.read()
            finally:
                self._obey_limits(response.status, response.headers, body)
            return response.status, msgspec.json.decode(body)

    def _obey_limits(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """What an answer to an order says of limits: the account's, or a ban of the address."""
        binance, now = self._binance, self._clock.milliseconds()
        if status == 429 and (said := _too_many_orders(body)) is not None:
            wait = order_count.refused_for(said, headers.items(), binance.order_limits, now)
            log.warning("new_orders_wait", seconds=round(wait, 3), said=excerpt(said))
            binance.limits.orders.close(wait)
        elif status in (418, 429):
            binance.limits.obey(headers.get("Retry-After"))
        else:
            binance.limits.orders.close(
                order_count.reached_for(headers.items(), binance.order_limits, now)
            )

    async def milliseconds(self) -> int:
        """`GET /api/v3/time`."""
        answer = await self._binance.call(1, self._binance.sdk.get_server_time, Priority.RESOLVE)
        return read(lambda: int(answer["serverTime"]))

    async def order(self, instrument: Instrument, client_order_id: str) -> VenueOrder:
        """`GET /api/v3/order` by client order id; RejectedError -2013 if there is none."""
        row = await self._resolve(
            4,
            lambda: self._binance.sdk.get_order(
                symbol=instrument.venue_symbol, origClientOrderId=client_order_id
            ),
        )
        return read(lambda: translate_orders.venue_order(row, instrument.symbol))

    async def orders_since(self, instrument: Instrument, milliseconds: int) -> Sequence[VenueOrder]:
        """Open orders, and all orders created from an hour before *milliseconds* on."""
        sdk, name = self._binance.sdk, instrument.venue_symbol
        rows = rows_of(
            await self._resolve(OPEN_ORDERS_WEIGHT, lambda: sdk.get_open_orders(symbol=name))
        )
        get = partial(sdk.get_all_orders, symbol=name, limit=PAGE)  # oldest first
        first = {"startTime": milliseconds - SEARCH_BEFORE_MS}
        while True:
            page = rows_of(await self._resolve(ALL_ORDERS_WEIGHT, partial(get, **first)))
            rows += page
            if len(page) < PAGE:
                break
            last_id, created = read(partial(place_in_time, page[-1]))
            if created > milliseconds + SEARCH_AFTER_MS:
                break
            first = {"orderId": last_id + 1}
        symbol = instrument.symbol
        return read(lambda: [translate_orders.venue_order(row, symbol) for row in rows])

    async def report(
        self, instrument: Instrument, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """What became of one order, with its fills.

        Raises:
            ArchivedError: it was cancelled or expired without a fill, more than 90 days ago.
            RejectedError: -2013, there is none.
        """
        ids = reference(order_id, client_order_id)
        sdk, name = self._binance.sdk, instrument.venue_symbol
        request = partial(sdk.get_order, symbol=name, **ids)
        try:
            row = await self._signed(4, request, Priority.BALANCES)
        except RejectedError as e:
            if e.code != ARCHIVED:
                raise
            raise ArchivedError(str(e), code=e.code) from e
        return await self._with_fills(instrument, row)

    async def _fills(self, venue_symbol: str, order_id: int, executed: Decimal) -> tuple[Fill, ...]:
        """`GET /api/v3/myTrades` of one order, page after page until they are what it executed.

        Fewer where Binance doesn't show all of them yet.
        """
        get = partial(
            self._binance.sdk.get_my_trades, symbol=venue_symbol, orderId=order_id, limit=PAGE
        )
        found: list[Fill] = []
        first = 0  # without it Binance gives the newest
        while True:
            ask = partial(get, fromId=first)
            page = await self._signed(ORDER_TRADES_WEIGHT, ask, Priority.BALANCES)
            fills = read(partial(translate_orders.fills, rows_of(page)))
            found += fills
            if len(page) < PAGE:
                return first_fills(executed, found)
            first = max(int(fill.trade_id) for fill in fills) + 1

    async def open_orders(self) -> list[OrderStatusReport]:
        """The account's open orders of the served symbols, without their fills."""
        ask = partial(self._signed, priority=Priority.BALANCES)
        get = self._binance.sdk.get_open_orders
        symbols = {i.venue_symbol: i.symbol for i in self._listing.served.values()}
        rows = []
        if len(symbols) * OPEN_ORDERS_WEIGHT > ALL_OPEN_ORDERS_WEIGHT:
            rows += rows_of(await ask(ALL_OPEN_ORDERS_WEIGHT, get))
        else:
            for name in symbols:
                rows += await if_listed(ask(OPEN_ORDERS_WEIGHT, partial(get, symbol=name)))
        return read(
            lambda: [
                translate_orders.order_report(row, symbols[row["symbol"]])
                for row in rows
                if row["symbol"] in symbols
            ]
        )

    async def trades_since(self, venue_symbol: str, trade_id: int | None) -> list[TradeRow]:
        """The account's trades after *trade_id* (None: the latest)."""
        since = {} if trade_id is None else {"fromId": trade_id + 1}
        get = partial(self._binance.sdk.get_my_trades, symbol=venue_symbol, limit=PAGE, **since)
        rows = await if_listed(self._signed(TRADES_WEIGHT, get, Priority.BALANCES))
        return read(
            lambda: [(int(row["id"]), str(row["orderId"]), moment(row["time"])) for row in rows]
        )

    async def cancel(
        self,
        venue_symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None,
    ) -> str:
        """`DELETE /api/v3/order`; the order id. RejectedError -2011: there is nothing to cancel.

        Binance gives the order the cancel's client id: *keep*, or one of its own making.
        """
        params = reference(order_id, client_order_id)
        if keep is not None:
            params["newClientOrderId"] = keep
        answer = await self._signed(
            1,
            lambda: self._binance.sdk.cancel_order(symbol=venue_symbol, **params),
            Priority.CANCEL,
        )
        return read(lambda: str(int(answer["orderId"])))

    async def cancel_all(self, venue_symbol: str) -> None:
        """`DELETE /api/v3/openOrders`; RejectedError -2011: there is nothing to cancel."""
        rows_of(
            await self._signed(
                1,
                lambda: self._binance.sdk.cancel_all_open_orders(symbol=venue_symbol),
                Priority.CANCEL,
            )
        )

    async def reports(
        self, instrument: Instrument, order_ids: Collection[int]
    ) -> list[OrderStatusReport]:
        """What became of the orders of those ids, of one symbol, with their fills.

        By `GET /api/v3/allOrders`, which has no fills: an order with some is asked for by itself.
        """
        get = partial(self._binance.sdk.get_all_orders, symbol=instrument.venue_symbol, limit=PAGE)
        found: list[OrderStatusReport] = []
        first, last = min(order_ids), max(order_ids)
        while first <= last:
            ask = partial(get, orderId=first)
            rows = rows_of(await self._signed(ALL_ORDERS_WEIGHT, ask, Priority.BALANCES))
            page = read(lambda r=rows: [(int(row["orderId"]), row) for row in r])  # type: ignore[misc]
            for order_id, row in page:
                if order_id in order_ids:
                    found.append(await self._with_fills(instrument, row))
            if len(page) < PAGE:
                break
            first = max(order_id for order_id, _ in page) + 1
        return found

    async def _with_fills(
        self, instrument: Instrument, row: Mapping[str, Any]
    ) -> OrderStatusReport:
        """An order as a listing shows it, and its fills where it has some."""
        executed = read(lambda: amount(row["executedQty"]))
        fills: tuple[Fill, ...] = ()
        if executed:
            fills = await self._fills(instrument.venue_symbol, row["orderId"], executed)
        return read(lambda: translate_orders.order_report(row, instrument.symbol, fills))

    async def balances(self) -> BalanceSnapshot:
        """The account's balances that are not zero, with the time of its last update."""
        answer = await self._signed(
            20,
            lambda: self._binance.sdk.get_account(omitZeroBalances="true"),
            Priority.BALANCES,
        )
        return read(
            lambda: BalanceSnapshot(
                translate_orders.balances(rows_of(answer["balances"])),
                version(answer.get("updateTime")),
            )
        )

    async def permissions(self) -> dict[str, bool]:
        """`GET /sapi/v1/account/apiRestrictions`: what the key may do, by Binance's names."""
        sdk = self._binance.sdk
        answer = await self._signed(1, sdk.get_account_api_permissions, Priority.BALANCES)
        return read(lambda: {name: yes_or_no(answer[name]) for name in PERMISSIONS})

    async def fees(self, instrument: Instrument) -> Fees:
        """`GET /api/v3/account/commission`; with the price of BNB, where that may pay them."""
        get = self._binance.sdk.v3_get_account_commission
        ask = partial(get, symbol=instrument.venue_symbol)
        answer = await self._signed(COMMISSION_WEIGHT, ask, Priority.DATA)
        fees, asset = read(lambda: translate_orders.fees(answer))
        if asset in (None, instrument.base, instrument.quote):
            return fees
        get_price = partial(self._binance.sdk.get_symbol_ticker, symbol=asset + instrument.quote)
        try:
            row = await self._binance.call(PRICE_WEIGHT, get_price)
        except RejectedError as e:
            if e.code != UNLISTED:
                raise
            return fees
        return read(lambda: replace(fees, prices={asset: positive(row["price"])}))

    async def _resolve(self, weight: int, request: Callable[[], Awaitable[Any]]) -> Any:
        return await self._signed(weight, request, Priority.RESOLVE)

    async def _signed(
        self, weight: int, request: Callable[[], Awaitable[Any]], priority: Priority
    ) -> Any:
        async def at_the_venues_time() -> Any:
            # The SDK signs time.time() plus this, cut to whole milliseconds, before it waits for
            # anything: so the venue's time is what it signs, whatever the wall clock says.
            ahead = self._clock.milliseconds() + 0.5 - time.time() * 1000
            self._binance.sdk.timestamp_offset = ahead
            return await request()

        try:
            return await self._binance.call(weight, at_the_venues_time, priority)
        except RejectedError as e:
            if e.code != BAD_TIME:
                raise
            self._clock.doubt()
            raise TransientError(str(e)) from e


def _too_many_orders(body: bytes) -> str | None:
    """The words of a refusal with code -1015; None for any other body."""
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(said, dict) and said.get("code") == order_count.TOO_MANY_ORDERS:
        return str(said.get("msg", ""))
    return None
