"""Luno's orders, fills and balances in our words, and ours in Luno's. Pure.

Payloads: https://www.luno.com/en/developers/api. Luno knows no canceled, filled or rejected: an
order is AWAITING, PENDING or COMPLETE, and the quantities tell the rest.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.bookkeeping import Report, Status
from services._connector_kit.orders.ledger import Balance
from services._connector_kit.orders.ports import VenueOrder
from services._connector_kit.orders.record import Record

ZERO = Decimal(0)

# https://www.luno.com/en/developers/api: what a client order id may be.
_CLIENT_ORDER_ID = re.compile(r"[0-9A-Za-z_;,.-]{1,255}")


def carries(client_order_id: str) -> bool:
    """True for a client order id that Luno takes as it is."""
    return _CLIENT_ORDER_ID.fullmatch(client_order_id) is not None


def limit_params(record: Record, instrument: Instrument) -> dict[str, str | int | bool]:
    """`POST /api/1/postorder`. A market buy is sent as IOC: see `orders.py`."""
    command = record.order
    default = "GTC" if command.type == "limit" else "IOC"
    params: dict[str, str | int | bool] = {
        "pair": instrument.venue_symbol,
        "type": "BID" if command.side == "buy" else "ASK",
        "volume": record.sent_quantity or "",
        "price": record.sent_price or "",
        "time_in_force": command.time_in_force or default,
    }
    if command.post_only:
        params["post_only"] = True
    return params | _fence(record)


def market_params(record: Record, instrument: Instrument) -> dict[str, str | int | bool]:
    """`POST /api/1/marketorder`, which sells base units."""
    return {
        "pair": instrument.venue_symbol,
        "type": "SELL",
        "base_volume": record.sent_quantity or "",
    } | _fence(record)


def _fence(record: Record) -> dict[str, str | int | bool]:
    """The journaled timestamp: what comes later than `ttl` after it, Luno refuses."""
    return {
        "client_order_id": record.client_order_id,
        "timestamp": record.timestamp,
        "ttl": record.validity,
    }


def venue_order(row: Mapping[str, Any]) -> VenueOrder:
    """An order as `GET /api/exchange/3/order` and `.../2/listorders` tell it (OrderV2).

    Raises:
        KeyError: the row is not of that form.
    """
    return VenueOrder(
        str(row["order_id"]), str(row.get("client_order_id") or ""), str(row.get("base") or "0")
    )


def order_report(row: Mapping[str, Any], instrument: Instrument) -> Report:
    """An OrderV2 as a report; Luno gives fills no ids, so its quantities tell what is new.

    Raises:
        KeyError, ValueError, ArithmeticError: the row is not of that form.
    """
    filled = Decimal(row.get("base") or "0")
    quantity = Decimal(row.get("limit_volume") or "0") or filled
    fee = {
        asset: Decimal(row.get(name) or "0")
        for asset, name in ((instrument.base, "fee_base"), (instrument.quote, "fee_counter"))
    }
    status, unknown = _status(str(row["status"]), quantity, filled)
    return Report(
        order_id=str(row["order_id"]),
        client_order_id=str(row.get("client_order_id") or "") or None,
        symbol=instrument.symbol,
        side="buy" if row["side"] == "BUY" else "sell",
        status=status,
        quantity=quantity,
        filled=filled,
        quote_filled=Decimal(row.get("counter") or "0"),
        milliseconds=int(row.get("completed_timestamp") or row.get("creation_timestamp") or 0),
        fee={asset: amount for asset, amount in fee.items() if amount},
        venue_status=unknown,
    )


def _status(status: str, quantity: Decimal, filled: Decimal) -> tuple[Status, str | None]:
    match status:
        case "AWAITING" | "PENDING":
            return ("partially_filled" if filled else "open"), None
        case "COMPLETE":
            return ("filled" if filled >= quantity > 0 else "canceled"), None
        case other:
            return "unknown", other


def balances(rows: Sequence[Mapping[str, Any]]) -> list[Balance]:
    """`GET /api/1/balance`, summed over the accounts of an asset: reserved is part of balance.

    Raises:
        KeyError, ArithmeticError: a row is not of that form.
    """
    found: dict[str, Balance] = {}
    for row in rows:
        asset = str(row["asset"])
        total, locked = Decimal(row["balance"]), Decimal(row["reserved"])
        before = found.get(asset, Balance.nothing(asset))
        found[asset] = Balance(asset, before.free + total - locked, before.locked + locked)
    return list(found.values())
