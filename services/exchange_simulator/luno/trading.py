"""Luno's private REST calls: orders, trades, balances.

Calls and answers: luno.com/en/developers/api, "Orders", "Accounts" and "Market".
"""

from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.exchange_simulator.account import InsufficientBalanceError, SimulatedAccount
from services.exchange_simulator.account_order import AccountOrder, NewOrder
from services.exchange_simulator.instruments import fixed
from services.exchange_simulator.luno import order_checks, order_wire
from services.exchange_simulator.luno.params import Params
from services.exchange_simulator.luno.rest import LunoVenue, respond
from services.exchange_simulator.luno.stream import ApiKey
from services.exchange_simulator.luno.wire import LunoError
from services.exchange_simulator.market import SimulatedMarket

MAX_ORDERS = 1000
MAX_TRADES = 1000
DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class LunoTrading:
    """The objects that the calls use."""

    venue: LunoVenue
    account: SimulatedAccount


Call = Callable[[LunoTrading, Params], Any]


def routes(trading: LunoTrading) -> list[web.AbstractRouteDef]:
    """The routes of the private calls."""

    def call(answer: Call) -> Any:
        async def handle(request: web.Request) -> web.Response:
            # The body of a 401 is empty.
            if not authorised(request, trading.venue.key):
                return web.Response(status=401)
            params = await Params.from_request(request)
            return respond(trading.venue, request, lambda: answer(trading, params))

        return handle

    return [
        *(web.route(method, path, call(answer)) for (method, path), answer in CALLS.items()),
        *(web.route(method, path, call(_unsupported)) for method, path in UNSUPPORTED),
    ]


def authorised(request: web.Request, key: ApiKey) -> bool:
    """True if the request has the right key, by HTTP Basic authentication."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        key_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (BinasciiError, UnicodeDecodeError):
        return False
    return key.matches(key_id, secret)


def _market(trading: LunoTrading, params: Params) -> SimulatedMarket:
    name = params.text("pair") or ""
    feed = trading.venue.feeds.get(name)
    if feed is None:
        raise LunoError(400, "ErrInvalidMarketPair", f"pair={name[:40]!r}: no such pair")
    return feed.market


def _place(
    trading: LunoTrading, params: Params, read: Callable[[SimulatedMarket, Params], NewOrder]
) -> dict[str, str]:
    order_checks.check_deadline(params, trading.venue.clock())
    market = _market(trading, params)
    asked = read(market, params)
    if market.status == "halted":
        raise LunoError(400, "ErrMarketUnavailable", "Market not available")
    if market.status == "post_only" and asked.kind != "post_only":
        raise LunoError(400, "ErrPostOnlyMode", "Only post-only orders are accepted now.")
    for name in ("base_account_id", "counter_account_id"):
        asset = asked.instrument.base if name.startswith("base") else asked.instrument.quote
        if params.number(name) not in (None, order_wire.account_id(asset)):
            raise LunoError(400, "ErrInvalidArguments", f"{name}: no such {asset} account")
    # Unique among all orders ever created; a refused order does not use its id
    # ("client_order_id" of "postorder" in luno.com/en/developers/api).
    if asked.client_id and trading.account.by_client_id(asked.client_id):
        raise LunoError(409, "ErrDuplicateClientOrderID", "client_order_id: used before")
    try:
        order = trading.account.place(asked)
    except InsufficientBalanceError as e:
        raise LunoError(400, "ErrInsufficientFunds", f"Not enough {e} is available.") from None
    return {"order_id": order_wire.public_id(order)}


def post_order(trading: LunoTrading, params: Params) -> Any:
    """A limit order. A post-only order that would trade becomes COMPLETE with no fill."""
    return _place(trading, params, order_checks.limit_order)


def market_order(trading: LunoTrading, params: Params) -> Any:
    """A market order."""
    return _place(trading, params, order_checks.market_order)


def stop_order(trading: LunoTrading, params: Params) -> Any:
    """Cancel an order."""
    order = _by_id(trading, params.text("order_id") or "")
    if order is None or order.state != "open":
        raise LunoError(
            *(400, "ErrCannotStopUnknownOrNonPendingOrder"),
            "The order is unknown or not pending any more.",
        )
    trading.account.cancel(order)
    return {"success": True}


def _by_id(trading: LunoTrading, public_id: str) -> AccountOrder | None:
    orders = trading.account.orders.values()
    return next((order for order in orders if order_wire.public_id(order) == public_id), None)


def _visible(trading: LunoTrading, order: AccountOrder | None) -> AccountOrder:
    if order is None or order.hidden_until_ms > trading.venue.clock():
        raise LunoError(404, "ErrOrderNotFound", "Cannot find that order.")
    return order


def order_v3(trading: LunoTrading, params: Params) -> Any:
    """One order, by `id` or by `client_order_id`."""
    public_id, name = params.text("id"), params.text("client_order_id")
    if (public_id is None) == (name is None):
        raise LunoError(400, "ErrInvalidArguments", "expected either id or client_order_id")
    if public_id is not None:
        return order_wire.order_v2(_visible(trading, _by_id(trading, public_id)))
    return order_wire.order_v2(
        _visible(trading, next(iter(trading.account.by_client_id(name or "")), None))
    )


def order_v2(trading: LunoTrading, params: Params) -> Any:
    """One order by the id in the path."""
    return order_wire.order_v2(_visible(trading, _by_id(trading, params.path["id"])))


def order_v1(trading: LunoTrading, params: Params) -> Any:
    """One order by the id in the path, without its client id."""
    return order_wire.order_v1(_visible(trading, _by_id(trading, params.path["id"])))


def _listed(trading: LunoTrading, params: Params) -> Iterator[AccountOrder]:
    """The visible orders of `pair` from before `created_before`, newest first."""
    pair = None if params.text("pair") is None else _market(trading, params).instrument.symbol
    before, now = params.number("created_before"), trading.venue.clock()
    orders = sorted(trading.account.orders.values(), key=lambda o: o.created_ms, reverse=True)
    return (
        order
        for order in orders
        if pair in (None, order.asked.symbol)
        and (before is None or order.created_ms < before)
        and order.hidden_until_ms <= now
    )


def list_orders_v2(trading: LunoTrading, params: Params) -> Any:
    """Open orders, or closed orders with `closed`."""
    limit, closed = params.limit(DEFAULT_LIMIT, MAX_ORDERS), params.flag("closed")
    found = [order for order in _listed(trading, params) if (order.state != "open") == closed]
    return {"orders": [order_wire.order_v2(order) for order in found[:limit]]}


def list_orders_v1(trading: LunoTrading, params: Params) -> Any:
    """Orders of all states, or of `state`."""
    limit, state = params.limit(DEFAULT_LIMIT, MAX_ORDERS), params.text("state")
    if state not in (None, "PENDING", "COMPLETE"):
        message = f"state={state!r}: expected PENDING or COMPLETE"
        raise LunoError(400, "ErrInvalidArguments", message)
    orders = _listed(trading, params)
    found = [order for order in orders if state in (None, order_wire.status(order))]
    return {"orders": [order_wire.order_v1(order) for order in found[:limit]]}


def list_trades(trading: LunoTrading, params: Params) -> Any:
    """The account's trades of a pair, oldest first unless `sort_desc`."""
    market = _market(trading, params)
    limit, newest_first = params.limit(DEFAULT_LIMIT, MAX_TRADES), params.flag("sort_desc")
    since, before = params.number("since"), params.number("before")
    after_seq, before_seq = params.number("after_seq"), params.number("before_seq")
    now = trading.venue.clock()
    found = [
        (fill.trade_id, order, fill)
        for order in trading.account.orders.values()
        if order.asked.symbol == market.instrument.symbol
        if max(order.hidden_until_ms, order.fills_hidden_until_ms) <= now
        for fill in order.fills
        if (since is None or fill.time_ms >= since)
        and (before is None or fill.time_ms < before)
        and (after_seq is None or fill.trade_id >= after_seq)
        and (before_seq is None or fill.trade_id < before_seq)
    ]
    found.sort(key=lambda row: row[0], reverse=newest_first)
    return {"trades": [order_wire.trade(order, fill) for _, order, fill in found[:limit]]}


