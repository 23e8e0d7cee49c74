"""Binance's signed endpoints, shared by REST and the WebSocket API.

Each answer is `(request weight, JSON value)`. Parameters, weights and errors:
developers.binance.com, "Trading endpoints" and "Account Endpoints".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.exchange_simulator.account import InsufficientBalanceError, SimulatedAccount
from services.exchange_simulator.account_order import AccountOrder, NewOrder, unit
from services.exchange_simulator.binance import errors, order_checks, order_wire
from services.exchange_simulator.binance.order_count import OrderCount
from services.exchange_simulator.binance.queries import Answer, BinanceVenue, Query
from services.exchange_simulator.binance.signing import BinanceKey, SigningWindow
from services.exchange_simulator.market import SimulatedMarket

MAX_ROWS = 1000
KEY_CREATED_MS = 1_767_225_600_000
UNSIGNED = frozenset({"apiKey", "timestamp", "recvWindow", "signature", "returnRateLimits"})
MAX_SPAN_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class BinanceTrading:
    """The objects that the signed endpoints use."""

    venue: BinanceVenue
    account: SimulatedAccount
    key: BinanceKey
    count: OrderCount


def answer_signed(
    trading: BinanceTrading, name: str, params: Mapping[str, str], received_ms: int
) -> Answer:
    """Answer a request with a valid signature that arrived at *received_ms* (Unix ms).

    Raises:
        BinanceError: the venue's refusal.
    """
    window = SigningWindow.from_params(params)
    window.check(received_ms)
    if name in FORWARDED:
        window.check(trading.venue.clock())
    query = Query({key: value for key, value in params.items() if key not in UNSIGNED})
    return ENDPOINTS[name](trading, query)


def _market(trading: BinanceTrading, query: Query) -> SimulatedMarket:
    name = order_checks.required("symbol", query.text("symbol"))
    feed = trading.venue.feeds.get(name)
    if feed is None:
        raise errors.invalid_symbol()
    return feed.market


def _response_type(query: Query, order: NewOrder) -> str:
    default = "ACK" if order.kind == "post_only" else "FULL"
    known = {name: name for name in order_checks.RESPONSE_TYPES}
    return order_checks.one_of(query, "newOrderRespType", known, -1130) or default


def _checked(trading: BinanceTrading, query: Query) -> tuple[NewOrder, str]:
    """A new order that passed all checks before the matching engine, and its response type."""
    market = _market(trading, query)
    order = order_checks.new_order(trading.account, market, query)
    if market.status != "active":
        raise errors.rejected("Market is closed.")
    response_type = _response_type(query, order)
    query.done()
    return order, response_type


def place(trading: BinanceTrading, query: Query) -> Answer:
    """A new order.

    A client order id is unique among *open* orders only: the id of a closed order is accepted
    again (`newClientOrderId` in "New order (TRADE)").
    """
    order, response_type = _checked(trading, query)
    trading.count.check()
    if any(
        o.asked.symbol == order.symbol and o.state == "open"
        for o in trading.account.by_client_id(order.client_id)
    ):
        raise errors.rejected("Duplicate order sent.")
    if order.kind == "post_only" and trading.account.would_trade(order):
        raise errors.rejected("Order would immediately match and take.")
    try:
        placed = trading.account.place(order)
    except InsufficientBalanceError:
        raise errors.rejected("Account has insufficient balance for requested action.") from None
    # Since 2026-04-02 a successful order has weight 0.
    return 0, order_wire.placed(placed, response_type)


def check_order(trading: BinanceTrading, query: Query) -> Answer:
    """Check a new order without placing it."""
    if query.flag("computeCommissionRates", default=False):
        raise errors.not_supported("computeCommissionRates")
    _checked(trading, query)
    return 1, {}


def _found(trading: BinanceTrading, query: Query) -> tuple[AccountOrder | None, SimulatedMarket]:
    """The order with `orderId` and/or `origClientOrderId`; if both are sent, both must match."""
    market = _market(trading, query)
    order_id = query.number("orderId")
    name = query.text("origClientOrderId")
    if order_id is None and name is None:
        raise errors.missing_both("origClientOrderId", "orderId")
    symbol = market.instrument.symbol
    if order_id is not None:
        order = trading.account.orders.get((symbol, order_id))
        if order and name is not None and order.client_id != name:
            order = None
        return order, market
    matches = [o for o in trading.account.by_client_id(name or "") if o.asked.symbol == symbol]
    return (matches[-1] if matches else None), market


def cancel(trading: BinanceTrading, query: Query) -> Answer:
    """Cancel an open order; `newClientOrderId` replaces its client order id."""
    order, _ = _found(trading, query)
    new_name = order_checks.client_id(query, "newClientOrderId")
    restriction = query.text("cancelRestrictions")
    query.done()
    if order is None or order.state != "open":
        raise errors.cancel_rejected()
    wanted = {
        None: order_wire.status(order),
        "ONLY_NEW": "NEW",
        "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED",
    }.get(restriction)
    if wanted is None:
        raise errors.invalid_data("cancelRestrictions")
    if wanted != order_wire.status(order):
        raise errors.cancel_rejected("Order was not canceled due to cancel restrictions.")
    trading.account.cancel(order, new_name or f"auto_cancel_{order.order_id}")
    return 0, order_wire.canceled(order)


def amend(trading: BinanceTrading, query: Query) -> Answer:
    """Reduce an open order's quantity; it keeps its place in the queue, under a new client id.

    developers.binance.com, "Order Amend Keep Priority".
    """
    order, market = _found(trading, query)
    quantity = order_checks.required("newQty", order_checks.amount(query, "newQty"))
    new_name = order_checks.client_id(query, "newClientOrderId")
    query.done()
    lots, remainder = divmod(quantity, unit(market.instrument.quantity_scale))
    if remainder:
        raise errors.filter_failure("LOT_SIZE")
    if order is None or order.state != "open":
        raise errors.amend_rejected("Unknown order sent.")
    if not order.filled < lots < order.asked.quantity:
        raise errors.amend_rejected("Invalid quantity.")
    trading.account.amend(order, lots, new_name or f"auto_amend_{order.order_id}")
    return 4, order_wire.amended(order, order.updated_ms)


def cancel_all(trading: BinanceTrading, query: Query) -> Answer:
    """Cancel all open orders of a symbol."""
    market = _market(trading, query)
    query.done()
    symbol = market.instrument.symbol
    found = [order for order in trading.account.open_orders() if order.asked.symbol == symbol]
    if not found:
        raise errors.cancel_rejected()
    for order in found:
        trading.account.cancel(order, f"auto_cancel_{order.order_id}")
    return 0, [order_wire.canceled(order) for order in found]


def _visible(trading: BinanceTrading, orders: Iterator[AccountOrder]) -> Iterator[AccountOrder]:
    """The orders that queries find: a fault can hide an order for a while after its placement."""
    now = trading.venue.clock()
    return (order for order in orders if order.hidden_until_ms <= now)


def query_order(trading: BinanceTrading, query: Query) -> Answer:
    """One order."""
    order, _ = _found(trading, query)
    query.done()
    if order is None or not list(_visible(trading, iter([order]))):
        raise errors.no_such_order()
    return 4, order_wire.queried(order)


def open_orders(trading: BinanceTrading, query: Query) -> Answer:
    """The open orders of a symbol, or all."""
    symbol = None if query.text("symbol") is None else _market(trading, query).instrument.symbol
    query.done()
    return (80 if symbol is None else 6), [
        order_wire.queried(order)
        for order in _visible(trading, trading.account.open_orders())
        if symbol in (None, order.asked.symbol)
    ]


def _span(query: Query) -> tuple[int, int]:
    """`startTime` and `endTime` in Unix ms, at most 24 hours apart."""
    start, end = query.number("startTime"), query.number("endTime")
    if start is not None and end is not None and not 0 <= end - start <= MAX_SPAN_MS:
        raise errors.BinanceError(400, -1127, "More than 24 hours between startTime and endTime.")
    return start or 0, 2**63 if end is None else end


def all_orders(trading: BinanceTrading, query: Query) -> Answer:
    """All orders of a symbol, oldest first: from an id, of a time span, or the latest."""
    symbol = _market(trading, query).instrument.symbol
    limit, first = query.limit(500, MAX_ROWS), query.number("orderId")
    start, end = _span(query)
    query.done()
    found = [
        order
        for order in _visible(trading, iter(trading.account.orders.values()))
        if order.asked.symbol == symbol
        and order.order_id >= (first or 0)
        and start <= order.created_ms <= end
    ]
    chosen = found[:limit] if first is not None or start else found[-limit:]
    return 20, [order_wire.queried(order) for order in chosen]


def my_trades(trading: BinanceTrading, query: Query) -> Answer:
    """The account's trades of a symbol, oldest first."""
    symbol = _market(trading, query).instrument.symbol
    limit, order_id = query.limit(500, MAX_ROWS), query.number("orderId")
    first = query.number("fromId")
    start, end = _span(query)
    query.done()
    if first is not None and (start or end < 2**63):
        raise errors.bad_combination()
    now = trading.venue.clock()
    found = [
        (fill.trade_id, order, fill)
        for order in _visible(trading, iter(trading.account.orders.values()))
        if order.asked.symbol == symbol and order_id in (None, order.order_id)
        if order.fills_hidden_until_ms <= now
        for fill in order.fills
        if fill.trade_id >= (first or 0) and start <= fill.time_ms <= end
    ]
    found.sort(key=lambda row: row[0])
    chosen = found[:limit] if first is not None or start else found[-limit:]
    return (20 if order_id is None else 5), [
        order_wire.trade(order, fill) for _, order, fill in chosen
    ]


