"""Strategies that only tests would run."""

from datetime import datetime
from decimal import Decimal

from pydantic import Field

from common_models import IndicatorValue, Ticker, Trade
from services.bot.parameters import ParameterError
from services.bot.strategy import Action, Cancel, Intent, Market, OrderUpdate, Refused, Strategy


class Restless(Strategy):
    """Trades whenever it may: buys, sells what it bought, and so on.

    Of four orders one is a limit order that is filled, and one would rest: it is cancelled.
    """

    def on_trade(self, trade: Trade) -> Action | None:
        """Whatever the trade was."""
        if self.market.pending:
            return Cancel("it rests") if self.state["rests"] else None
        number = self.state["orders"] = self.state.get("orders", 0) + 1
        self.state["rests"] = number % 4 == 3
        held = self.market.position
        price = None
        if number % 4 in (1, 3):
            book = self.market.order_book()
            bid, ask = book.bids[0].price * 0.99, book.asks[0].price * 1.01
            price = Decimal(str(round(bid if (held > 0) is not self.state["rests"] else ask)))
        if held > 0:
            return Intent("sell", "holds something", held, price)
        return Intent("buy", "holds nothing", None, price)


class Several(Strategy):
    """Sends up to three orders at once, and cancels what is open at the next trade.

    One of them trades, the others would rest.
    """

    max_orders = 3

    def on_trade(self, trade: Trade) -> list[Action]:
        """Whatever the trade was."""
        if self.market.orders:
            return [Cancel("it rests", order.id) for order in self.market.orders]
        book, held = self.market.order_book(), self.market.position
        far, near = Decimal(round(book.bids[0].price * 0.99)), round(book.asks[0].price * 1.01)
        rest: list[Action] = [Intent("buy", "rests", None, far - level) for level in (0, 1)]
        if held > 0:
            return [Intent("sell", "holds something", held), *rest]
        return [Intent("buy", "holds nothing", None, Decimal(near)), *rest]


class Flip(Strategy):
    """Sells all that it holds, and buys where it holds nothing, at each ticker."""

    def on_ticker(self, ticker: Ticker) -> Intent | None:
        """One, or the other, unless an order is on its way."""
        if self.market.pending:
            return None
        held = self.market.position
        return Intent("sell", "holds something", held) if held else Intent("buy", "holds nothing")


class Holder(Strategy):
    """Buys where it holds nothing, and keeps it."""

    def on_ticker(self, ticker: Ticker) -> Intent | None:
        """At the first."""
        if self.market.pending or self.market.position:
            return None
        return Intent("buy", "holds nothing")


class Insistent(Strategy):
    """Wants to buy at every ticker, whatever is on its way."""

    def on_ticker(self, ticker: Ticker) -> Intent:
        """Every one."""
        return Intent("buy", f"the price is {ticker.last_price}")


class Fickle(Strategy):
    """Wants to buy below the price, and doesn't want it any more at the next ticker."""

    def on_ticker(self, ticker: Ticker) -> Action:
        """One, or the other."""
        if self.market.pending:
            return Cancel("no longer")
        return Intent("buy", "below the price", price=Decimal(99))


class Asking(Strategy):
    """Wants to buy at every ticker, and names an indicator."""

    indicators = ("rsi_14",)

    def on_ticker(self, ticker: Ticker) -> Intent:
        """Every one."""
        return Intent("buy", f"the price is {ticker.last_price}")

    def on_indicator(self, value: IndicatorValue) -> None:
        """Only to know it."""


class Distant(Strategy):
    """Wants to buy at twice the price."""

    def on_ticker(self, ticker: Ticker) -> Intent:
        """Every one."""
        return Intent("buy", "at any price", price=Decimal(str(2 * ticker.last_price)))


class Crashing(Strategy):
    """Fails at the second ticker."""

    def on_ticker(self, ticker: Ticker) -> None:
        """Count, and fail."""
        self.state["tickers"] = self.state.get("tickers", 0) + 1
        if self.state["tickers"] == 2:
            raise ZeroDivisionError("a strategy's own fault")


class Forgetful(Strategy):
    """Keeps what JSON can't hold."""

    def on_ticker(self, ticker: Ticker) -> None:
        """Keep itself."""
        self.state["self"] = self


class Mumbling(Strategy):
    """Returns what is no intent."""

    def on_ticker(self, ticker: Ticker) -> Intent:
        """A word."""
        return "buy"  # type: ignore[return-value]


