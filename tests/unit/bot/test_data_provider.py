"""The data provider: the latest of each market, and nothing that can't be read."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderBook, Ticker, Trade
from services.bot.data_provider import RECENT_TRADES, DataProvider
from tests.support.market_data.messages import order_book, ticker, trade, wire

TICKER, BOOK, TRADES = (f"binance:BTCUSDT:{kind}" for kind in ("ticker", "orderbook", "trades"))


@pytest.fixture
def provider() -> DataProvider:
    """Watches two markets."""
    return DataProvider({"binance": ("BTC/USDT",), "luno": ("XBT/ZAR",)})


def test_it_watches_three_streams_of_every_symbol(provider: DataProvider) -> None:
    """The names are the contract's."""
    assert list(provider.feeds) == [
        *(TICKER, BOOK, TRADES),
        *("luno:XBTZAR:ticker", "luno:XBTZAR:orderbook", "luno:XBTZAR:trades"),
    ]


def test_the_latest_quote_is_kept_with_its_age(provider: DataProvider) -> None:
    """Of a batch, the last counts."""
    assert provider.ticker("binance", "BTC/USDT", now=5.0) is None
    provider.feeds[TICKER].handle([wire(ticker(last=1.5)), wire(ticker(last=2.5))], 10.0)
    provider.feeds[BOOK].handle([wire(order_book(middle=7.5))], 11.0)
    latest = provider.ticker("binance", "BTC/USDT", now=13.0)
    assert latest is not None
    assert (latest.value.last_price, latest.age) == (2.5, 3.0)
    book = provider.order_book("binance", "BTC/USDT", now=13.0)
    assert book is not None
    assert (book.value.bids[0].price, book.age) == (7.0, 2.0)


def test_recent_trades_are_kept_in_order_and_bounded(provider: DataProvider) -> None:
    """The oldest go when there are too many."""
    total = RECENT_TRADES + 10
    provider.feeds[TRADES].handle((wire(trade(number=n)) for n in range(total)), 1.0)
    kept = provider.trades("binance", "BTC/USDT")
    assert [t.trade_id for t in kept] == [str(n) for n in range(10, total)]
    assert provider.feeds[TRADES].entries == total


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"{}", "symbol: Field required"),
        (wire(ticker()).replace(b"100.5", b"-1"), "last_price: Input should be greater than 0"),
        (wire(ticker()).replace(b"100.5", b"NaN"), "last_price: Input should be a finite number"),
        (wire(ticker(symbol="ETH/USDT")), "symbol 'ETH/USDT' of exchange 'binance'; expected 'BTC"),
        (
            wire(ticker(exchange="luno")),
            "symbol 'BTC/USDT' of exchange 'luno'; expected 'BTC/USDT' of",
        ),
    ],
)
def test_what_cannot_be_read_is_counted_and_never_kept(
    provider: DataProvider, data: bytes, fault: str
) -> None:
    """The good messages around it are read as if it weren't there."""
    feed = provider.feeds[TICKER]
    said = feed.handle([wire(ticker(last=1.5)), data], 1.0)
    assert said is not None
    assert fault in said
    assert feed.malformed == 1
    assert isinstance(feed.latest, Ticker)
    assert feed.latest.last_price == 1.5


@given(st.lists(st.one_of(st.integers(1, 10**9), st.binary(max_size=20)), max_size=50))
def test_any_bytes_at_all_are_read_or_counted(batch: list[int | bytes]) -> None:
    """No entry crashes it, and none is forgotten in the counts."""
    feed = DataProvider({"binance": ("BTC/USDT",)}).feeds[TRADES]
    good = [item for item in batch if isinstance(item, int)]
    messages = [wire(trade(price=i)) if isinstance(i, int) else i for i in batch]
    fault = feed.handle(messages, 1.0)
    assert (feed.entries, feed.malformed) == (len(good), len(batch) - len(good))
    assert [t.price for t in feed.recent] == good
    assert (fault is None) == (feed.malformed == 0)


def test_an_unknown_field_is_ignored(provider: DataProvider) -> None:
    """A newer connector never breaks an older bot."""
    newer = wire(trade()).replace(b'"side"', b'"venue_flags":[1],"side"')
    assert provider.feeds[TRADES].handle([newer], 1.0) is None
    assert isinstance(provider.feeds[TRADES].latest, Trade)


def test_a_symbol_it_does_not_watch_is_refused(provider: DataProvider) -> None:
    """A mistyped symbol in a strategy is found at once."""
    with pytest.raises(KeyError, match="binance:ETHUSDT:ticker"):
        provider.ticker("binance", "ETH/USDT", now=1.0)


def test_an_empty_side_of_a_book_is_valid(provider: DataProvider) -> None:
    """A book may have no asks."""
    book = order_book().model_copy(update={"asks": []})
    assert provider.feeds[BOOK].handle([wire(book)], 1.0) is None
    assert isinstance(provider.feeds[BOOK].latest, OrderBook)


def test_what_an_asset_is_worth_is_said_by_the_markets_that_are_watched() -> None:
    """One of the two, either way round, or two with an asset in common; of that exchange alone."""
    markets = ("BTC/USDT", "BNB/BTC", "ETH/USDT")
    provider = DataProvider({"binance": markets, "luno": ("XBT/ZAR",)})

    def rate(asset: str, other: str, exchange: str = "binance") -> Decimal | None:
        return provider.rate(exchange, asset, other)

    assert rate("BTC", "USDT") is None  # nothing yet
    for symbol, price in (("BTC/USDT", 50_000), ("BNB/BTC", 0.75)):
        book = order_book(symbol, middle=price)
        provider.feeds[f"binance:{symbol.replace('/', '')}:orderbook"].handle([wire(book)], 1.0)
    assert rate("BTC", "USDT") == 50_000
    assert rate("BTC", "BNB") == 1 / Decimal("0.75")
    assert rate("USDT", "BTC") == 1 / Decimal(50_000)
    assert rate("BNB", "USDT") == 37_500
    assert rate("ETH", "USDT") is rate("BNB", "ZAR") is rate("BTC", "USDT", "luno") is None
