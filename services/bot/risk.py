"""The risk limits of the bot's orders; each refusal names its limit. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from common_models import OrderBook, OrderBookLevel
from common_models.fields import Side
from services.bot.lots import Lots
from services.bot.portfolio import Portfolio, lately
from services.bot.rejections import about
from services.bot.settings import BotSettings


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order isn't sent: a reason code for programs, a message for people."""

    reason_code: str
    message: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order to check. Without a `price` it is a market order."""

    strategy: str
    exchange: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None

    @property
    def base(self) -> str:
        """The base asset."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The quote asset."""
        return self.symbol.partition("/")[2]

    @property
    def signed(self) -> Decimal:
        """The change of the position: negative for a sell."""
        return self.quantity if self.side == "buy" else -self.quantity


class Risk:
    """Checks orders against the limits, the order book, and the portfolio."""

    def __init__(
        self, settings: BotSettings, portfolio: Portfolio, lots: Callable[[str, str], Lots]
    ) -> None:
        """*lots* gives the lots of an exchange and a slash symbol."""
        self._settings = settings
        self._portfolio = portfolio
        self._lots = lots

    def check(self, order: Proposal, book: OrderBook, now: float) -> Refusal | None:
        """Why *order* must not be sent; None if it may. *now* is Redis's time in seconds."""
        refusal = self._backing_off(order, now) or self._dust(order, book) or self._quantity(order)
        if refusal is not None:
            return refusal
        price = order.price
        if price is None:
            price = _worst_price(book.asks if order.side == "buy" else book.bids, order.quantity)
        if price is None:
            return Refusal(
                "no_liquidity", "the other side of the order book is too thin for this quantity"
            )
        return (
            self._notional(order, price)
            or self._collar(order, book, price)
            or self._open_orders(order)
            or self._pace(order, now)
            or self._position(order, price)
            or self._daily_loss(order)
            or self._own_orders(order, price)
        )

    def _backing_off(self, order: Proposal, now: float) -> Refusal | None:
        """Refuse an order too soon after a rejection of the same strategy and side."""
        last = self._portfolio.state.rejections.get(about(order.strategy, order.side))
        left = last.left(now) if last else 0.0
        if last is None or not left:
            return None
        return Refusal(
            "backing_off",
            f"the last {order.side} was rejected ({last.reason_code}: {last.message}); the next "
            f"may be sent in {left:.0f} s",
        )

    def _dust(self, order: Proposal, book: OrderBook) -> Refusal | None:
        """Refuse too small an order, or a buy whose position would be too small to sell."""
        lots = self._lots(order.exchange, order.symbol)
        bid = Decimal(str(book.bids[0].price)) if book.bids else None
        if not lots.tradable(order.quantity, order.price or bid):
            return Refusal(
                "dust",
                f"{order.quantity:f} {order.base} is too little; {order.exchange} requires {lots}",
            )
        holding = self._portfolio.held(order.strategy)
        held = holding.quantity if holding else Decimal(0)
        left = held + order.quantity * (1 - lots.fee)
        if order.side == "sell" or held < 0 or lots.tradable(left, bid):
            return None
        return Refusal(
            "dust",
            f"after its fee {left:f} {order.base} would be left, too little to be sold; "
            f"{order.exchange} requires {lots}",
        )

    def _quantity(self, order: Proposal) -> Refusal | None:
        most = self._settings.risk_max_quantity.get(order.base)
        if most is None:
            return _unnamed("max_quantity", "RISK_MAX_QUANTITY", order.base)
        if order.quantity <= most:
            return None
        return Refusal(
            "max_quantity",
            f"quantity is {order.quantity} {order.base}; RISK_MAX_QUANTITY allows {most}",
        )

    def _notional(self, order: Proposal, price: Decimal) -> Refusal | None:
        most = self._settings.risk_max_notional.get(order.quote)
        if most is None:
            return _unnamed("max_notional", "RISK_MAX_NOTIONAL", order.quote)
        notional = order.quantity * price
        if notional <= most:
            return None
        return Refusal(
            "max_notional",
            f"quantity x price is {notional:f} {order.quote}; RISK_MAX_NOTIONAL allows {most:f}",
        )

    def _collar(self, order: Proposal, book: OrderBook, price: Decimal) -> Refusal | None:
        """Check the price as the connector does: against the best opposite price."""
        collar = self._settings.risk_price_collar
        if order.side == "buy" and book.asks:
            bound = Decimal(str(book.asks[0].price)) * (1 + collar)
            within, word = price <= bound, "most"
        elif order.side == "sell" and book.bids:
            bound = Decimal(str(book.bids[0].price)) * (1 - collar)
            within, word = price >= bound, "least"
        elif order.side == "buy":  # the other side is empty: it may only rest behind its own side
            bound, word = Decimal(str(book.bids[0].price)) if book.bids else Decimal(0), "most"
            within = price <= bound
        else:
            bound, word = Decimal(str(book.asks[0].price)) if book.asks else Decimal("inf"), "least"
            within = price >= bound
        if within:
            return None
        return Refusal(
            "price_collar",
            f"a {order.side} at {price:f} is too far off the market; "
            f"RISK_PRICE_COLLAR allows at {word} {bound:f}",
        )

    def _open_orders(self, order: Proposal) -> Refusal | None:
        """Limit the open orders; an order that reduces a position is exempt."""
        most, now = self._settings.risk_max_open_orders, len(self._portfolio.open)
        if now < most or self._reduces(order):
            return None
        return Refusal("max_open_orders", f"{now} are open; RISK_MAX_OPEN_ORDERS allows {most}")

    def _pace(self, order: Proposal, now: float) -> Refusal | None:
        """Limit the order rate without rejected orders; one that reduces a position is exempt."""
        most = self._settings.risk_orders_per_minute
        count = len(lately(self._portfolio.state.sent, now))
        count += sum(each.state == "deciding" for each in self._portfolio.open)
        if count < most or self._reduces(order):
            return None
        return Refusal("orders_per_minute", f"RISK_ORDERS_PER_MINUTE allows {most}; wait a little")

    def _position(self, order: Proposal, price: Decimal) -> Refusal | None:
        """Limit the position that results if all open orders of this side fill."""
        most = self._settings.risk_max_position.get(order.quote)
        if most is None:
            return _unnamed("max_position", "RISK_MAX_POSITION", order.quote)
        after = self._held(order) + order.signed
        if abs(after) * price <= most or self._reduces(order):
            return None
        return Refusal(
            "max_position",
            f"the position would be {after} {order.base}, worth {abs(after) * price:f} "
            f"{order.quote}; RISK_MAX_POSITION allows {most:f}",
        )

    def _daily_loss(self, order: Proposal) -> Refusal | None:
        most = self._settings.risk_max_daily_loss.get(order.quote)
        if most is None:
            return _unnamed("max_daily_loss", "RISK_MAX_DAILY_LOSS", order.quote)
        lost = self._portfolio.lost_today(order.quote)
        if lost < most or self._reduces(order):
            return None
        return Refusal(
            "max_daily_loss",
            f"{lost:f} {order.quote} lost since midnight UTC; RISK_MAX_DAILY_LOSS allows "
            f"{most:f}; only orders that reduce a position are sent",
        )

    def _own_orders(self, order: Proposal, price: Decimal) -> Refusal | None:
        """Refuse an order that would trade with an order of the same strategy."""
        sign = 1 if order.side == "buy" else -1
        for each in self._portfolio.pending(order.strategy):
            if each.side != order.side and each.price and (price - each.price) * sign >= 0:
                return Refusal(
                    "own_order",
                    f"a {order.side} at {price:f} would trade with this strategy's own {each.side} "
                    f"{each.id} at {each.price:f}",
                )
        return None

    def _held(self, order: Proposal) -> Decimal:
        """The position if all open orders of the order's side fill.

        Open orders of the other side may never fill, so they do not count.
        """
        on_the_way = sum(
            (
                each.open_quantity
                for each in self._portfolio.open
                if (each.exchange, each.symbol, each.side)
                == (order.exchange, order.symbol, order.side)
            ),
            Decimal(0),
        )
        return self._portfolio.net(order.exchange, order.symbol) + on_the_way

    def _reduces(self, order: Proposal) -> bool:
        """True if the order brings the position closer to zero without crossing it."""
        held = self._held(order)
        return held * order.signed < 0 and order.quantity <= abs(held)


