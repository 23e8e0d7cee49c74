"""Binance's orders, fills and balances in our words, and ours in Binance's. Pure.

Payloads: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints and
.../user-data-stream. Prices and quantities are strings there, times are epoch milliseconds.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.bookkeeping import Fill, Report, Status
from services._connector_kit.orders.ledger import Balance
from services._connector_kit.orders.ports import VenueOrder
from services._connector_kit.orders.record import Record

STATUSES: dict[str, Status] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PENDING_CANCEL": "open",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}

# https://developers.binance.com/docs/binance-spot-api-docs/fix-api: what a client order id may be.
_CLIENT_ORDER_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")


def carries(client_order_id: str) -> bool:
    """True for a client order id that Binance takes as it is."""
    return _CLIENT_ORDER_ID.fullmatch(client_order_id) is not None


def order_params(record: Record, instrument: Instrument) -> dict[str, str | int]:
    """`POST /api/v3/order`, but for the signature; the timestamp is the journaled one."""
    command = record.order
    params: dict[str, str | int] = {
        "symbol": instrument.venue_symbol,
        "side": command.side.upper(),
        "type": "LIMIT_MAKER" if command.post_only else command.type.upper(),
        "quantity": record.sent_quantity or "",
    }
    if record.sent_price is not None:
        params["price"] = record.sent_price
        if not command.post_only:
            params["timeInForce"] = command.time_in_force or "GTC"
    return params | {
        "newClientOrderId": record.client_order_id,
        "newOrderRespType": "FULL",
        "recvWindow": record.validity,
        "timestamp": record.timestamp,
    }


def venue_order(answer: Mapping[str, Any]) -> VenueOrder:
    """An order as `POST` and `GET /api/v3/order` tell it.

    Raises:
        KeyError: the answer is not of that form.
    """
    return VenueOrder(
        order_id=str(answer["orderId"]),
        client_order_id=str(answer.get("clientOrderId", "")),
        filled_quantity=str(answer.get("executedQty", "0")),
    )


def order_report(row: Mapping[str, Any], symbol: str, fills: Sequence[Fill] = ()) -> Report:
    """An order as `GET /api/v3/order` and `.../openOrders` tell it.

    Raises:
        KeyError, ArithmeticError: the row is not of that form.
    """
    status = STATUSES.get(row["status"], "unknown")
    return Report(
        order_id=str(row["orderId"]),
        client_order_id=str(row["clientOrderId"]) or None,
        symbol=symbol,
        side="buy" if row["side"] == "BUY" else "sell",
        status=status,
        quantity=Decimal(row["origQty"]),
        filled=Decimal(row["executedQty"]),
        quote_filled=Decimal(row["cummulativeQuoteQty"]),
        milliseconds=int(row.get("updateTime") or row.get("time") or 0),
        fills=tuple(fills),
        venue_status=str(row["status"]) if status == "unknown" else None,
    )


def fills(rows: Sequence[Mapping[str, Any]]) -> tuple[Fill, ...]:
    """`GET /api/v3/myTrades` of one order.

    Raises:
        KeyError, ArithmeticError: a row is not of that form.
    """
    return tuple(
        Fill(
            trade_id=str(row["id"]),
            milliseconds=int(row["time"]),
            price=Decimal(row["price"]),
            quantity=Decimal(row["qty"]),
            fee_asset=str(row["commissionAsset"]),
            fee=Decimal(row["commission"]),
        )
        for row in rows
    )


def execution_report(event: Mapping[str, Any], symbol: str) -> Report:
    """An `executionReport` of the user data stream.

    On a cancel, `c` is the cancel's own id and `C` the order's.

    Raises:
        KeyError, ArithmeticError: the event is not of that form.
    """
    status = STATUSES.get(event["X"], "unknown")
    fill: tuple[Fill, ...] = ()
    if event["x"] == "TRADE":
        fill = (
            Fill(
                trade_id=str(event["t"]),
                milliseconds=int(event["T"]),
                price=Decimal(event["L"]),
                quantity=Decimal(event["l"]),
                fee_asset=event["N"],
                fee=Decimal(event["n"]),
            ),
        )
    return Report(
        order_id=str(event["i"]),
        client_order_id=str(event["C"] or event["c"]) or None,
        symbol=symbol,
        side="buy" if event["S"] == "BUY" else "sell",
        status=status,
        quantity=Decimal(event["q"]),
        filled=Decimal(event["z"]),
        quote_filled=Decimal(event["Z"]),
        milliseconds=int(event["T"]),
        fills=fill,
        venue_status=str(event["X"]) if status == "unknown" else None,
    )


def balances(rows: Sequence[Mapping[str, Any]]) -> list[Balance]:
    """The `balances` of `GET /api/v3/account`.

    Raises:
        KeyError, ArithmeticError: a row is not of that form.
    """
    return [Balance(str(r["asset"]), Decimal(r["free"]), Decimal(r["locked"])) for r in rows]


def account_position(event: Mapping[str, Any]) -> list[Balance]:
    """An `outboundAccountPosition` of the user data stream: assets that may have changed.

    Raises:
        KeyError, ArithmeticError: the event is not of that form.
    """
    return [Balance(str(r["a"]), Decimal(r["f"]), Decimal(r["l"])) for r in event["B"]]