class Answering(Strategy):
    """Wants something else where nothing came of what it wanted."""

    def on_ticker(self, ticker: Ticker) -> Intent:
        """More than any limit allows."""
        return Intent("buy", "much", Decimal(1000))

    def on_refused(self, refused: Refused) -> None:
        """A word."""
        return Intent("buy", "then so much", Decimal(1))  # type: ignore[return-value]


class Unborn(Strategy):
    """Can't be made."""

    def __init__(self, *_: object) -> None:
        raise LookupError("no such model")


class Watching(Strategy):
    """Counts what it is told, and remembers what became of its orders; buys once."""

    indicators = ("rsi_14",)

    def on_ticker(self, ticker: Ticker) -> Intent | None:
        """Buy at the first."""
        self._count("tickers")
        return Intent("buy", "once") if self.state["tickers"] == 1 else None

    def on_trade(self, trade: Trade) -> None:
        """Count it."""
        self._count("trades")

    def on_indicator(self, value: IndicatorValue) -> None:
        """Count it."""
        self._count("values")

    def on_order(self, order: OrderUpdate) -> None:
        """Note it."""
        self.state.setdefault("orders", []).append([order.status, str(order.filled_quantity)])

    def _count(self, what: str) -> None:
        self.state[what] = self.state.get(what, 0) + 1


class Quick(Strategy):
    """Buys what its parameter says, once; then it counts tickers."""

    lots: int = Field(1, ge=1, le=9, description="it buys so many times 0.001")
    most: int = Field(9, ge=1, le=9, description="more lots than that are refused")

    def __init__(self, market: Market, **given: object) -> None:
        super().__init__(market, **given)
        if self.lots > self.most:
            raise ParameterError(f"lots={self.lots}: expected at most most={self.most}")

    def on_ticker(self, ticker: Ticker) -> Intent | None:
        """Buy at the first."""
        self.state["tickers"] = self.state.get("tickers", 0) + 1
        if self.market.pending or self.market.position:
            return None
        return Intent("buy", f"{self.lots} lots", self.lots * Decimal("0.001"))


class Peeking(Strategy):
    """Wants to buy at every ticker of its own market, and has named another, whatever it is."""

    markets = ("luno:XBT/ZAR",)

    def on_ticker(self, ticker: Ticker) -> Intent | None:
        """Those of its own."""
        if ticker.exchange != self.market.exchange:
            return None
        return Intent("buy", f"the price is {ticker.last_price}")


class Ticking(Strategy):
    """Counts how often it was told the time; buys at the second, and fails at the one it names."""

    timer_seconds: float = Field(1.0, ge=1, le=60)
    fails_at: int = Field(0, ge=0, description="0: never")

    def on_timer(self, now: datetime) -> Intent | None:
        """Count, and buy once."""
        number = self.state["times"] = self.state.get("times", 0) + 1
        self.state["last"] = now.isoformat()
        if number == self.fails_at:
            raise ZeroDivisionError("a timer's own fault")
        return Intent("buy", f"it is {now:%H:%M:%S}") if number == 2 else None


class Ladder(Strategy):
    """Lets buys rest at each of its levels, and perhaps a sell; takes one or all of them back.

    The ticker's last price says what: 90 cancels the first order, 80 all, anything else fills up.
    """

    max_orders: int = Field(3, ge=1, le=20)
    levels: int = Field(3, ge=1, le=20)
    top: int = Field(100, ge=100, description="the price of the first level; the next is 1 below")
    once: bool = Field(False, description="what is filled isn't laid again")
    ask: int = Field(0, ge=0, description="the price of a sell beside the buys; 0: none")

    def on_ticker(self, ticker: Ticker) -> list[Action] | None:
        """Act as the price says."""
        if ticker.exchange != self.market.exchange:
            return None
        if ticker.last_price == 80:
            return [Cancel("all of them")]
        if ticker.last_price == 90:
            return [Cancel("the first", order.id) for order in self.market.orders[:1]]
        taken = {order.price for order in self.market.orders}
        if self.once and self.state.get("laid"):
            return None
        self.state["laid"] = True
        prices = [Decimal(self.top - level) for level in range(self.levels)]
        buys: list[Action] = [
            Intent("buy", f"at {price}", None, price) for price in prices if price not in taken
        ]
        if self.ask and self.ask not in taken:
            buys.append(Intent("sell", f"at {self.ask}", None, Decimal(self.ask)))
        return buys

    def on_order(self, order: OrderUpdate) -> None:
        """Note what became of which."""
        self.state.setdefault("told", []).append([order.id, order.status])

    def on_refused(self, refused: Refused) -> None:
        """Note it, with its price."""
        self.state.setdefault("refused", []).append([refused.reason_code, str(refused.price)])
