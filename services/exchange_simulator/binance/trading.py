"""Binance's signed endpoints, by REST and by the WebSocket API alike.

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

MOST_ROWS = 1000
KEY_CREATED_MS = 1_767_225_600_000
UNSIGNED = frozenset({"apiKey", "timestamp", "recvWindow", "signature", "returnRateLimits"})
LONGEST_SPAN_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class BinanceTrading:
    """What the signed endpoints work with."""

    venue: BinanceVenue
    account: SimulatedAccount
    key: BinanceKey
    count: OrderCount


def answer(desk: BinanceTrading, name: str, params: Mapping[str, str], received_ms: int) -> Answer:
    """Answer a request whose key and signature are right, as if it had arrived at *received_ms*.

    Raises:
        BinanceError: the venue's refusal.
    """
    window = SigningWindow.of(params)
    window.check(received_ms)
    if name in FORWARDED:
        window.check(desk.venue.clock())
    query = Query({key: value for key, value in params.items() if key not in UNSIGNED})
    return ENDPOINTS[name](desk, query)


def _market(desk: BinanceTrading, query: Query) -> SimulatedMarket:
    name = order_checks.required("symbol", query.text("symbol"))
    feed = desk.venue.feeds.get(name)
    if feed is None:
        raise errors.invalid_symbol()
    return feed.market


def _response_type(query: Query, order: NewOrder) -> str:
    default = "ACK" if order.kind == "post_only" else "FULL"
    known = {name: name for name in order_checks.RESPONSE_TYPES}
    return order_checks.one_of(query, "newOrderRespType", known, -1130) or default


def _checked(desk: BinanceTrading, query: Query) -> tuple[NewOrder, str]:
    """A new order that passes all checks before the matching engine's, and its response type."""
    market = _market(desk, query)
    order = order_checks.new_order(desk.account, market, query)
    if market.status != "active":
        raise errors.rejected("Market is closed.")
    response_type = _response_type(query, order)
    query.done()
    return order, response_type


def place(desk: BinanceTrading, query: Query) -> Answer:
    """A new order.

    A client order id is unique among *open* orders only: that of an order which is over is
    taken again (`newClientOrderId` in "New order (TRADE)").
    """
    order, response_type = _checked(desk, query)
    desk.count.check()
    if any(
        o.asked.symbol == order.symbol and o.state == "open"
        for o in desk.account.called(order.client_id)
    ):
        raise errors.rejected("Duplicate order sent.")
    if order.kind == "post_only" and desk.account.would_take(order):
        raise errors.rejected("Order would immediately match and take.")
    try:
        placed = desk.account.place(order)
    except InsufficientBalanceError:
        raise errors.rejected("Account has insufficient balance for requested action.") from None
    # Since 2026-04-02 an order that succeeds weighs nothing.
    return 0, order_wire.placed(placed, response_type)


def check_order(desk: BinanceTrading, query: Query) -> Answer:
    """Check a new order and send nothing."""
    if query.flag("computeCommissionRates", default=False):
        raise errors.not_supported("computeCommissionRates")
    _checked(desk, query)
    return 1, {}


def _found(desk: BinanceTrading, query: Query) -> tuple[AccountOrder | None, SimulatedMarket]:
    """The order meant by `orderId` and/or `origClientOrderId`; both must fit when both are sent."""
    market = _market(desk, query)
    order_id = query.number("orderId")
    name = query.text("origClientOrderId")
    if order_id is None and name is None:
        raise errors.missing_both("origClientOrderId", "orderId")
    symbol = market.instrument.symbol
    if order_id is not None:
        order = desk.account.orders.get((symbol, order_id))
        if order and name is not None and order.client_id != name:
            order = None
        return order, market
    called = [o for o in desk.account.called(name or "") if o.asked.symbol == symbol]
    return (called[-1] if called else None), market


def cancel(desk: BinanceTrading, query: Query) -> Answer:
    """Cancel an open order; `newClientOrderId` is what it is called from then on."""
    order, _ = _found(desk, query)
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
    desk.account.cancel(order, new_name or f"auto_cancel_{order.order_id}")
    return 0, order_wire.canceled(order)


def amend(desk: BinanceTrading, query: Query) -> Answer:
    """Reduce an open order's quantity; it keeps its place, and gets a new client order id.

    developers.binance.com, "Order Amend Keep Priority".
    """
    order, market = _found(desk, query)
    quantity = order_checks.required("newQty", order_checks.amount(query, "newQty"))
    new_name = order_checks.client_id(query, "newClientOrderId")
    query.done()
    lots, beside = divmod(quantity, unit(market.instrument.quantity_scale))
    if beside:
        raise errors.filter_failure("LOT_SIZE")
    if order is None or order.state != "open":
        raise errors.amend_rejected("Unknown order sent.")
    if not order.filled < lots < order.asked.quantity:
        raise errors.amend_rejected("Invalid quantity.")
    desk.account.amend(order, lots, new_name or f"auto_amend_{order.order_id}")
    return 4, order_wire.amended(order, order.updated_ms)


