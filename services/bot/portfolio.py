"""The bot's orders, positions and profit. Pure, and saved as a whole.

Filled quantities are cumulative and never fall, so only the increase is applied: an event that
arrives twice changes nothing.
"""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal

import structlog

from common_models import OrderResponseEvent, OrderStatusUpdateEvent
from common_models.stream_names import BOT_ORDERS
from services._runtime.fees import full_fee
from services._runtime.position import DAY, NOTHING, day_of, lost_today
from services.bot.portfolio_state import (
    ENDED,
    PROVISIONAL_END,
    BotOrder,
    Fee,
    Holding,
    PortfolioState,
)
from services.bot.rejections import about, after

log = structlog.get_logger()

# Between this many and twice as many closed orders are kept: a late event may concern one.
KEEP_ENDED = 100
MINUTE = 60.0

# The price of a fill becomes the market price if that is unknown or older by this many seconds.
FILL_IS_PRICE_AFTER = 60.0
# From an exchange, an asset and a quote asset: the price of the asset, None if unknown.
Rate = Callable[[str, str, str], Decimal | None]
# From an exchange and a symbol: the largest possible fee, as a share of a fill.
FullRate = Callable[[str, str], Decimal]

# The exchange has not confirmed the order, or not for certain.
WAITING = frozenset({"deciding", "sent", "unknown", *PROVISIONAL_END})

OrderEvent = OrderResponseEvent | OrderStatusUpdateEvent