def balances(trading: LunoTrading, params: Params) -> Any:
    """All balances, or those of `assets` (the name repeats)."""
    wanted = params.texts("assets")
    unknown = [asset for asset in wanted if not asset.isalnum()]
    if unknown:
        raise LunoError(
            400, "ErrInvalidArguments", f"assets={unknown[0][:40]!r}: expected e.g. XBT"
        )
    return {
        "balance": [
            order_wire.balance(asset, owned)
            for asset, owned in trading.account.balances.items()
            if not wanted or asset in wanted
        ]
    }


def fee_info(trading: LunoTrading, params: Params) -> Any:
    """The fees of a pair, as shares of the received amount."""
    market = _market(trading, params)
    fees = trading.account.fees
    maker, taker = fixed(fees.maker, 8), fixed(fees.taker, 8)
    symbol = market.instrument.symbol
    traded = sum(o.filled for o in trading.account.orders.values() if o.asked.symbol == symbol)
    return {
        "maker_fee": maker,
        "taker_fee": taker,
        "maker_fee_buy": maker,
        "maker_fee_sell": maker,
        "taker_fee_buy": taker,
        "taker_fee_sell": taker,
        "thirty_day_volume": order_wire.volume(market.instrument, traded),
    }


def _unsupported(_: LunoTrading, __: Params) -> Any:
    raise LunoError(501, "ErrNotImplemented", "the simulator does not support this call")


CALLS: dict[tuple[str, str], Call] = {
    ("POST", "/api/1/postorder"): post_order,
    ("POST", "/api/1/marketorder"): market_order,
    ("POST", "/api/1/stoporder"): stop_order,
    ("GET", "/api/exchange/3/order"): order_v3,
    ("GET", "/api/exchange/2/orders/{id}"): order_v2,
    ("GET", "/api/1/orders/{id}"): order_v1,
    ("GET", "/api/exchange/2/listorders"): list_orders_v2,
    ("GET", "/api/1/listorders"): list_orders_v1,
    ("GET", "/api/1/listtrades"): list_trades,
    ("GET", "/api/1/balance"): balances,
    ("GET", "/api/1/fee_info"): fee_info,
}
# Calls of the venue that the simulator lacks.
UNSUPPORTED = (("GET", "/api/exchange/1/candles"),)
