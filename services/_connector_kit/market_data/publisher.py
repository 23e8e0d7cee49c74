"""One symbol's three streams: trades at once, quotes no oftener than asked."""

import asyncio

import structlog

from common_models.fields import Side
from common_models.stream_names import MarketStream
from services._connector_kit.market_data.encode import MarketDataEncoder
from services._connector_kit.market_data.order_book import Book
from services._connector_kit.settings import ConnectorSettings
from services._runtime.stream_writer.writer import StreamWriter

log = structlog.get_logger()

# Quotes are worth keeping for a tenth of the length of trades.
QUOTES_SHARE = 10


class Publisher:
    """Publishes one symbol. Prices in the quote asset, quantities in the base asset."""

    def __init__(
        self, writer: StreamWriter, exchange: str, symbol: str, settings: ConnectorSettings
    ) -> None:
        self.refused = 0  # messages that failed validation
        self.symbol = symbol
        self.live_book: Book | None = None  # while it is in sync
        self._depth = settings.order_book_depth
        self._interval = settings.order_book_interval
        self._loop = asyncio.get_running_loop()
        self._encoder = MarketDataEncoder(exchange, symbol)
        quotes = max(1, settings.market_data_maxlen // QUOTES_SHARE)

        def name(data_type: str) -> str:
            return str(MarketStream.of(exchange, symbol, data_type))  # type: ignore[arg-type]

        self._trades = writer.stream(name("trades"), settings.market_data_maxlen, keep_all=True)
        self._tickers = writer.stream(name("ticker"), quotes, keep_all=False)
        self._books = writer.stream(name("orderbook"), quotes, keep_all=False)
        self._pending: tuple[Book, int] | None = None
        self._book_timer: asyncio.TimerHandle | None = None
        self._book_published = float("-inf")

    def trade(
        self,
        milliseconds: int,
        price: float,
        quantity: float,
        side: Side,
        trade_id: int,
        first_id: int | None = None,
        last_id: int | None = None,
    ) -> None:
        """Publish a trade; `side` is the taker's, the last two are of an aggregate's trades."""
        data = self._encoder.trade(milliseconds, price, quantity, side, trade_id, first_id, last_id)
        if data is None:
            self._refuse("trade")
        else:
            self._trades.add(data)

    def ticker(
        self, milliseconds: int, last: float, bid: float, ask: float, volume: float | None
    ) -> None:
        """Publish a ticker; one without a last price, bid or ask is left out."""
        data = self._encoder.ticker(milliseconds, last, bid, ask, volume)
        if data is None:
            self._refuse("ticker")
        else:
            self._tickers.add(data)

    def book(self, book: Book, milliseconds: int) -> None:
        """The book changed, and is in sync: publish it now, or when the interval is over."""
        self.live_book = book
        if self._interval <= 0:
            self._add_book(book, milliseconds)
            return
        self._pending = (book, milliseconds)
        if self._book_timer is None:
            wait = self._book_published + self._interval - self._loop.time()
            if wait <= 0:
                self._publish_book()
            else:
                self._book_timer = self._loop.call_later(wait, self._publish_book)

    def hold_book(self) -> None:
        """The book is out of sync: what waits for its interval must not go out."""
        self.live_book = None
        self._pending = None
        if self._book_timer is not None:
            self._book_timer.cancel()
            self._book_timer = None

    def _publish_book(self) -> None:
        self._book_timer = None
        if self._pending is not None:
            book, milliseconds = self._pending
            self._pending = None
            self._book_published = self._loop.time()
            self._add_book(book, milliseconds)

    def _add_book(self, book: Book, milliseconds: int) -> None:
        data = self._encoder.book(milliseconds, book, self._depth)
        if data is None:
            self._refuse("book")
        else:
            self._books.add(data)

    def _refuse(self, kind: str) -> None:
        self.refused += 1
        if self.refused == 1:
            log.warning("message_refused", symbol=self.symbol, kind=kind)
