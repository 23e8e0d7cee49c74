"""When a publisher publishes, in virtual time."""

import asyncio

from services._connector_kit.market_data.order_book import LevelBook
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.virtual_time import run_virtually


def book_with_bid(price: float) -> LevelBook:
    """A book of one bid."""
    return LevelBook(1, [(price, 1.0)], [(price + 1, 1.0)], limit=1000)


def best_bids(streams: FakeStreams) -> list[float]:
    """The best bid of each published book."""
    return [book.bids[0].price for book in streams.books]


def test_interval_zero_publishes_every_book() -> None:
    """Each update at once, none left out."""

    async def main() -> None:
        streams = FakeStreams()
        publisher = streams.publisher(interval=0.0)
        for price in range(1, 51):
            publisher.book(book_with_bid(price), 1000 + price)
        assert best_bids(streams) == list(range(1, 51))

    run_virtually(main())


def test_books_are_published_at_most_once_an_interval_and_the_latest_of_them() -> None:
    """The first at once; then what is newest each time the interval is over."""

    async def main() -> None:
        streams = FakeStreams()
        publisher = streams.publisher(interval=0.1)
        published: list[tuple[float, float]] = []
        loop = asyncio.get_running_loop()
        for step in range(100):  # an update each 10 ms
            publisher.book(book_with_bid(step + 1), step)
            if len(streams.books) > len(published):
                published.append((round(loop.time(), 6), best_bids(streams)[-1]))
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert best_bids(streams)[0] == 1
        assert best_bids(streams)[-1] == 100  # the last update always gets out
        assert 10 <= len(streams.books) <= 11

    run_virtually(main())


def test_a_single_update_after_quiet_waits_for_nothing() -> None:
    """The interval bounds the rate; it doesn't delay."""

    async def main() -> None:
        streams = FakeStreams()
        publisher = streams.publisher(interval=10.0)
        publisher.book(book_with_bid(1), 1)
        await asyncio.sleep(10.0)
        publisher.book(book_with_bid(2), 2)
        assert best_bids(streams) == [1, 2]

    run_virtually(main())


def test_a_book_that_waits_is_not_published_once_it_is_out_of_sync() -> None:
    """`hold_book` takes back what waits for its interval; the next one in sync goes out."""

    async def main() -> None:
        streams = FakeStreams()
        publisher = streams.publisher(interval=1.0)
        publisher.book(book_with_bid(1), 1)
        publisher.book(book_with_bid(2), 2)
        publisher.hold_book()
        await asyncio.sleep(5.0)
        assert best_bids(streams) == [1]
        publisher.book(book_with_bid(3), 3)
        assert best_bids(streams) == [1, 3]

    run_virtually(main())


def test_a_message_that_fails_validation_is_counted_and_not_published() -> None:
    """A ticker without a bid, a trade of nothing, a book of no time."""

    async def main() -> None:
        streams = FakeStreams()
        publisher = streams.publisher()
        publisher.ticker(1, 1.0, 0.0, 1.0, None)
        publisher.trade(1, 1.0, 0.0, "buy", 1)
        publisher.book(book_with_bid(1), 10**18)
        assert publisher.refused == 3
        assert [streams.tickers, streams.trades, streams.books] == [[], [], []]

    run_virtually(main())


def test_quotes_are_kept_for_a_tenth_of_the_length_of_trades() -> None:
    """And trades are the ones that wait in order when Redis is away."""

    async def main() -> None:
        streams = FakeStreams()
        streams.publisher()
        kept = {name: (s.maxlen, s.keep_all) for name, s in streams.by_name.items()}
        assert kept == {
            "binance:BTCUSDT:trades": (10_000, True),
            "binance:BTCUSDT:ticker": (1_000, False),
            "binance:BTCUSDT:orderbook": (1_000, False),
        }

    run_virtually(main())