def _worst_price(levels: Sequence[OrderBookLevel], quantity: Decimal) -> Decimal | None:
    """The price of the last level that an order of that quantity reaches; None if too thin."""
    left = quantity
    for level in levels:
        left -= Decimal(str(level.quantity))
        if left <= 0:
            return Decimal(str(level.price))
    return None


def _unnamed(reason_code: str, variable: str, asset: str) -> Refusal:
    return Refusal(reason_code, f"{variable} has no limit for {asset}; name one")


def limits_against(settings: BotSettings, symbol: str, quantity: Decimal) -> list[str]:
    """Why the settings refuse every order of that quantity; empty if they don't."""
    base, _, quote = symbol.partition("/")
    found = [
        _unnamed("", name, asset).message
        for name, asset, limits in (
            ("RISK_MAX_QUANTITY", base, settings.risk_max_quantity),
            ("RISK_MAX_NOTIONAL", quote, settings.risk_max_notional),
            ("RISK_MAX_POSITION", quote, settings.risk_max_position),
            ("RISK_MAX_DAILY_LOSS", quote, settings.risk_max_daily_loss),
        )
        if asset not in limits
    ]
    most = settings.risk_max_quantity.get(base, quantity)
    if quantity > most:
        found.append(f"quantity is {quantity} {base}; RISK_MAX_QUANTITY allows {most}")
    return found