def account_status(trading: BinanceTrading, query: Query) -> Answer:
    """Balances and commissions."""
    omit_zero = query.flag("omitZeroBalances", default=False)
    query.done()
    orders = trading.account.orders.values()
    updated = max((order.updated_ms for order in orders), default=trading.venue.clock())
    return 20, order_wire.account(trading.account, updated, omit_zero=omit_zero)


def commission(trading: BinanceTrading, query: Query) -> Answer:
    """The account's rates for a symbol, and the asset that has a discount."""
    market = _market(trading, query)
    query.done()
    return 20, order_wire.commission(market.instrument, trading.account.fees)


def order_limits(trading: BinanceTrading, query: Query) -> Answer:
    """The order limits with their current counts."""
    query.done()
    return 40, trading.count.limits()


def permissions(trading: BinanceTrading, query: Query) -> Answer:
    """The permissions of the key: read and trade, and withdraw if the settings say so."""
    query.done()
    return 1, {
        "ipRestrict": False,
        "createTime": KEY_CREATED_MS,
        "enableReading": True,
        "enableSpotAndMarginTrading": True,
        "enableWithdrawals": trading.key.withdraws,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "enableVanillaOptions": False,
        "enablePortfolioMarginTrading": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
    }


# By their names in the WebSocket API.
ENDPOINTS: dict[str, Callable[[BinanceTrading, Query], Answer]] = {
    "order.place": place,
    "order.test": check_order,
    "order.cancel": cancel,
    "order.amend.keepPriority": amend,
    "order.status": query_order,
    "openOrders.cancelAll": cancel_all,
    "openOrders.status": open_orders,
    "allOrders": all_orders,
    "myTrades": my_trades,
    "account.status": account_status,
    "account.commission": commission,
    "account.rateLimits.orders": order_limits,
    "account.permissions": permissions,
}
# The endpoints that forward to the matching engine.
FORWARDED = frozenset(
    {"order.place", "order.cancel", "order.amend.keepPriority", "openOrders.cancelAll"}
)
