"""Binance's orders, fills and balances in our words, and ours in Binance's. Pure.

Payloads: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints and
https://developers.binance.com/docs/binance-spot-api-docs/user-data-stream. Prices and quantities
are strings there, times are epoch milliseconds. Another form raises KeyError, TypeError, ValueError
or ArithmeticError.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from common_models.fields import Side
from services._connector_kit.fees import Fees
from services._connector_kit.instruments import ZERO, Instrument
from services._connector_kit.orders.account.order_status import Fill, OrderStatusReport, Status
from services._connector_kit.orders.account.venue import Balance
from services._connector_kit.orders.execution.amounts import amount, moment, positive
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.validation import OrderRules
from services._connector_kit.orders.ports import VenueOrder

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

SIDES: dict[str, Side] = {"BUY": "buy", "SELL": "sell"}


# What Binance takes as an order. The form of an id:
# https://developers.binance.com/docs/binance-spot-api-docs/fix-api
RULES = OrderRules(
    "Binance", re.compile(r"[a-zA-Z0-9_-]{1,36}"), "1 to 36 of letters, digits, - and _"
)


def order_params(record: Record, instrument: Instrument) -> dict[str, str | int]:
    """`POST /api/v3/order` without the signature; the timestamp is the journaled one."""
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


def venue_order(answer: Mapping[str, Any], symbol: str) -> VenueOrder:
    """An order as `POST` and `GET /api/v3/order` report it, with its terms."""
    quantity, price = amount(answer["origQty"]), amount(answer["price"])
    return VenueOrder(
        order_id=_id(answer["orderId"]),
        client_order_id=str(answer["clientOrderId"]),
        filled_quantity=f"{amount(answer['executedQty']):f}",
        symbol=symbol,
        side=SIDES[answer["side"]],
        type=_type(answer["type"]),
        quantity=f"{quantity:f}" if quantity else None,
        price=f"{price:f}" if price else None,
        created=moment(answer.get("time") or answer["transactTime"]),
    )


def order_report(
    row: Mapping[str, Any], symbol: str, fills: Sequence[Fill] = ()
) -> OrderStatusReport:
    """An order as `GET /api/v3/order` and `GET /api/v3/openOrders` report it."""
    status, quote = STATUSES.get(row["status"], "unknown"), row["cummulativeQuoteQty"]
    return OrderStatusReport(
        order_id=_id(row["orderId"]),
        client_order_id=str(row["clientOrderId"]) or None,
        symbol=symbol,
        side=SIDES[row["side"]],
        status=status,
        quantity=amount(row["origQty"]),
        filled=amount(row["executedQty"]),
        # Below 0 where Binance doesn't know it any more.
        quote_filled=amount("0" if str(quote).startswith("-") else quote),
        milliseconds=moment(row.get("updateTime") or row["time"]),
        fills=tuple(fills),
        venue_status=str(row["status"])[:50] if status == "unknown" else None,
        price=amount(row["price"]),
        prevented=amount(row.get("preventedQuantity") or "0"),
        created=moment(row["time"]),
        version=moment(row.get("updateTime") or row["time"]),
        type=_type(row.get("type")),
    )


def fills(rows: Sequence[Mapping[str, Any]]) -> tuple[Fill, ...]:
    """`GET /api/v3/myTrades` of one order."""
    return tuple(
        Fill(
            trade_id=_id(row["id"]),
            milliseconds=moment(row["time"]),
            price=positive(row["price"]),
            quantity=positive(row["qty"]),
            fee_asset=str(row["commissionAsset"]),
            fee=amount(row["commission"]),
            is_maker=_yes_or_no(row.get("isMaker")),
        )
        for row in rows
    )


def execution_report(event: Mapping[str, Any], symbol: str) -> OrderStatusReport:
    """An `executionReport` of the user data stream.

    On a cancel, `c` is the cancel's own id and `C` the order's; where an order was amended (`x` is
    REPLACED), `c` is its new one. `A` is what self-trade prevention took off it, so far.
    """
    status = STATUSES.get(event["X"], "unknown")
    fill: tuple[Fill, ...] = ()
    if event["x"] == "TRADE":
        fill = (
            Fill(
                trade_id=_id(event["t"]),
                milliseconds=moment(event["T"]),
                price=positive(event["L"]),
                quantity=positive(event["l"]),
                fee_asset=None if event["N"] is None else str(event["N"]),
                fee=amount(event["n"]),
                is_maker=_yes_or_no(event.get("m")),
            ),
        )
    return OrderStatusReport(
        order_id=_id(event["i"]),
        client_order_id=str(event["C"] or event["c"]) or None,
        symbol=symbol,
        side=SIDES[event["S"]],
        status=status,
        quantity=amount(event["q"]),
        filled=amount(event["z"]),
        quote_filled=amount(event["Z"]),
        milliseconds=moment(event["T"]),
        fills=fill,
        venue_status=str(event["X"])[:50] if status == "unknown" else None,
        price=amount(event.get("p") or "0"),
        prevented=amount(event.get("A") or "0"),
        created=moment(event["O"]) if event.get("O") else 0,
        version=moment(event["T"]),
        type=_type(event.get("o")),
    )


def balances(rows: Sequence[Mapping[str, Any]]) -> list[Balance]:
    """The `balances` of `GET /api/v3/account`."""
    return [Balance(str(r["asset"]), amount(r["free"]), amount(r["locked"])) for r in rows]


def account_position(event: Mapping[str, Any]) -> tuple[int, list[Balance]]:
    """An `outboundAccountPosition` of the user data stream: assets that may have changed.

    With the time of the account's last update, in milliseconds.
    """
    at = moment(event["u"])
    return at, [Balance(str(r["a"]), amount(r["f"]), amount(r["l"])) for r in event["B"]]


def _type(word: object) -> str | None:
    """An order's type in our words, or in Binance's."""
    if word is None:
        return None
    return "limit" if word == "LIMIT_MAKER" else str(word).lower()[:50]


def _yes_or_no(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _id(value: object) -> str:
    """The id of an order or a trade, which is a number.

    Raises:
        ValueError: it isn't an id.
    """
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} isn't an id; expected a number")
    return str(value)


def fees(row: Mapping[str, Any]) -> tuple[Fees, str | None]:
    """`GET /api/v3/account/commission`, without its discount; the asset that has one, if any."""
    parts = [row["standardCommission"]]
    parts += [row[name] for name in ("specialCommission", "taxCommission") if name in row]
    by_side = sum((max(amount(p["buyer"]), amount(p["seller"])) for p in parts), ZERO)
    maker, taker = (sum((amount(p[name]) for p in parts), by_side) for name in ("maker", "taker"))
    discount = row["discount"]
    on = discount["enabledForAccount"] is True and discount["enabledForSymbol"] is True
    return Fees(maker, taker), str(discount["discountAsset"]) if on else None
