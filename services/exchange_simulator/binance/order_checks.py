"""Binance's checks before an order reaches the matching engine: parameters, then filters.

Parameters: developers.binance.com, "Trading endpoints"; filters: the page "Filters".
"""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from services.exchange_simulator.account import SimulatedAccount
from services.exchange_simulator.account_order import AMOUNT_SCALE, Kind, NewOrder, unit
from services.exchange_simulator.binance import errors
from services.exchange_simulator.binance.exchange_info import (
    MAX_NOTIONAL,
    MAX_OPEN_ORDERS,
    MIN_NOTIONAL,
    PERCENT_DOWN,
    PERCENT_UP,
)
from services.exchange_simulator.binance.queries import Query
from services.exchange_simulator.binance.tickers import AVERAGE_MINUTES
from services.exchange_simulator.instruments import SimulatedInstrument, whole
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.matching import Side, TimeInForce

T = TypeVar("T")

CLIENT_ID = re.compile(r"[a-zA-Z0-9-_]{1,36}")
DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
SIDES: Final[dict[str, Side]] = {"BUY": "buy", "SELL": "sell"}
KINDS: Final[dict[str, Kind]] = {"LIMIT": "limit", "MARKET": "market", "LIMIT_MAKER": "post_only"}
TIMES_IN_FORCE: Final[dict[str, TimeInForce]] = {"GTC": "GTC", "IOC": "IOC", "FOK": "FOK"}
RESPONSE_TYPES = ("ACK", "RESULT", "FULL")
# Order types and parameters of the venue that the simulator lacks.
UNSUPPORTED_TYPES = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
UNSUPPORTED = (
    *("stopPrice", "trailingDelta", "icebergQty", "strategyId", "strategyType"),
    *("pegPriceType", "pegOffsetValue", "pegOffsetType"),
)


def client_id(query: Query, name: str) -> str | None:
    """A client order id, None if it wasn't sent.

    Raises:
        BinanceError: illegal characters, or too many.
    """
    text = query.text(name)
    if text is not None and not CLIENT_ID.fullmatch(text):
        raise errors.illegal(name, "^[a-zA-Z0-9-_]{1,36}$")
    return text


def amount(query: Query, name: str) -> int | None:
    """A decimal > 0 in units of 1e-8, None if it wasn't sent.

    Raises:
        BinanceError: not such a decimal, or more than 8 decimals.
    """
    text = query.text(name)
    if text is None:
        return None
    if not DECIMAL.fullmatch(text):
        raise errors.illegal(name, r"^([0-9]{1,20})(\.[0-9]{1,20})?$")
    try:
        value = whole(text, AMOUNT_SCALE)
    except ValueError:
        raise errors.too_precise(name) from None
    if not value:
        what = "price" if name == "price" else "quantity"
        raise errors.BinanceError(400, -1013, f"Invalid {what}.")
    return value


def one_of(query: Query, name: str, known: Mapping[str, T], code: int) -> T | None:
    """The value of an enumerated parameter, None if it wasn't sent.

    Raises:
        BinanceError: a text outside *known*, with *code*.
    """
    text = query.text(name)
    if text is None:
        return None
    if text not in known:
        what = "orderType" if name == "type" else name
        raise errors.BinanceError(400, code, f"Invalid {what}.")
    return known[text]


def required(name: str, value: T | None) -> T:
    """*value* of the parameter *name*.

    Raises:
        BinanceError: -1102, the parameter wasn't sent.
    """
    if value is None:
        raise errors.missing(name)
    return value


def new_order(account: SimulatedAccount, market: SimulatedMarket, query: Query) -> NewOrder:
    """Read a new order and check its parameters and filters.

    Raises:
        BinanceError: -1013 for a filter, -11xx for a parameter.
    """
    _refuse_unsupported(query)
    side: Side = required("side", one_of(query, "side", SIDES, -1117))
    kind: Kind = required("type", one_of(query, "type", KINDS, -1116))
    name = client_id(query, "newClientOrderId") or f"auto_{market.engine.next_order_id}"
    if kind == "market":
        order = _market_order(market, query, side, name)
        _check_market_filters(market, order)
        return order
    order = _limit_order(market.instrument, query, kind, side, name)
    _check_limit_filters(account, market, order)
    return order


def _refuse_unsupported(query: Query) -> None:
    for name in UNSUPPORTED:
        if query.text(name) is not None:
            raise errors.not_supported(f"the parameter {name!r}")
    if query.text("type") in UNSUPPORTED_TYPES:
        raise errors.not_supported(f"orders of type {query.text('type')}")
    if (query.text("selfTradePreventionMode") or "NONE") != "NONE":
        raise errors.not_supported("self-trade prevention")


