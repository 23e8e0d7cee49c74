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
from services._connector_kit.orders.keys import OrderRef

Status = Literal["open", "partially_filled", "filled", "canceled", "rejected", "expired", "unknown"]
TERMINAL = frozenset({"filled", "canceled", "rejected", "expired"})
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

    There are two kinds of venue. One gives every fill an id and a fee of its own: `fee` is None,
    and `fills` are those that came with this report, some or all. The other gives fills neither:
    `fee` is the order's by asset, and the cumulative amounts alone tell what is new.
    `quantity` is 0 where the venue doesn't say what was asked for.
    """

    order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    status: Status
    quantity: Decimal
    filled: Decimal
    quote_filled: Decimal
    milliseconds: int
    fills: tuple[Fill, ...] = ()
    fee: Mapping[str, Decimal] | None = None
    venue_status: str | None = None

    @property
    def order(self) -> OrderRef:
        """Which order it is of."""
        return OrderRef(self.symbol, self.order_id)

    @property
    def closed(self) -> bool:
        """True for a terminal status."""
        return self.status in TERMINAL


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
    fee = _fee(dict(told.fee) if told else {}, report, fills)
    same = told and (filled, status, fee) == (told.filled, told.status, told.fee)
    if same and not fills and not again:
        return None
    now = Told(
        client_order_id=(told and told.client_order_id) or report.client_order_id,
        symbol=report.symbol,
        status=status,
        quantity=report.quantity or (told.quantity if told else ZERO),
        filled=filled,
        quote_filled=max(report.quote_filled, told.quote_filled if told else ZERO),
        fee=fee,
        trade_ids=(told.trade_ids if told else frozenset())
        | {fill.trade_id for fill in fills if fill.trade_id is not None},
    )
    return News(now, _event(now, report, fills, exchange, external=external))


def _new_fills(told: Told | None, report: Report) -> tuple[Fill, ...]:
    """The fills that were not told yet."""
    if report.fee is None:
        known = told.trade_ids if told else frozenset()
        new = {fill.trade_id: fill for fill in report.fills if fill.trade_id not in known}
        return tuple(new.values())
    quantity = report.filled - (told.filled if told else ZERO)
    quote = report.quote_filled - (told.quote_filled if told else ZERO)
    if quantity <= 0 or quote <= 0:
        return ()
    return (Fill(None, report.milliseconds, quote / quantity, quantity),)


def _status(told: Told | None, report: Report, filled: Decimal) -> Status:
    if told and told.closed:
        return told.status
    if report.status in TERMINAL:
        return report.status
    if filled >= report.quantity > 0:
        return "filled"
    if report.status == "unknown":
        return "unknown"
    return "partially_filled" if filled else "open"


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
        average_price=float(now.quote_filled / now.filled) if now.quote_filled else None,
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
