"""Luno's checks before it accepts an order: parameters, scales, bounds.

Parameters and error codes: luno.com/en/developers/api, "Orders" and "Errors". The HTTP status of
a code isn't documented except for 409 and 429.
"""

import re
from collections.abc import Mapping
from typing import Final

from services.exchange_simulator.account_order import Kind, NewOrder, unit
from services.exchange_simulator.instruments import SimulatedInstrument, whole
from services.exchange_simulator.luno.params import Params
from services.exchange_simulator.luno.wire import LunoError
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.matching import Side, TimeInForce

CLIENT_ID = re.compile(r"[0-9A-Za-z_;,.-]{1,255}")
MAX_TTL_MS = 10_000
LIMIT_SIDES: Final[dict[str, Side]] = {"BID": "buy", "ASK": "sell"}
MARKET_SIDES: Final[dict[str, Side]] = {"BUY": "buy", "SELL": "sell"}
TIMES_IN_FORCE: Final[dict[str, TimeInForce]] = {"GTC": "GTC", "IOC": "IOC", "FOK": "FOK"}
# The scale of a counter volume isn't documented: assumed to be cents, or the price's scale.
COUNTER_SCALE = 2
MAX_SCALE = 18  # the finest scale that the venue writes


def check_deadline(params: Params, now_ms: int) -> None:
    """Check that an order may still be executed: until `timestamp` + `ttl`, never later.

    `ttl` is 1 to 10,000 ms (default 10,000) and ignored without a timestamp: "postorder" in
    luno.com/en/developers/api.

    Raises:
        LunoError: ErrDeadlineExceeded; ErrInvalidArguments for an invalid number.
    """
    timestamp, ttl = params.number("timestamp"), params.number("ttl")
    if ttl is not None and not 1 <= ttl <= MAX_TTL_MS:
        raise LunoError(400, "ErrInvalidArguments", f"ttl={ttl}: expected 1 to {MAX_TTL_MS}")
    if timestamp is not None and now_ms > timestamp + (ttl or MAX_TTL_MS):
        raise LunoError(400, "ErrDeadlineExceeded", "The request was not processed in time.")


def client_id(params: Params) -> str:
    """`client_order_id`, "" if it wasn't sent.

    Raises:
        LunoError: ErrInvalidClientOrderId.
    """
    text = params.text("client_order_id")
    if text and not CLIENT_ID.fullmatch(text):
        raise LunoError(
            *(400, "ErrInvalidClientOrderId"),
            "client_order_id: expected 1 to 255 of 0-9 A-Z a-z _ ; , . -",
        )
    return text or ""


def limit_order(market: SimulatedMarket, params: Params) -> NewOrder:
    """Read a limit order.

    Raises:
        LunoError: a parameter is missing, malformed or out of the pair's bounds.
    """
    instrument = market.instrument
    side = _side(params, LIMIT_SIDES)
    for name in ("stop_price", "stop_direction"):
        if params.text(name):
            raise LunoError(501, "ErrNotImplemented", "the simulator does not support stop orders")
    lots = _volume(instrument, params, "volume", "ErrInvalidVolume")
    scale = instrument.price_scale
    price = _scaled(params, "price", scale, "ErrInvalidPrice", "ErrPriceDenominationNotAllowed")
    if price < instrument.min_price:
        raise LunoError(400, "ErrPriceTooLow", "The price is below the market's minimum.")
    if price > instrument.max_price:
        raise LunoError(400, "ErrPriceTooHigh", "The price is above the market's maximum.")
    text = params.text("time_in_force") or "GTC"
    if text not in TIMES_IN_FORCE:
        message = f"time_in_force={text!r}: expected GTC, IOC or FOK"
        raise LunoError(400, "ErrInvalidArguments", message)
    post_only = params.flag("post_only")
    if post_only and text != "GTC":
        raise LunoError(400, "ErrPostOnlyNotAllowed", "post_only goes with time_in_force GTC only")
    kind: Kind = "post_only" if post_only else "limit"
    name, time_in_force = client_id(params), TIMES_IN_FORCE[text]
    return NewOrder(instrument.symbol, name, kind, side, lots, price, time_in_force)


def market_order(market: SimulatedMarket, params: Params) -> NewOrder:
    """Read a market order: a BUY has a `counter_volume` to spend, a SELL a `base_volume`.

    Raises:
        LunoError: as for a limit order, or ErrNotEnoughLiquidity.
    """
    instrument, engine = market.instrument, market.engine
    side = _side(params, MARKET_SIDES)
    name = client_id(params)
    if side == "sell":
        lots = _volume(instrument, params, "base_volume", "ErrInvalidBaseVolume")
        if engine.bids.available(None, lots) < lots:
            raise _not_enough()
        return NewOrder(instrument.symbol, name, "market", side, lots)
    scale = max(COUNTER_SCALE, instrument.price_scale)
    counter = _scaled(
        *(params, "counter_volume", scale),
        *("ErrInvalidCounterVolume", "ErrCounterDenominationNotAllowed"),
    )
    asked = counter * unit(scale)
    money = asked // unit(instrument.money_scale)
    lots, _ = engine.asks.lots_for(money)
    best = engine.asks.best()
    if best is None or lots == engine.asks.available(None, lots + 1):
        raise _not_enough()
    _check_bounds(instrument, lots)
    return NewOrder(instrument.symbol, name, "market", side, lots, quote_asked=asked)


def _not_enough() -> LunoError:
    return LunoError(400, "ErrNotEnoughLiquidity", "There are not enough orders in the market.")


def _side(params: Params, sides: Mapping[str, Side]) -> Side:
    text = params.text("type") or ""
    if text not in sides:
        expected = " or ".join(sides)
        raise LunoError(400, "ErrInvalidOrderSide", f"type={text!r}: expected {expected}")
    return sides[text]


def _volume(instrument: SimulatedInstrument, params: Params, name: str, invalid: str) -> int:
    scale = instrument.quantity_scale
    lots = _scaled(params, name, scale, invalid, "ErrVolumeDenominationNotAllowed")
    _check_bounds(instrument, lots)
    return lots


def _check_bounds(instrument: SimulatedInstrument, lots: int) -> None:
    if lots < instrument.min_quantity:
        raise LunoError(400, "ErrVolumeTooLow", "The volume is below the market's minimum.")
    if lots > instrument.max_quantity:
        raise LunoError(400, "ErrVolumeTooHigh", "The volume is above the market's maximum.")


def _scaled(params: Params, name: str, scale: int, invalid: str, too_fine: str) -> int:
    """A decimal > 0 as a whole number of `10**-scale`."""
    text = params.text(name) or ""
    try:
        value = whole(text, MAX_SCALE)
    except ValueError:
        raise LunoError(400, invalid, f"{name}={text[:40]!r}: expected a decimal number") from None
    if not value:
        raise LunoError(400, invalid, f"{name}={text[:40]!r}: expected more than 0")
    units, remainder = divmod(value, int(10 ** (MAX_SCALE - scale)))
    if remainder:
        raise LunoError(400, too_fine, f"{name}={text[:40]}: expected at most {scale} decimals")
    return units
