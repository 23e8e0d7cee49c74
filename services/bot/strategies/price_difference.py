"""Buys an asset that costs more on another exchange, and sells it when it no longer does."""

from typing import NamedTuple

from pydantic import Field

from common_models import OrderBook
from services.bot.parameters import ParameterError
from services.bot.strategy import Intent, Market, Quotes, Refused, StaleDataError, Strategy


class Price(NamedTuple):
    """The best bid and ask of a market."""

    bid: float
    ask: float

    def over(self, other: "Price") -> "Price":
        """This price in units of the other."""
        return Price(self.bid / other.ask, self.ask / other.bid)


class PriceDifference(Strategy):
    """Compares its market with another of the same asset, through a rate of the two currencies.

    It buys once each time a sale there would bring `enter` more than a buy costs here, and sells
    what it bought once that is no more than `leave`. It trades on its own market alone: nothing is
    moved between exchanges, and nothing is sold on the other one.
    """

    other: str = Field("luno:XBT/ZAR", description="the market of the same asset elsewhere")
    rate: str = Field(
        "luno:USDT/ZAR", description="the market that says what one currency costs in the other"
    )
    rate_over: str = Field(
        "",
        description="if no market has both currencies: a market of the base asset of `rate` in the "
        "other currency; rate=luno:ETH/ZAR&rate_over=binance:ETH/USDT",
    )
    enter: float = Field(0.01, ge=-0.5, le=0.5, description="it buys from this share more on")
    leave: float = Field(0.0, ge=-0.5, le=0.5, description="it sells at this share, or less")

    markets = ("{other}", "{rate}", "{rate_over}")

    def __init__(self, market: Market, **given: object) -> None:
        super().__init__(market, **given)
        if self.enter <= self.leave:
            raise ParameterError(f"enter={self.enter:g}: expected more than leave={self.leave:g}")
        ours, theirs = market.symbol.partition("/")[2], _quote(self.other)
        base, quote = _base(self.rate), _quote(self.rate)
        if self.rate_over:
            if _base(self.rate_over) != base:
                raise ParameterError(
                    f"rate_over={self.rate_over!r}: expected a market of {base}, "
                    f"as rate={self.rate!r}"
                )
            base = _quote(self.rate_over)
        if {base, quote} != {ours, theirs}:
            raise ParameterError(
                f"rate={self.rate!r}: gives {base} in {quote}; expected {ours} in {theirs}, or "
                f"{theirs} in {ours}"
            )
        self._divides = base == ours

    def on_order_book(self, book: OrderBook) -> Intent | None:  # noqa: ARG002 - it takes all
        """Buy if the difference is large, sell if it is gone."""
        if self.market.pending:
            return None
        here, there = _price(self.market), self._there()
        difference = there.bid / here.ask - 1
        wide = difference >= self.enter
        entered = wide and not self.state.get("wide")
        self.state["wide"] = wide
        held, half = self.market.position, self.market.quantity / 2
        said = f"{self.other} pays {there.bid:.8g}, {difference:+.2%} of {here.ask:.8g} here"
        if entered and held < half:
            return Intent("buy", said)
        if difference <= self.leave and held >= half:
            return Intent("sell", said, held)
        return None

    def on_refused(self, refused: Refused) -> None:
        """Reset the signal after a refused buy: the next large difference counts as the first."""
        if refused.side == "buy":
            self.state["wide"] = False

    def _there(self) -> Price:
        """The other market's price, in our currency."""
        rate = _price(self.market.other(self.rate))
        if self.rate_over:
            rate = rate.over(_price(self.market.other(self.rate_over)))
        price = _price(self.market.other(self.other))
        if self._divides:
            return price.over(rate)
        return Price(price.bid * rate.bid, price.ask * rate.ask)


def _price(market: Quotes) -> Price:
    book = market.order_book()
    if not book.bids or not book.asks:
        raise StaleDataError(f"the book of {market.exchange} {market.symbol} has one side only")
    return Price(book.bids[0].price, book.asks[0].price)


def _base(name: str) -> str:
    return name.partition(":")[2].upper().partition("/")[0]


def _quote(name: str) -> str:
    return name.partition("/")[2].upper()
