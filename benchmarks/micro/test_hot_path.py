"""The parts of the path that every frame takes, each alone: `make bench-micro`.

Each case handles one message a call, out of many different ones in turn.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, TypeVar, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import frames
from common_models import OrderBook, Ticker, Trade
from services._connector_kit.market_data.encode import MarketDataEncoder
from services._connector_kit.market_data.order_book import LevelBook, OrderByOrderBook
from services._runtime.stream_writer.writer import StreamWriter
from services.binance_connector import translate as binance
from services.luno_connector import translate as luno

T = TypeVar("T")
ROUNDS = 20
MESSAGES = 2000
ORDERED = 300
# What must not come round, because one message follows from the other; and one more for good.
IN_ORDER = ROUNDS * ORDERED + 1
DEPTH = 20


def each(benchmark: BenchmarkFixture, work: Callable[[T], object], messages: Sequence[T]) -> None:
    """Measure *work*, a message a call."""
    following = cycle(messages).__next__
    repeat(benchmark, lambda: work(following()), MESSAGES)


def repeat(benchmark: BenchmarkFixture, work: Callable[[], object], calls: int) -> None:
    """Measure *work* in rounds of so many calls."""
    benchmark.pedantic(work, rounds=ROUNDS, iterations=calls)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def trades() -> list[binance.AggTrade]:
    """Decoded trades."""
    found = [binance.event(frame) for frame in frames.feed("trades", MESSAGES).frames]
    return cast(list[binance.AggTrade], found)


@pytest.fixture(scope="module")
def diffs() -> list[binance.DepthUpdate]:
    """Decoded diffs, in order."""
    found = [binance.event(frame) for frame in frames.feed("books", IN_ORDER).frames]
    return cast(list[binance.DepthUpdate], found)


def binance_book() -> LevelBook:
    """The book before the first diff."""
    start = binance.snapshot(frames.snapshot(frames.LEVELS))
    return LevelBook(start.update_id, start.bids, start.asks, limit=frames.LEVELS)


@pytest.mark.parametrize("kind", ["trades", "tickers", "books"])
def test_decode_binance(benchmark: BenchmarkFixture, kind: str) -> None:
    """Bytes of a frame to a typed struct."""
    each(benchmark, binance.event, frames.feed(kind, MESSAGES).frames)


def test_decode_luno(benchmark: BenchmarkFixture) -> None:
    """Bytes of an update to a typed struct."""
    each(benchmark, luno.frame, frames.feed("luno", MESSAGES).frames[1:])


def test_encode_trade(benchmark: BenchmarkFixture, trades: list[binance.AggTrade]) -> None:
    """What is published, without the model."""
    encode = MarketDataEncoder("binance", "BTC/USDT").trade
    each(benchmark, lambda t: encode(t.T, t.p, t.q, t.side, t.a), trades)


def test_encode_trade_by_model(benchmark: BenchmarkFixture, trades: list[binance.AggTrade]) -> None:
    """The same by the validated model: what the encoder saves."""

    def by_model(t: binance.AggTrade) -> str:
        return Trade(
            symbol="BTC/USDT",
            timestamp=datetime.fromtimestamp(t.T / 1000, UTC),
            price=t.p,
            quantity=t.q,
            side=t.side,
            trade_id=str(t.a),
            exchange="binance",
        ).model_dump_json()

    each(benchmark, by_model, trades)


def test_encode_ticker(benchmark: BenchmarkFixture) -> None:
    """What is published, without the model."""
    found = [binance.event(frame) for frame in frames.feed("tickers", MESSAGES).frames]
    encode = MarketDataEncoder("binance", "BTC/USDT").ticker
    tickers = cast(list[binance.DayTicker], found)
    each(benchmark, lambda t: encode(t.E, t.c, t.b, t.a, t.v), tickers)


def test_book_binance(benchmark: BenchmarkFixture, diffs: list[binance.DepthUpdate]) -> None:
    """A diff of 20 + 20 levels applied; diffs are told once, so they don't come round."""
    book, following = binance_book(), iter(diffs).__next__

    def apply() -> None:
        diff = following()
        book.apply(diff.U, diff.u, diff.b, diff.a)

    repeat(benchmark, apply, ORDERED)


def test_book_binance_with_top_20(
    benchmark: BenchmarkFixture, diffs: list[binance.DepthUpdate]
) -> None:
    """The same, and the best 20 levels a side written."""
    book, following = binance_book(), iter(diffs).__next__
    encode = MarketDataEncoder("binance", "BTC/USDT").book

    def apply() -> None:
        diff = following()
        book.apply(diff.U, diff.u, diff.b, diff.a)
        encode(diff.E, book, DEPTH)

    repeat(benchmark, apply, ORDERED)


def test_book_luno_with_top_20(benchmark: BenchmarkFixture) -> None:
    """An update of an 18,600-order book applied, and the best 20 levels a side written."""
    feed = frames.feed("luno", IN_ORDER).frames
    book: OrderByOrderBook = luno.book(luno.frame(feed[0]))
    following = iter([luno.frame(frame) for frame in feed[1:]]).__next__
    encode = MarketDataEncoder("luno", "XBT/ZAR").book

    def apply() -> None:
        update = following()
        book.apply(
            update.sequence or 0, luno.fills(update), luno.created(update), luno.deleted(update)
        )
        encode(update.timestamp, book, DEPTH)

    repeat(benchmark, apply, ORDERED)


def test_write_100_entries(benchmark: BenchmarkFixture) -> None:
    """A hundred entries into the writer, the pass's one write, and the replies."""

    class Nowhere:
        """A transport whose bytes go nowhere."""

        def write(self, data: bytes) -> None:
            """Take them."""

    async def prepared() -> StreamWriter:
        return StreamWriter(cast(Any, None))

    with asyncio.Runner() as runner:
        writer = runner.run(prepared())
        writer._transport = cast(asyncio.Transport, Nowhere())  # noqa: SLF001
        writer.open = True
        stream = writer.stream("binance:BTCUSDT:trades", 10_000, keep_all=True)
        data = b"x" * 150
        replies = b"$15\r\n1760000000000-1\r\n" * 100

        def hundred() -> None:
            for _ in range(100):
                stream.add(data)
            writer._flush()  # noqa: SLF001
            writer.data_received(replies)

        repeat(benchmark, hundred, 50)


@pytest.mark.parametrize("model", [Trade, Ticker, OrderBook])
def test_read_model(benchmark: BenchmarkFixture, model: type[Trade | Ticker | OrderBook]) -> None:
    """The bot's side: JSON bytes to a validated model."""
    encoder = MarketDataEncoder("binance", "BTC/USDT")
    data = {
        Trade: encoder.trade(frames.FIRST_MS, 60_000.12, 0.5, "buy", frames.FIRST_ID),
        Ticker: encoder.ticker(frames.FIRST_MS, 60_000.12, 60_000.0, 60_000.5, 1234.5),
        OrderBook: encoder.book(frames.FIRST_MS, binance_book(), DEPTH),
    }[model]
    each(benchmark, model.model_validate_json, [data or b""])
