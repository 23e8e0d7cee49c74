"""Orders, trades and balances in Luno's format.

Answers: luno.com/en/developers/api, "Orders" and "Accounts".
"""

import hashlib
from typing import Any

from services.exchange_simulator.account import AccountBalance
from services.exchange_simulator.account_order import AMOUNT_SCALE, AccountFill, AccountOrder
from services.exchange_simulator.instruments import SimulatedInstrument, fixed, trimmed
from services.exchange_simulator.luno.wire import lane, order_id

SIDES = {"buy": "BUY", "sell": "SELL"}
BOOK_SIDES = {"buy": "BID", "sell": "ASK"}


def public_id(order: AccountOrder) -> str:
    """An order's public id."""
    return order_id(order.order_id, lane(order.instrument))


def account_id(asset: str) -> int:
    """The account id of an asset, at most 19 digits: a number in streams, a text in REST."""
    return int.from_bytes(hashlib.sha256(asset.encode()).digest()[:8], "big") >> 1


def amount(value: int) -> str:
    """An amount (1e-8) as text."""
    return fixed(value, AMOUNT_SCALE)


def price(instrument: SimulatedInstrument, ticks: int) -> str:
    """A price in ticks as text."""
    return trimmed(ticks, instrument.price_scale)


def volume(instrument: SimulatedInstrument, lots: int) -> str:
    """A quantity in lots as text."""
    return trimmed(lots, instrument.quantity_scale)


def counter(instrument: SimulatedInstrument, ticks_times_lots: int) -> str:
    """An amount of the counter asset in ticks times lots, as text."""
    return trimmed(ticks_times_lots, instrument.money_scale)


def status(order: AccountOrder) -> str:
    """PENDING while on the book, then COMPLETE, both for filled and for cancelled orders."""
    return "PENDING" if order.state == "open" else "COMPLETE"


def order_v2(order: AccountOrder) -> dict[str, Any]:
    """An order in `/exchange/2/orders`, `/exchange/2/listorders` and `/exchange/3/order`."""
    asked = order.asked
    fields = {
        "client_order_id": order.client_id,
        "side": SIDES[asked.side],
        "type": "MARKET" if asked.kind == "market" else "LIMIT",
        "status": status(order),
        **_common(order),
    }
    if asked.kind != "market":
        fields["time_in_force"] = asked.time_in_force
    return fields


def order_v1(order: AccountOrder) -> dict[str, Any]:
    """An order in `/api/1/orders` and `/api/1/listorders`: without its client id."""
    asked = order.asked
    sides = SIDES if asked.kind == "market" else BOOK_SIDES
    fields = {"type": sides[asked.side], "state": status(order), **_common(order)}
    if asked.kind != "market":
        fields["time_in_force"] = asked.time_in_force
    return fields


def _common(order: AccountOrder) -> dict[str, Any]:
    instrument, asked = order.instrument, order.asked
    paid = order.fees()
    return {
        "order_id": public_id(order),
        "pair": instrument.pair,
        # The value for a market order isn't documented.
        "limit_price": price(instrument, asked.price or 0),
        "limit_volume": volume(instrument, 0 if asked.kind == "market" else asked.quantity),
        "base": volume(instrument, order.filled),
        "counter": counter(instrument, order.spent),
        "fee_base": amount(paid.get(instrument.base, 0)),
        "fee_counter": amount(paid.get(instrument.quote, 0)),
        "creation_timestamp": order.created_ms,
        "completed_timestamp": 0 if order.state == "open" else order.updated_ms,
        # Set if a cancel was processed.
        "expiration_timestamp": order.updated_ms if order.state == "canceled" else 0,
        "base_account_id": account_id(instrument.base),
        "counter_account_id": account_id(instrument.quote),
    }


def trade(order: AccountOrder, fill: AccountFill) -> dict[str, Any]:
    """One entry of `listtrades`: `type` is the account's side, `is_buy` the taker's."""
    instrument = order.instrument
    buys = order.asked.side == "buy"
    base, money = volume(instrument, fill.quantity), fill.price * fill.quantity
    in_base = fill.fee_asset == instrument.base
    return {
        "pair": instrument.pair,
        "sequence": fill.trade_id,
        "order_id": public_id(order),
        "client_order_id": order.client_id,
        "type": BOOK_SIDES[order.asked.side],
        "timestamp": fill.time_ms,
        "price": price(instrument, fill.price),
        "volume": base,
        "base": base,
        "counter": counter(instrument, money),
        "fee_base": amount(fill.fee if in_base else 0),
        "fee_counter": amount(0 if in_base else fill.fee),
        "is_buy": buys != fill.maker,
    }


def balance(asset: str, owned: AccountBalance) -> dict[str, str]:
    """One entry of `balance`; its `balance` includes `reserved`."""
    return {
        "account_id": str(account_id(asset)),
        "asset": asset,
        "balance": amount(owned.total),
        "reserved": amount(owned.held),
        "unconfirmed": amount(0),
        "name": f"{asset} account",
    }
