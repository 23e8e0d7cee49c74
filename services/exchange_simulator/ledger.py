"""The true state of the accounts, for tests to compare with: orders, fills and balances."""

from collections import Counter
from typing import Any

from services.exchange_simulator.account import SimulatedAccount
from services.exchange_simulator.account_order import AMOUNT_SCALE, AccountFill, AccountOrder
from services.exchange_simulator.instruments import SimulatedInstrument, Venue, fixed
from services.exchange_simulator.luno import order_wire


def ledger(venue: Venue, account: SimulatedAccount, arrivals: Counter[str]) -> dict[str, Any]:
    """One venue's part of `GET /simulator/ledger`; all amounts are texts with 8 decimals.

    *arrivals*: the number of requests to place an order, by client order id.
    """
    return {
        "orders": [_order(venue, order) for order in account.orders.values()],
        "arrivals": dict(arrivals),
        "balances": {
            asset: {"free": _amount(owned.free), "locked": _amount(owned.held)}
            for asset, owned in account.balances.items()
        },
    }


def _amount(value: int) -> str:
    return fixed(value, AMOUNT_SCALE)


def _order(venue: Venue, order: AccountOrder) -> dict[str, Any]:
    instrument, asked = order.instrument, order.asked
    return {
        "symbol": instrument.symbol,
        "order_id": order_wire.public_id(order) if venue == "luno" else str(order.order_id),
        "client_order_id": asked.client_id,
        "client_order_id_now": order.client_id,
        "side": asked.side,
        "type": asked.kind,
        "time_in_force": asked.time_in_force,
        "quantity": fixed(asked.quantity, instrument.quantity_scale),
        "price": None if asked.price is None else fixed(asked.price, instrument.price_scale),
        "quote_quantity": None if asked.quote_asked is None else _amount(asked.quote_asked),
        "state": order.state,
        "filled_quantity": fixed(order.filled, instrument.quantity_scale),
        "filled_quote": fixed(order.spent, instrument.money_scale),
        "fees": {asset: _amount(paid) for asset, paid in order.fees().items()},
        "created_ms": order.created_ms,
        "updated_ms": order.updated_ms,
        "fills": [_fill(instrument, fill) for fill in order.fills],
    }


def _fill(instrument: SimulatedInstrument, fill: AccountFill) -> dict[str, Any]:
    return {
        "trade_id": str(fill.trade_id),
        "price": fixed(fill.price, instrument.price_scale),
        "quantity": fixed(fill.quantity, instrument.quantity_scale),
        "fee": _amount(fill.fee),
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "time_ms": fill.time_ms,
    }
