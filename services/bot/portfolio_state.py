"""The bot's orders and positions, in the form in which they are saved."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from common_models import OpenOrder
from common_models.fields import CLOSED_ORDER_STATUSES, OrderType, Side
from services._runtime.average_price import average_price
from services._runtime.position import NOTHING, Position, day_of
from services.bot.rejections import Rejections

# An order that is `lost` is closed only here: no connector knows it, and it can't appear later. If
# an event of it arrives all the same, the event counts, as for an order that was rejected.
LOST = "lost"
# Decided, and refused before it was sent: it is saved until its strategy was notified.
REFUSED = "refused"
ENDED = CLOSED_ORDER_STATUSES | {LOST, REFUSED}
PROVISIONAL_END = frozenset({"rejected", LOST})


class BotOrder(msgspec.Struct):
    """One order from its decision on; `id` is the decision's id and the client order id.

    `state`: `deciding` (not in Redis yet), `sent`, `unknown`, `lost`, `refused`, or as in
    `order_status`.
    `command_id` is its command's stream entry; None if the reply to the XADD was lost, or an
    earlier release wrote it. `unresolved` says why its outcome can't be found out.
    """

    id: str
    strategy: str
    exchange: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    reason: str
    caused_by: list[str]
    sent_at: float  # Redis's clock, in seconds; 0: not yet
    state: str = "deciding"
    order_id: str | None = None
    filled: Decimal = NOTHING
    spent: Decimal = NOTHING  # quote asset, for the filled quantity: always positive
    fees_paid: dict[str, Decimal] = msgspec.field(default_factory=dict)  # by asset
    fees_counted_to: Decimal = (
        NOTHING  # the part of `spent` whose fees in a third asset are counted
    )
    cancel_asked_at: float = 0.0  # Redis's clock, in seconds; 0: never
    command_id: str | None = None
    unresolved: str | None = None
    # The fills whose price was reported: their ids, quantity and money.
    fill_ids: list[str] = msgspec.field(default_factory=list)
    fill_quantity: Decimal = NOTHING
    fill_spent: Decimal = NOTHING

    @property
    def ended(self) -> bool:
        """True if the order can't trade any more."""
        return self.state in ENDED

    @property
    def open_quantity(self) -> Decimal:
        """The quantity that may still trade, in the base asset; negative for a sell."""
        left = NOTHING if self.ended else max(self.quantity - self.filled, NOTHING)
        return left if self.side == "buy" else -left


class Fee(NamedTuple):
    """A fee, and the price of its asset in the quote asset, None if unknown.

    For the base asset that is the price of the fills. `at_full_rate` is the fee at the exchange's
    full rate, in the quote asset.
    """

    asset: str
    amount: Decimal
    rate: Decimal | None
    at_full_rate: Decimal


class Unvalued(msgspec.Struct, frozen=True):
    """Fees in an asset without a known price, and the quote amount counted for them meanwhile."""

    amount: Decimal = NOTHING
    counted: Decimal = NOTHING


class Holding(Position, kw_only=True):
    """The position of one strategy on one market: how much it changed the account.

    `average` is the entry price without fees; None if nothing is held, or an earlier release did
    not save it. `fees` are all fees that were paid, in the quote asset.
    """

    exchange: str
    symbol: str
    fees_unvalued: dict[str, Unvalued] = msgspec.field(default_factory=dict)
    average: Decimal | None = None
    fees: Decimal = NOTHING
    fees_day: str = ""  # the day of `fees_of_day`
    fees_of_day: Decimal = NOTHING

    @property
    def base(self) -> str:
        """The base asset."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The quote asset."""
        return self.symbol.partition("/")[2]

    @property
    def unrealised(self) -> Decimal | None:
        """The profit of closing the position at `price`; None if a price is unknown."""
        if not self.quantity:
            return NOTHING
        if self.average is None or self.price is None:
            return None
        return self.quantity * (self.price - self.average)

    @property
    def realised(self) -> Decimal | None:
        """The profit of closed positions, less all fees; None if `average` is unknown."""
        if not self.quantity:
            return self.cash
        return None if self.average is None else self.cash + self.quantity * self.average

    @property
    def fees_today(self) -> Decimal:
        """The fees since midnight UTC, in the quote asset."""
        return self.fees_of_day if self.fees_day == self.day else NOTHING

    def fill(self, quantity: Decimal, spent: Decimal, at: float) -> None:
        """Apply a fill: *quantity* was bought for *spent*; both are negative for a sell."""
        if quantity:
            self.average = average_price(self.quantity, self.average, quantity, spent / quantity)
        self.trade(quantity, -spent, at)

    def pay(self, fee: Fee, at: float) -> None:
        """Apply a fee.

        A fee in a third asset counts at its price; until that is known, at the full rate.
        """
        worth = fee.at_full_rate if fee.rate is None else fee.amount * fee.rate
        self._count_fee(worth, day_of(at))
        if fee.asset == self.base:
            price = fee.rate or self.price or NOTHING
            self.average = average_price(self.quantity, self.average, -fee.amount, price)
            self.trade(-fee.amount, NOTHING, at)
        else:
            self.trade(NOTHING, -worth, at)
        if fee.rate is None:
            known = self.fees_unvalued.get(fee.asset, Unvalued())
            self.fees_unvalued[fee.asset] = Unvalued(
                known.amount + fee.amount, known.counted + fee.at_full_rate
            )

    def value(self, asset: str, rate: Decimal) -> None:
        """Count the fees in a third asset at *rate*, its price in the quote asset."""
        fee = self.fees_unvalued.pop(asset)
        more = fee.amount * rate - fee.counted
        self.cash -= more
        self._count_fee(more, self.day)

    def _count_fee(self, worth: Decimal, day: str) -> None:
        self.fees += worth
        if day > self.fees_day:
            self.fees_day, self.fees_of_day = day, NOTHING
        if day == self.fees_day:
            self.fees_of_day += worth


class PortfolioState(msgspec.Struct):
    """The whole state, as it is saved."""

    orders: dict[str, BotOrder] = msgspec.field(default_factory=dict)
    # When orders of the last minute were sent, in seconds; rejected ones are removed.
    sent: list[float] = msgspec.field(default_factory=list)
    holdings: dict[str, Holding] = msgspec.field(default_factory=dict)
    rejections: dict[str, Rejections] = msgspec.field(default_factory=dict)


def open_orders(orders: Iterable[BotOrder]) -> list[OpenOrder]:
    """Orders as they are published."""
    return [
        OpenOrder(
            client_order_id=order.id,
            order_id=order.order_id,
            strategy=order.strategy,
            exchange=order.exchange,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            quantity=float(order.quantity),
            price=None if order.price is None else float(order.price),
            filled_quantity=float(order.filled),
            state=order.state,
        )
        for order in orders
    ]
