"""Compares a venue's report of an order with the last published state. Pure.

The venue's events may arrive late, twice, out of order or not at all; REST reports the same again.
The published events are legal in every case: the cumulative filled quantity never falls, no status
follows a terminal one, and each fill is published once. An order's terms may change at the venue:
quantity and price follow the newest version.
"""

from collections.abc import Mapping, Sequence
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
# Our own venue status: the exchange no longer has the order, and gives no reason.
LOST = "LOST"
# Our own venue status: the order ended without a fill, and the exchange has archived it.
ARCHIVED = "ARCHIVED"
# In milliseconds. A venue that was reset gives an order id again: the new generation's order is
# created later than every event of the former one. Times of one order may differ by this much.
GENERATIONS_APART_MS = 1000


class Fill(NamedTuple):
    """One fill of an order. `is_maker`: the order rested on the book; None if unknown."""

    trade_id: str
    milliseconds: int
    price: Decimal
    quantity: Decimal
    fee_asset: str | None = None
    fee: Decimal = ZERO
    is_maker: bool | None = None


class OrderStatusReport(NamedTuple):
    """The venue's report of an order at one moment; `filled` is cumulative.

    `fills` are those in this report, some or all. `fee` is the order's own fee by asset, if the
    venue reports one; None: the fee is the sum of the fills' fees. `quantity` is 0 if the venue
    doesn't report the requested quantity. `prevented` (cumulative) is the quantity that the venue
    removed to prevent a self-trade. `created` is the venue's time of the order, `version` the time
    of its last change: milliseconds, 0 if the venue gives none.
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
    price: Decimal = ZERO
    prevented: Decimal = ZERO
    created: int = 0
    version: int = 0
    type: str | None = None

    @property
    def order(self) -> OrderRef:
        """The order's symbol and id."""
        return OrderRef(self.symbol, self.order_id)

    @property
    def closed(self) -> bool:
        """True if the status is terminal."""
        return self.status in TERMINAL


def first_fills(filled: Decimal, found: Sequence[Fill]) -> tuple[Fill, ...]:
    """The earliest of the fills *found*, up to the quantity *filled* when the order was read.

    Later fills happened between the two replies; the next report has them.
    """
    first, total = [], ZERO
    for fill in sorted(found, key=lambda fill: int(fill.trade_id)):
        total += fill.quantity
        if total > filled:
            break
        first.append(fill)
    return tuple(first)


class PublishedOrder(msgspec.Struct, frozen=True):
    """The published state of one order. Kept in Redis, so that a restart publishes nothing twice.

    `traded` is the quantity of the published fills; None if an earlier release wrote the state: it
    published every fill it knew. Such a release published Luno's fills without an id; `trade_ids`
    is empty then. `lost`: its last status is `LOST`.
    """

    client_order_id: str | None
    symbol: str
    status: Status
    quantity: Decimal
    filled: Decimal
    quote_filled: Decimal
    fee: dict[str, Decimal]
    trade_ids: frozenset[str] = frozenset()
    side: Side | None = None
    price: Decimal = ZERO
    prevented: Decimal = ZERO
    created: int = 0
    version: int = 0
    traded: Decimal | None = None
    lost: bool = False
    type: str | None = None

    @property
    def closed(self) -> bool:
        """True once a terminal status was published."""
        return self.status in TERMINAL

    @property
    def remaining(self) -> Decimal:
        """The quantity that may still be filled."""
        return max(ZERO, self.quantity - self.prevented - self.filled)

    @property
    def missing(self) -> Decimal:
        """The filled quantity without a published fill."""
        return ZERO if self.traded is None else self.filled - self.traded


class OrderDiff(NamedTuple):
    """The state to store, and the event to publish, if any."""

    published: PublishedOrder
    event: OrderStatusUpdateEvent | None


Generation = Literal["same", "newer", "older"]


def generation(published: PublishedOrder | None, report: OrderStatusReport) -> Generation:
    """Whether *report* is of the *published* order, or of another one with the same id.

    A venue that was reset gives its ids again. The newer order is created later than every known
    event of the older one.
    """
    if published is None or not published.created or not report.created:
        return "same"
    if report.created > max(published.created, published.version) + GENERATIONS_APART_MS:
        return "newer"
    return "older" if report.created < published.created - GENERATIONS_APART_MS else "same"


def diff(
    published: PublishedOrder | None,
    report: OrderStatusReport,
    exchange: str,
    *,
    external: bool,
    again: bool = False,
    history: bool = False,
) -> OrderDiff | None:
    """The difference of *report* to the *published* state; None if nothing is new.

    With *again* there is an event, without fills, even if nothing is new. *history*: the order
    closed before the stored states begin; its fills are stored and not published again.
    """
    known_ids, fills = _new_fills(published, report)
    filled = max(report.filled, published.filled if published else ZERO)
    # A venue without versions may reply late with an older state: then `filled` is smaller.
    newest = published is None or (
        report.version >= published.version and report.filled >= published.filled
    )
    terms = _terms(published, report, newest=newest)
    now = PublishedOrder(
        client_order_id=(published and published.client_order_id) or report.client_order_id,
        symbol=report.symbol,
        side=report.side,
        status=_status(published, report, filled, terms[0], newest=newest),
        quantity=terms[0],
        price=terms[1],
        prevented=max(report.prevented, published.prevented if published else ZERO),
        filled=filled,
        quote_filled=max(report.quote_filled, published.quote_filled if published else ZERO),
        fee=_fee(dict(published.fee) if published else {}, report, fills),
        trade_ids=known_ids | {fill.trade_id for fill in fills},
        created=(published.created if published else 0) or report.created,
        version=max(report.version, published.version if published else 0),
        traded=filled if history else _traded(published, report, fills, filled),
        type=report.type or (published.type if published else None),
        lost=report.venue_status == LOST
        and (published is None or published.lost or not published.closed),
    )
    if published and not fills and not again and _shown(now) == _shown(published):
        return None if now == published else OrderDiff(now, None)
    shown = () if history else fills
    return OrderDiff(now, _event(now, report, shown, exchange, external=external))


