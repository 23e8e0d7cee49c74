"""The latest ticker, book and trades of every market the bot watches, each with its age."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from common_models import OrderBook, Ticker, Trade
from common_models.stream_names import MARKET_DATA_TYPES, MarketDataType, MarketStream
from services.bot.validation import MessageError, read

MarketData = Ticker | OrderBook | Trade
T = TypeVar("T", Ticker, OrderBook)
# Called with each message of a batch and its index in the batch.
OnMessage = Callable[[int, MarketData], None]

# How many recent trades of one symbol are kept.
RECENT_TRADES = 1000
MODELS: Mapping[MarketDataType, type[MarketData]] = {
    "ticker": Ticker,
    "orderbook": OrderBook,
    "trades": Trade,
}


@dataclass(frozen=True, slots=True)
class Aged(Generic[T]):
    """A message, and how many seconds ago it was received."""

    value: T
    age: float


class MarketFeed:
    """The state of one market stream: its latest message, and counts."""

    def __init__(self, exchange: str, symbol: str, data_type: MarketDataType) -> None:
        self.name = str(MarketStream.of(exchange, symbol, data_type))
        self.data_type = data_type
        self.latest: MarketData | None = None
        self.received_at: float | None = None
        self.entries = 0
        self.malformed = 0
        self.recent: deque[Trade] = deque(maxlen=RECENT_TRADES)
        self.exchange = exchange
        self.symbol = symbol
        self._model = MODELS[data_type]

    def handle(
        self,
        messages: Iterable[bytes],
        received_at: float,
        on_message: OnMessage | None = None,
    ) -> str | None:
        """Read a batch, oldest first; count invalid messages and return the last fault.

        *received_at* is in seconds, on the clock that `age` gets. *on_message* is called with each
        valid message and its index in the batch, after the message became the latest.
        """
        fault = None
        for number, data in enumerate(messages):
            try:
                message = read(self._model, data)
            except MessageError as e:
                fault = str(e)
            else:
                if message.symbol == self.symbol and message.exchange == self.exchange:
                    self._keep(message, received_at)
                    if on_message is not None:
                        on_message(number, message)
                    continue
                fault = (
                    f"symbol {message.symbol!r} of exchange {message.exchange!r}; "
                    f"expected {self.symbol!r} of {self.exchange!r}"
                )
            self.malformed += 1
        return fault

    def reload(self, messages: Iterable[bytes], received_at: float) -> None:
        """Load messages from before the start, without counting them."""
        self.handle(messages, received_at)
        self.entries = self.malformed = 0

    def _keep(self, message: MarketData, received_at: float) -> None:
        self.entries += 1
        self.latest = message
        self.received_at = received_at
        if message.__class__ is Trade:
            self.recent.append(message)

    def age(self, now: float) -> float | None:
        """Seconds since the latest message was received; None before the first."""
        return None if self.received_at is None else max(0.0, now - self.received_at)


class DataProvider:
    """The market data of all watched symbols. Pure: callers pass messages and the time."""

    def __init__(self, markets: Mapping[str, Iterable[str]]) -> None:
        """*markets*: the slash symbols of each exchange."""
        feeds = [
            MarketFeed(exchange, symbol, data_type)
            for exchange, symbols in markets.items()
            for symbol in symbols
            for data_type in MARKET_DATA_TYPES
        ]
        self.feeds = {feed.name: feed for feed in feeds}

    def ticker(self, exchange: str, symbol: str, now: float) -> Aged[Ticker] | None:
        """The latest ticker of a slash symbol; None before the first.

        Raises:
            KeyError: the bot doesn't watch this symbol.
        """
        return _aged(self._feed(exchange, symbol, "ticker"), Ticker, now)

    def order_book(self, exchange: str, symbol: str, now: float) -> Aged[OrderBook] | None:
        """The latest book of a slash symbol; None before the first.

        Raises:
            KeyError: the bot doesn't watch this symbol.
        """
        return _aged(self._feed(exchange, symbol, "orderbook"), OrderBook, now)

    def trades(self, exchange: str, symbol: str) -> tuple[Trade, ...]:
        """The latest trades of a slash symbol, oldest first; at most `RECENT_TRADES`.

        Raises:
            KeyError: the bot doesn't watch this symbol.
        """
        return tuple(self._feed(exchange, symbol, "trades").recent)

    def last_book(self, exchange: str, symbol: str) -> OrderBook | None:
        """The latest book, whatever its age; None also if the bot doesn't watch the symbol."""
        feed = self.feeds.get(str(MarketStream.of(exchange, symbol, "orderbook")))
        return feed.latest if feed and isinstance(feed.latest, OrderBook) else None

    def rate(self, exchange: str, asset: str, other: str) -> Decimal | None:
        """The price of one unit of *asset* in *other*; None if no watched market gives it.

        It comes from a market of the two, or from two markets that share a third asset.
        """
        direct = self._direct(exchange, asset, other)
        if direct is not None:
            return direct
        for feed in self.feeds.values():
            if feed.exchange != exchange or feed.data_type != "orderbook":
                continue
            pair = feed.symbol.split("/")
            if asset not in pair:
                continue
            third = pair[1] if pair[0] == asset else pair[0]
            first = self._direct(exchange, asset, third)
            second = self._direct(exchange, third, other)
            if first is not None and second is not None:
                return first * second
        return None

    def _direct(self, exchange: str, asset: str, other: str) -> Decimal | None:
        price = middle(self.last_book(exchange, f"{asset}/{other}"))
        if price is not None:
            return price
        price = middle(self.last_book(exchange, f"{other}/{asset}"))
        return None if price is None else 1 / price

    def _feed(self, exchange: str, symbol: str, data_type: MarketDataType) -> MarketFeed:
        return self.feeds[str(MarketStream.of(exchange, symbol, data_type))]


def middle(quote: MarketData | None) -> Decimal | None:
    """The mid price of bid and ask; None if one of them is missing."""
    if isinstance(quote, Ticker):
        bid, ask = quote.bid_price, quote.ask_price
    elif isinstance(quote, OrderBook) and quote.bids and quote.asks:
        bid, ask = quote.bids[0].price, quote.asks[0].price
    else:
        return None
    return (Decimal(str(bid)) + Decimal(str(ask))) / 2


def _aged(feed: MarketFeed, model: type[T], now: float) -> Aged[T] | None:
    age = feed.age(now)
    if age is None or not isinstance(feed.latest, model):
        return None
    return Aged(feed.latest, age)