def _market_order(market: SimulatedMarket, query: Query, side: Side, name: str) -> NewOrder:
    for other in ("price", "timeInForce"):
        if query.text(other) is not None:
            raise errors.not_required(other)
    quantity, value = amount(query, "quantity"), amount(query, "quoteOrderQty")
    if quantity is None and value is None:
        raise errors.missing_both("quantity", "quoteOrderQty")
    if quantity is None:
        lots = _lots_for(market, side, value or 0)
    elif value is None:
        lots = _lots(market.instrument, quantity)
    else:
        raise errors.not_required("quoteOrderQty")
    return NewOrder(market.instrument.symbol, name, "market", side, lots, quote_asked=value)


def _limit_order(
    instrument: SimulatedInstrument, query: Query, kind: Kind, side: Side, name: str
) -> NewOrder:
    time_in_force: TimeInForce | None = one_of(query, "timeInForce", TIMES_IN_FORCE, -1115)
    if kind == "limit":
        required("timeInForce", time_in_force)
    elif time_in_force is not None:
        raise errors.not_required("timeInForce")
    if query.text("quoteOrderQty") is not None:
        raise errors.not_required("quoteOrderQty")
    quantity = required("quantity", amount(query, "quantity"))
    price = required("price", amount(query, "price"))
    ticks, lots = _ticks(instrument, price), _lots(instrument, quantity)
    return NewOrder(instrument.symbol, name, kind, side, lots, ticks, time_in_force or "GTC")


def _ticks(instrument: SimulatedInstrument, price: int) -> int:
    ticks, remainder = divmod(price, unit(instrument.price_scale))
    if remainder or not instrument.min_price <= ticks <= instrument.max_price:
        raise errors.filter_failure("PRICE_FILTER")
    return ticks


def _lots(instrument: SimulatedInstrument, quantity: int) -> int:
    lots, remainder = divmod(quantity, unit(instrument.quantity_scale))
    if remainder or not instrument.min_quantity <= lots <= instrument.max_quantity:
        raise errors.filter_failure("LOT_SIZE")
    return lots


def _lots_for(market: SimulatedMarket, side: Side, value: int) -> int:
    """The largest number of lots that *value* (1e-8 of the quote asset) trades on this book."""
    instrument = market.instrument
    money = value // unit(instrument.money_scale)
    engine = market.engine
    lots, _ = (engine.asks if side == "buy" else engine.bids).lots_for(money)
    if not instrument.min_quantity <= lots <= instrument.max_quantity:
        raise errors.filter_failure("LOT_SIZE")
    return lots


def _check_market_filters(market: SimulatedMarket, order: NewOrder) -> None:
    instrument = market.instrument
    if order.quantity > instrument.max_market_quantity:
        raise errors.filter_failure("MARKET_LOT_SIZE")
    # applyMinToMarket is true, applyMaxToMarket is false.
    if order.quote_asked is not None:
        if order.quote_asked < MIN_NOTIONAL * unit(0):
            raise errors.filter_failure("NOTIONAL")
        return
    money, lots = _recent(market)
    if order.quantity * money < MIN_NOTIONAL * 10**instrument.money_scale * lots:
        raise errors.filter_failure("NOTIONAL")


def _check_limit_filters(
    account: SimulatedAccount, market: SimulatedMarket, order: NewOrder
) -> None:
    instrument, ticks = market.instrument, order.price or 0
    money, lots = _recent(market)
    # The reference is the average of the last five minutes, or the last price.
    if not PERCENT_DOWN * money <= ticks * lots <= PERCENT_UP * money:
        raise errors.filter_failure("PERCENT_PRICE_BY_SIDE")
    one = 10**instrument.money_scale
    if not MIN_NOTIONAL * one <= ticks * order.quantity <= MAX_NOTIONAL * one:
        raise errors.filter_failure("NOTIONAL")
    resting = sum(1 for o in account.open_orders() if o.asked.symbol == instrument.symbol)
    if resting >= MAX_OPEN_ORDERS:
        raise errors.filter_failure("MAX_NUM_ORDERS")


def _recent(market: SimulatedMarket) -> tuple[int, int]:
    """Money (ticks times lots) and lots of five minutes; their quotient is the average price."""
    now = market.now()
    recent = market.day.window(now, AVERAGE_MINUTES)
    if recent is not None:
        return recent.money, recent.volume
    day = market.day.window(now)
    last = day.close if day else market.day.price_before() or market.instrument.start_price
    return last, 1