def ended(
    order_id: str, published: PublishedOrder, word: str, milliseconds: int
) -> OrderStatusReport:
    """The last report of an order that the venue no longer shows; *word*: the reason."""
    return OrderStatusReport(
        order_id=order_id,
        client_order_id=published.client_order_id,
        symbol=published.symbol,
        side=published.side or "buy",  # used for fills only; this report has none
        status="expired",
        quantity=published.quantity,
        filled=published.filled,
        quote_filled=published.quote_filled,
        milliseconds=milliseconds,
        venue_status=word,
        version=published.version,
    )


def _new_fills(
    published: PublishedOrder | None, report: OrderStatusReport
) -> tuple[frozenset[str], tuple[Fill, ...]]:
    """The ids of the published fills, and the fills that are new."""
    known = published.trade_ids if published else frozenset()
    if published and not known and published.filled > published.missing:
        if sum((fill.quantity for fill in report.fills), ZERO) < report.filled:
            return known, ()  # unclear which were published, until all are shown
        known = _published_without_ids(published, report.fills)
    new = {fill.trade_id: fill for fill in report.fills if fill.trade_id not in known}
    return known, tuple(new.values())


def _published_without_ids(published: PublishedOrder, fills: tuple[Fill, ...]) -> frozenset[str]:
    """The ids of the *fills* that an earlier release published without an id: the first ones."""
    left, ids = published.filled - published.missing, []
    for fill in fills:
        if left <= 0:
            break
        left -= fill.quantity
        ids.append(fill.trade_id)
    return frozenset(ids)


def _traded(
    published: PublishedOrder | None,
    report: OrderStatusReport,
    fills: tuple[Fill, ...],
    filled: Decimal,
) -> Decimal:
    """The quantity of all published fills, including the new *fills*."""
    all_of_it = sum((fill.quantity for fill in report.fills), ZERO) == report.filled == filled
    if all_of_it:
        return filled
    before = ZERO if published is None else published.filled - published.missing
    return min(before + sum((fill.quantity for fill in fills), ZERO), filled)


def _terms(
    published: PublishedOrder | None, report: OrderStatusReport, *, newest: bool
) -> tuple[Decimal, Decimal]:
    """Quantity and price of the newest version; of the other version if that has none."""
    if published is None:
        return report.quantity, report.price
    first, second = (report, published) if newest else (published, report)
    return first.quantity or second.quantity, first.price or second.price


def _status(
    published: PublishedOrder | None,
    report: OrderStatusReport,
    filled: Decimal,
    quantity: Decimal,
    *,
    newest: bool,
) -> Status:
    if published and published.closed and not (published.lost and report.venue_status != LOST):
        return published.status
    if report.status in TERMINAL:
        return report.status
    if filled >= quantity > 0:
        return "filled"
    if (report if newest or published is None else published).status == "unknown":
        return "unknown"
    return "partially_filled" if filled else "open"


def _shown(published: PublishedOrder) -> tuple[object, ...]:
    """The fields of an event without its fills."""
    return published.filled, published.status, published.fee, published.remaining


def _fee(
    known: dict[str, Decimal], report: OrderStatusReport, fills: tuple[Fill, ...]
) -> dict[str, Decimal]:
    if report.fee is not None:
        for asset, amount in report.fee.items():
            known[asset] = max(known.get(asset, ZERO), amount)
        return known
    for fill in fills:
        if fill.fee_asset is not None and fill.fee:
            known[fill.fee_asset] = known.get(fill.fee_asset, ZERO) + fill.fee
    return known


def _event(
    now: PublishedOrder,
    report: OrderStatusReport,
    fills: tuple[Fill, ...],
    exchange: str,
    *,
    external: bool,
) -> OrderStatusUpdateEvent:
    return OrderStatusUpdateEvent(
        order_id=report.order_id,
        client_order_id=now.client_order_id,
        symbol=now.symbol,
        status=now.status,
        filled_quantity=float(now.filled),
        remaining_quantity=float(now.remaining),
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
                fee=None if fill.fee_asset is None else float(fill.fee),
                fee_asset=fill.fee_asset,
                is_maker=fill.is_maker,
            )
            for fill in fills
        ]
        or None,
        fee={asset: float(amount) for asset, amount in now.fee.items()} or None,
        timestamp=_moment(report.milliseconds),
        exchange=exchange,
        venue_status=report.venue_status,
        external=external,
        fills_complete=False if now.missing else None,
        side=now.side,
        type=now.type,
        price=float(now.price) if now.price and now.type != "market" else None,
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
