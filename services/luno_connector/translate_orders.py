"""Luno's orders, fills and balances in our words, and ours in Luno's. Pure.

Payloads: https://www.luno.com/en/developers/api. Luno knows no canceled, filled or rejected: an
order is AWAITING, PENDING or COMPLETE, and the quantities give the rest. Another than the
documented form raises KeyError, TypeError, ValueError or ArithmeticError.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from common_models.fields import Side
from services._connector_kit.fees import Fees
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.order_status import Fill, OrderStatusReport, Status
from services._connector_kit.orders.account.venue import Balance
from services._connector_kit.orders.execution.amounts import amount, moment, positive
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import VenueOrder

ZERO = Decimal(0)
SIDES: dict[str, Side] = {"BUY": "buy", "SELL": "sell"}


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


def venue_order(row: Mapping[str, Any], symbol: str | None) -> VenueOrder:
    """An order as `GET /api/exchange/3/order` and `.../2/listorders` report it (OrderV2).

    *symbol* may be None: unknown. A market order has no limit price or volume.
    """
    quantity, price = amount(row.get("limit_volume") or "0"), amount(row.get("limit_price") or "0")
    return VenueOrder(
        order_id=_id(row["order_id"]),
        client_order_id=str(row["client_order_id"] or ""),
        filled_quantity=f"{amount(row['base']):f}",
        symbol=symbol,
        side=SIDES[row["side"]],
        type=_type(row),
        quantity=f"{quantity:f}" if quantity else None,
        price=f"{price:f}" if price else None,
        created=moment(row["creation_timestamp"]),
    )


def order_report(row: Mapping[str, Any], instrument: Instrument) -> OrderStatusReport:
    """An OrderV2 as a report, without its fills, which Luno lists elsewhere."""
    # A market order's limit_volume isn't documented; the simulator's and others' is 0 or missing.
    quantity, filled = amount(row.get("limit_volume") or "0"), amount(row["base"])
    fee = {
        asset: amount(row.get(name) or "0")
        for asset, name in ((instrument.base, "fee_base"), (instrument.quote, "fee_counter"))
    }
    status, unknown = _status(str(row["status"]), quantity, filled)
    return OrderStatusReport(
        order_id=_id(row["order_id"]),
        client_order_id=str(row["client_order_id"] or "") or None,
        symbol=instrument.symbol,
        side=SIDES[row["side"]],
        status=status,
        quantity=quantity,
        filled=filled,
        quote_filled=amount(row["counter"]),
        milliseconds=moment(row.get("completed_timestamp") or row["creation_timestamp"]),
        fee={asset: paid for asset, paid in fee.items() if paid},
        venue_status=unknown,
        price=amount(row.get("limit_price") or "0"),
        created=moment(row["creation_timestamp"]),
        type=_type(row),
    )


def fill(row: Mapping[str, Any], instrument: Instrument) -> tuple[str, Fill]:
    """One of `GET /api/1/listtrades`, and the id of its order.

    `type` is the order's own side, `is_buy` says whether the taker bought. Luno takes a fee in one
    of the two assets.
    """
    fees = {
        asset: amount(row.get(name) or "0")
        for asset, name in ((instrument.base, "fee_base"), (instrument.quote, "fee_counter"))
    }
    paid = next((asset for asset in fees if fees[asset]), instrument.quote)
    bought, taker_bought = row["type"] in ("BID", "BUY"), row["is_buy"]
    return _id(row["order_id"]), Fill(
        trade_id=_sequence(row["sequence"]),
        milliseconds=moment(row["timestamp"]),
        price=positive(row["price"]),
        quantity=positive(row["volume"]),
        fee_asset=paid,
        fee=fees[paid],
        is_maker=bought != taker_bought if isinstance(taker_bought, bool) else None,
    )


def _sequence(value: object) -> str:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} isn't a trade's sequence; expected a number")
    return str(value)


def _type(row: Mapping[str, Any]) -> str | None:
    return str(row["type"]).lower()[:50] if row.get("type") else None


def _status(status: str, quantity: Decimal, filled: Decimal) -> tuple[Status, str | None]:
    match status:
        case "AWAITING" | "PENDING":
            return ("partially_filled" if filled else "open"), None
        case "COMPLETE":
            return ("filled" if filled and filled >= quantity else "canceled"), None
        case other:
            return "unknown", other[:50]


def _id(value: object) -> str:
    """An order's id, which is text.

    Raises:
        ValueError: it isn't an id.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{str(value)[:40]!r} isn't an order id; expected text")
    return value


def balances(rows: Sequence[Mapping[str, Any]]) -> list[Balance]:
    """`GET /api/1/balance`, summed over the accounts of an asset: reserved is part of balance."""
    found: dict[str, Balance] = {}
    for row in rows:
        asset = str(row["asset"])
        total, locked = amount(row["balance"]), amount(row["reserved"])
        before = found.get(asset, Balance.nothing(asset))
        found[asset] = Balance(
            asset, before.free + max(ZERO, total - locked), before.locked + locked
        )
    return list(found.values())


def fees(row: Mapping[str, Any]) -> Fees:
    """`GET /api/1/fee_info`: of a buy's and a sell's, which may differ, the higher."""
    maker, taker = (
        max(amount(row[f"{name}_fee_buy"]), amount(row[f"{name}_fee_sell"]))
        for name in ("maker", "taker")
    )
    return Fees(maker, taker)