class Portfolio:
    """Applies events to the portfolio state; `on_step` is called after each event of an order.

    `on_end` follows if the order ended with it; `on_uncertain` is called with an open order whose
    id is in the answer to another command.
    """

    def __init__(self, *rates: Rate, full_rate: FullRate = lambda name, _: full_fee(name)) -> None:
        """*rates* give the price of an asset in another; the first that knows it is used."""
        self.state = PortfolioState()
        self._rates = rates
        self._full_rate = full_rate
        self.today = ""
        self._day_ends = 0.0  # in seconds
        self._warned: set[tuple[str, str]] = set()
        self.on_step: Callable[[BotOrder, OrderEvent], None] = _nothing
        self.on_end: Callable[[BotOrder, OrderEvent], None] = _nothing
        self.on_uncertain: Callable[[BotOrder], None] = _ignore_order
        self.unknown_orders = 0  # events of orders with our id prefix that are not in the state

    def restore(self, state: PortfolioState) -> None:
        """Continue from a saved state."""
        self.state = state
        self.today = max((holding.day for holding in state.holdings.values()), default="")

    def holding(self, strategy: str, exchange: str, symbol: str) -> Holding:
        """The holding of a strategy; a new one if it never traded."""
        found = self.state.holdings.get(strategy)
        if found is None:
            found = Holding(exchange=exchange, symbol=symbol, day=self.today)
            self.state.holdings[strategy] = found
        return found

    def pending(self, strategy: str) -> list[BotOrder]:
        """The orders of this strategy that may still trade, oldest first."""
        return [order for order in self.open if order.strategy == strategy]

    @property
    def open(self) -> list[BotOrder]:
        """All orders that may still trade."""
        return [order for order in self.state.orders.values() if not order.ended]

    def add(self, order: BotOrder) -> None:
        """Add an order, and delete the oldest closed ones."""
        orders = self.state.orders
        orders[order.id] = order
        if len(orders) > 2 * KEEP_ENDED:
            ended = [each.id for each in orders.values() if each.ended]
            for old in ended[:-KEEP_ENDED]:
                del orders[old]

    def drop(self, order: BotOrder) -> None:
        """Remove an order that was not sent."""
        self.state.orders.pop(order.id, None)

    def wants_price(self, exchange: str, symbol: str, at: float) -> bool:
        """Whether a market's price at a moment (Redis's time, in seconds) can change the state."""
        return at >= self._day_ends or any(
            holding.symbol == symbol and holding.exchange == exchange
            for holding in self.state.holdings.values()
        )

    def see(self, exchange: str, symbol: str, price: Decimal, at: float) -> None:
        """Apply a market price; *at* is its time in seconds, by the exchange and by Redis.

        A day starts with the first price of it, whatever the local time is.
        """
        day = day_of(at) if at >= self._day_ends else self.today
        if day > self.today:
            self.today, self._day_ends = day, (at // DAY + 1) * DAY
            for holding in self.state.holdings.values():
                holding.roll(day)
        for holding in self.state.holdings.values():
            if holding.symbol == symbol and holding.exchange == exchange:
                holding.see(price, at)

    def handle_response(
        self, exchange: str, event: OrderResponseEvent, at: float = math.inf
    ) -> None:
        """Apply the answer to a command of the bot, stored *at* (Redis's time); ignore others'."""
        order = self.state.orders.get(event.client_order_id)
        if order is None or order.exchange != exchange:
            self._note_unknown_order(event.client_order_id, replay=event.replay)
            return
        if not _answers(order, event):
            log.warning(
                "answer_to_another_command",
                id=order.id,
                command_id=event.command_id,
                status=event.status,
                reason_code=event.reason_code,
            )
            if not order.ended:
                self.on_uncertain(order)
            return
        ended, waiting = order.ended, order.state in WAITING
        order.order_id = event.order_id or order.order_id
        if event.status == "rejected" and not order.filled:
            order.state = "rejected"
        elif event.status == "unknown" and order.state == "sent":
            order.state = "unknown"
        elif event.status == "accepted" and waiting:
            order.state = "open"
        self._notify(order, event, at, ended=ended, waiting=waiting)

    def handle_status(
        self, exchange: str, event: OrderStatusUpdateEvent, at: float = math.inf
    ) -> None:
        """Apply an order status of the bot, stored *at* (Redis's time); ignore others'."""
        order = self.state.orders.get(event.client_order_id or "")
        if order is None or order.exchange != exchange:
            self._note_unknown_order(event.client_order_id or "", replay=False)
            return
        if event.symbol != order.symbol or order.order_id not in (None, event.order_id):
            log.warning(
                "status_of_another_order",
                id=order.id,
                symbol=event.symbol,
                order_id=event.order_id,
                status=event.status,
            )
            self._note_unknown_order(order.id, replay=False)
            return
        ended, waiting = order.ended, order.state in WAITING
        order.order_id = event.order_id
        over = ended and order.state not in PROVISIONAL_END  # those may reappear
        if event.status != "unknown" and not (over and event.status not in ENDED):
            order.state = event.status
        self._book(order, event, min(at, event.timestamp.timestamp()))
        self._notify(order, event, at, ended=ended, waiting=waiting)

    def _notify(
        self, order: BotOrder, event: OrderEvent, at: float, *, ended: bool, waiting: bool
    ) -> None:
        """Call the callbacks for an applied event; *ended* and *waiting* are of before it.

        Only an order that was just accepted ends the delay after rejections: a later event of an
        old order says nothing about one that was rejected meanwhile.
        """
        name = about(order.strategy, order.side)
        if waiting and order.state in ("open", "partially_filled", "filled"):
            self.state.rejections.pop(name, None)
        elif order.state == "rejected" and not ended:
            self._count_rejection(order, event, at)
        self.on_step(order, event)
        if order.ended and not ended:
            self.on_end(order, event)

    def _count_rejection(self, order: BotOrder, event: OrderEvent, at: float) -> None:
        """Take a rejected order out of the order rate, and delay the next one of its side."""
        if order.sent_at in self.state.sent:
            self.state.sent.remove(order.sent_at)
        code, message = why_ended(event)
        name = about(order.strategy, order.side)
        self.state.rejections[name] = after(self.state.rejections.get(name), at, code, message)

    def _book(self, order: BotOrder, event: OrderStatusUpdateEvent, at: float) -> None:
        filled = _decimal(event.filled_quantity)
        holding = self.holding(order.strategy, order.exchange, order.symbol)
        grown = filled > order.filled
        priced = _count_fills(order, event, grown=grown) or bool(event.average_price)
        if grown or (priced and filled and filled == order.filled):
            spent = _spent(order, event, filled, holding.price)
            more, cost = filled - order.filled, spent - order.spent
            sign = 1 if order.side == "buy" else -1
            holding.see(spent / filled, at, newer_by=FILL_IS_PRICE_AFTER)
            holding.fill(sign * more, sign * cost, at)
            order.filled, order.spent = filled, spent
        for asset, amount in _fees(event).items():
            paid = order.fees_paid.get(asset, NOTHING)
            if amount > paid:
                holding.pay(self._fee(order, holding, asset, amount - paid), at)
                order.fees_paid[asset] = amount

    def _fee(self, order: BotOrder, holding: Holding, asset: str, amount: Decimal) -> Fee:
        """A fee of an order that has not been counted yet."""
        if asset == holding.base:
            return Fee(asset, amount, _paid_price(order) or holding.price or NOTHING, NOTHING)
        if asset == holding.quote:
            return Fee(asset, amount, Decimal(1), NOTHING)
        money = max(order.spent - order.fees_counted_to, NOTHING)
        order.fees_counted_to = max(order.spent, order.fees_counted_to)
        rate = self._rate(order.exchange, asset, holding.quote)
        return Fee(asset, amount, rate, money * self._full_rate(order.exchange, order.symbol))

    def _rate(self, exchange: str, asset: str, quote: str) -> Decimal | None:
        found = (rate(exchange, asset, quote) for rate in self._rates)
        return next((rate for rate in found if rate is not None), None)

    def value_fees(self) -> None:
        """Value the fees in third assets whose price has become known."""
        for holding in self.state.holdings.values():
            for asset in list(holding.fees_unvalued):
                rate = self._rate(holding.exchange, asset, holding.quote)
                if rate is not None:
                    holding.value(asset, rate)
                elif (holding.exchange, asset) not in self._warned:
                    self._warned.add((holding.exchange, asset))
                    log.warning(
                        "fees_unvalued",
                        exchange=holding.exchange,
                        asset=asset,
                        counted="at the full rate",
                        want=f"{holding.exchange.upper()}_SYMBOLS has {asset}/{holding.quote}",
                    )

    def _note_unknown_order(self, client_order_id: str, *, replay: bool) -> None:
        if client_order_id.startswith(BOT_ORDERS) and not replay:
            self.unknown_orders += 1

    def lost_today(self, quote: str) -> Decimal:
        """The loss of all strategies in an asset since midnight UTC; a gain is negative."""
        return lost_today(h for h in self.state.holdings.values() if h.quote == quote)

    def held(self, strategy: str) -> Holding | None:
        """The holding of a strategy; None if it never traded."""
        return self.state.holdings.get(strategy)

    def unsold(self, strategy: str) -> Decimal | None:
        """The position of a strategy less its open sells; None if it never traded."""
        holding = self.held(strategy)
        if holding is None:
            return None
        sells = (each.open_quantity for each in self.pending(strategy) if each.side == "sell")
        return holding.quantity + sum(sells, NOTHING)

    def net(self, exchange: str, symbol: str) -> Decimal:
        """The position of all strategies on a market, in the base asset."""
        holdings = self.state.holdings.values()
        found = (h.quantity for h in holdings if h.symbol == symbol and h.exchange == exchange)
        return sum(found, NOTHING)


def lately(sent: Iterable[float], now: float) -> list[float]:
    """The times of the last minute; times far ahead are from before the clock was set back."""
    return [at for at in sent if now - MINUTE < at <= now + MINUTE]


def why_ended(event: OrderEvent) -> tuple[str, str]:
    """Why an order ended: a reason code and a message."""
    if isinstance(event, OrderResponseEvent):
        return event.reason_code or event.status, event.error_message or "no reason given"
    return event.status, event.venue_status or f"the order is {event.status}"


def _nothing(_: BotOrder, __: OrderEvent) -> None:
    """No callback is set."""


def _ignore_order(_: BotOrder) -> None:
    """No callback is set."""


def _decimal(number: float) -> Decimal:
    return Decimal(str(number))


def _answers(order: BotOrder, event: OrderResponseEvent) -> bool:
    """True for the answer to our own command, false for that to another with the same id.

    Without the command's entry id the content decides; a rejected duplicate id, or a replayed
    answer, is not enough then.
    """
    if order.command_id is not None and event.command_id is not None:
        return order.command_id == event.command_id
    if event.replay or event.reason_code == "duplicate_id":
        return False
    asked = (order.symbol, order.side, order.type, float(order.quantity))
    price = None if order.price is None else float(order.price)
    echo = (event.symbol, event.side, event.type, event.requested_quantity)
    return asked == echo and event.requested_price in (None, price)


def _count_fills(order: BotOrder, event: OrderStatusUpdateEvent, *, grown: bool) -> bool:
    """Add the new fills to the order; fills without an id only if its quantity has grown.

    Returns true if any were added.
    """
    before = order.fill_quantity
    for trade in event.trades or ():
        if trade.trade_id in order.fill_ids or (trade.trade_id is None and not grown):
            continue
        if trade.trade_id is not None:
            order.fill_ids.append(trade.trade_id)
        quantity = _decimal(trade.quantity)
        order.fill_quantity += quantity
        order.fill_spent += quantity * _decimal(trade.price)
    return order.fill_quantity != before


def _spent(
    order: BotOrder, event: OrderStatusUpdateEvent, filled: Decimal, price: Decimal | None
) -> Decimal:
    """The money for the whole filled quantity; unreported fills count at the average price.

    *price* is the market's, for an order without any reported fill.
    """
    if event.average_price:
        return filled * _decimal(event.average_price)
    if order.fill_quantity == filled:
        return order.fill_spent
    if order.fill_quantity:
        return order.fill_spent / order.fill_quantity * filled
    return filled * (order.price or price or NOTHING)


def _paid_price(order: BotOrder) -> Decimal | None:
    """The average price of an order's fills; None if it has no fills."""
    return order.spent / order.filled if order.filled else None


def _fees(event: OrderStatusUpdateEvent) -> dict[str, Decimal]:
    """The fees that the order has paid so far, by asset."""
    return {
        asset: _decimal(amount)
        for asset, amount in (event.fee or {}).items()
        if isinstance(amount, int | float) and math.isfinite(amount)
    }
