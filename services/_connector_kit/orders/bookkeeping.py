"""What was told of each order, and what is new in what the venue says now. Pure.

The venue's events may come late, twice, out of order, or not at all; REST tells the same again.
Whatever comes in, what goes out is legal: the cumulative filled quantity never falls, a terminal
status is never followed by another, and each fill is told once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from common_models import OrderStatusUpdateEvent, Trade
from common_models.fields import Side

Status = Literal["open", "partially_filled", "filled", "canceled", "rejected", "expired", "unknown"]
TERMINAL = frozenset({"filled", "canceled", "rejected", "expired"})
_RANK = {"unknown": 0, "open": 1, "partially_filled": 2}
_LAST = 3
ZERO = Decimal(0)


class Fill(NamedTuple):
    """One fill of an order; where the venue gives it no id, `trade_id` is None."""

    trade_id: str | None
    milliseconds: int
    price: Decimal
    quantity: Decimal
    fee_asset: str | None = None
    fee: Decimal = ZERO


class Report(NamedTuple):
    """What the venue says of an order at some moment; `filled` is cumulative.

    `fee` is the cumulative fee by asset where the venue tells it so, and None where it is told
    fill by fill.
    """

    order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    status: Status
    quantity: Decimal
    filled: Decimal
    quote_filled: Decimal | None
    milliseconds: int
    fills: tuple[Fill, ...] = ()
    fee: Mapping[str, Decimal] | None = None
    venue_status: str | None = None


class Told(msgspec.Struct, frozen=True):
    """What was published of one order. Kept in Redis, so a restart tells nothing twice."""

    client_order_id: str | None
    symbol: str
    status: Status
    quantity: Decimal
    filled: Decimal
    quote_filled: Decimal
    fee: dict[str, Decimal]
    trade_ids: frozenset[str] = frozenset()

    @property
    def closed(self) -> bool:
        """True once a terminal status was told."""
        return self.status in TERMINAL


class News(NamedTuple):
    """What is to be kept, and the event that is to be published."""

    told: Told
    event: OrderStatusUpdateEvent


def news(
    told: Told | None, report: Report, exchange: str, *, external: bool, again: bool = False
) -> News | None:
    """What *report* says beyond what was *told*; None where it says nothing new.

    With *again* there is an event, without fills, where nothing is new.
    """
    fills = _new_fills(told, report)
    filled = max(report.filled, told.filled if told else ZERO)
    status = _status(told, report, filled)
    if told and not fills and filled == told.filled and status == told.status and not again:
        return None
    known_fee = dict(told.fee) if told else {}
    now = Told(
        client_order_id=(told and told.client_order_id) or report.client_order_id,
        symbol=report.symbol,
        status=status,
        quantity=report.quantity,
        filled=filled,
        quote_filled=_quote_filled(told, report, fills),
        fee=_fee(known_fee, report, fills),
        trade_ids=(told.trade_ids if told else frozenset())
        | {fill.trade_id for fill in fills if fill.trade_id is not None},
    )
    return News(now, _event(now, report, fills, exchange, external=external))


def _new_fills(told: Told | None, report: Report) -> tuple[Fill, ...]:
    """The fills that were not told yet.

    Without ids, the cumulative quantities tell what is new: all of it as one fill.
    """
    if report.fills and report.fills[0].trade_id is not None:
        known = told.trade_ids if told else frozenset()
        return tuple(fill for fill in report.fills if fill.trade_id not in known)
    quantity = report.filled - (told.filled if told else ZERO)
    if quantity <= 0 or report.quote_filled is None:
        return ()
    quote = report.quote_filled - (told.quote_filled if told else ZERO)
    return (Fill(None, report.milliseconds, quote / quantity, quantity),) if quote > 0 else ()


def _status(told: Told | None, report: Report, filled: Decimal) -> Status:
    if told and told.closed:
        return told.status
    status = report.status
    if status in ("open", "partially_filled"):
        status = "partially_filled" if filled else "open"
    if filled >= report.quantity > 0 and status not in TERMINAL:
        return "filled"
    if told and _RANK.get(status, _LAST) < _RANK.get(told.status, _LAST):
        return told.status
    return status


def _quote_filled(told: Told | None, report: Report, fills: tuple[Fill, ...]) -> Decimal:
    before = told.quote_filled if told else ZERO
    if report.quote_filled is not None:
        return max(before, report.quote_filled)
    return before + sum((fill.price * fill.quantity for fill in fills), ZERO)


def _fee(known: dict[str, Decimal], report: Report, fills: tuple[Fill, ...]) -> dict[str, Decimal]:
    if report.fee is not None:
        for asset, amount in report.fee.items():
            known[asset] = max(known.get(asset, ZERO), amount)
        return known
    for fill in fills:
        if fill.fee_asset is not None and fill.fee:
            known[fill.fee_asset] = known.get(fill.fee_asset, ZERO) + fill.fee
    return known


def _event(
    now: Told, report: Report, fills: tuple[Fill, ...], exchange: str, *, external: bool
) -> OrderStatusUpdateEvent:
    return OrderStatusUpdateEvent(
        order_id=report.order_id,
        client_order_id=now.client_order_id,
        symbol=now.symbol,
        status=now.status,
        filled_quantity=float(now.filled),
        remaining_quantity=float(max(ZERO, now.quantity - now.filled)),
        average_price=float(now.quote_filled / now.filled) if now.filled else None,
        trades=[
            Trade(
                symbol=now.symbol,
                timestamp=_moment(fill.milliseconds),
                price=float(fill.price),
                quantity=float(fill.quantity),
                side=report.side,
                trade_id=fill.trade_id,
                exchange=exchange,
            )
            for fill in fills
        ]
        or None,
        fee={asset: float(amount) for asset, amount in now.fee.items()} or None,
        timestamp=_moment(report.milliseconds),
        exchange=exchange,
        venue_status=report.venue_status,
        external=external,
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