def cancel_all(desk: BinanceTrading, query: Query) -> Answer:
    """Cancel all open orders of a symbol."""
    market = _market(desk, query)
    query.done()
    symbol = market.instrument.symbol
    found = [order for order in desk.account.open_orders() if order.asked.symbol == symbol]
    if not found:
        raise errors.cancel_rejected()
    for order in found:
        desk.account.cancel(order, f"auto_cancel_{order.order_id}")
    return 0, [order_wire.canceled(order) for order in found]


def _visible(desk: BinanceTrading, orders: Iterator[AccountOrder]) -> Iterator[AccountOrder]:
    """Those that queries find: it can take a while after an order was placed."""
    now = desk.venue.clock()
    return (order for order in orders if order.hidden_until_ms <= now)


def query_order(desk: BinanceTrading, query: Query) -> Answer:
    """One order."""
    order, _ = _found(desk, query)
    query.done()
    if order is None or not list(_visible(desk, iter([order]))):
        raise errors.no_such_order()
    return 4, order_wire.queried(order)


def open_orders(desk: BinanceTrading, query: Query) -> Answer:
    """The open orders of a symbol, or all."""
    symbol = None if query.text("symbol") is None else _market(desk, query).instrument.symbol
    query.done()
    return (80 if symbol is None else 6), [
        order_wire.queried(order)
        for order in _visible(desk, desk.account.open_orders())
        if symbol in (None, order.asked.symbol)
    ]


def _span(query: Query) -> tuple[int, int]:
    """`startTime` and `endTime`: at most 24 hours apart."""
    start, end = query.number("startTime"), query.number("endTime")
    if start is not None and end is not None and not 0 <= end - start <= LONGEST_SPAN_MS:
        raise errors.BinanceError(400, -1127, "More than 24 hours between startTime and endTime.")
    return start or 0, 2**63 if end is None else end


def all_orders(desk: BinanceTrading, query: Query) -> Answer:
    """All orders of a symbol, oldest first: from an id, of a time, or the latest."""
    symbol = _market(desk, query).instrument.symbol
    limit, first = query.limit(500, MOST_ROWS), query.number("orderId")
    start, end = _span(query)
    query.done()
    found = [
        order
        for order in _visible(desk, iter(desk.account.orders.values()))
        if order.asked.symbol == symbol
        and order.order_id >= (first or 0)
        and start <= order.created_ms <= end
    ]
    chosen = found[:limit] if first is not None or start else found[-limit:]
    return 20, [order_wire.queried(order) for order in chosen]


def my_trades(desk: BinanceTrading, query: Query) -> Answer:
    """The account's trades of a symbol, oldest first."""
    symbol = _market(desk, query).instrument.symbol
    limit, order_id = query.limit(500, MOST_ROWS), query.number("orderId")
    first = query.number("fromId")
    start, end = _span(query)
    query.done()
    if first is not None and (start or end < 2**63):
        raise errors.bad_combination()
    now = desk.venue.clock()
    found = [
        (fill.trade_id, order, fill)
        for order in _visible(desk, iter(desk.account.orders.values()))
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


def account_status(desk: BinanceTrading, query: Query) -> Answer:
    """Balances and commissions."""
    omit_zero = query.flag("omitZeroBalances", default=False)
    query.done()
    orders = desk.account.orders.values()
    updated = max((order.updated_ms for order in orders), default=desk.venue.clock())
    return 20, order_wire.account(desk.account, updated, omit_zero=omit_zero)


def commission(desk: BinanceTrading, query: Query) -> Answer:
    """The account's rates for a symbol, and the asset that has a discount."""
    market = _market(desk, query)
    query.done()
    return 20, order_wire.commission(market.instrument, desk.account.fees)


def order_limits(desk: BinanceTrading, query: Query) -> Answer:
    """How many orders have been placed, of how many."""
    query.done()
    return 40, desk.count.limits()


def permissions(desk: BinanceTrading, query: Query) -> Answer:
    """What the key may do: read and trade, and withdraw where it was told so."""
    query.done()
    return 1, {
        "ipRestrict": False,
        "createTime": KEY_CREATED_MS,
        "enableReading": True,
        "enableSpotAndMarginTrading": True,
        "enableWithdrawals": desk.key.withdraws,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "enableVanillaOptions": False,
        "enablePortfolioMarginTrading": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
    }


# By the names that the WebSocket API gives them.
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
# What goes on to the matching engine.
FORWARDED = frozenset(
    {"order.place", "order.cancel", "order.amend.keepPriority", "openOrders.cancelAll"}
)
