"""One socket's frames to their symbols, and a stream that is silent though alive."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from services._connector_kit.errors import FeedStoppedError, RejectedError
from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.order_book import LevelBook
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import VenueTrade
from services._connector_kit.venue_stats import SocketStats
from services._runtime.health import Readiness
from services._runtime.supervise import TransientError
from services.binance_connector.feed import (
    AUDIT_LEVELS,
    COMPARED_A_ROUND,
    StreamSocket,
    SymbolFeed,
)
from services.binance_connector.translate import DepthSnapshot
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.virtual_time import run_virtually

AUDIT = 30.0


class Venue:
    """REST as the audit sees it."""

    def __init__(self) -> None:
        self.asked = 0
        self.update_id = 100
        self.fault: Exception | None = None

    async def depth(self, _: str, levels: int) -> DepthSnapshot:
        """The latest update id, or the fault."""
        self.asked += levels == AUDIT_LEVELS
        if self.fault:
            raise self.fault
        return DepthSnapshot(self.update_id, [(1.0, 1.0)], [(2.0, 1.0)])

    async def trades(self, _: str, __: int) -> list[VenueTrade]:
        """None."""
        return []


def with_socket(
    scenario: Callable[[StreamSocket, SymbolFeed, Venue, FakeStreams], Awaitable[None]],
) -> None:
    """Run *scenario* with a socket of one symbol, and its book at update 100."""

    async def main() -> None:
        streams, venue = FakeStreams(), Venue()
        subscription = SymbolSubscription(
            Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True),
            streams.publisher(),
            FeedStatus("BTC/USDT", Readiness()),
            None,
        )
        feed = SymbolFeed(subscription, 20, venue.depth, venue.trades)
        feed.book.book = LevelBook(100, [(1.0, 1.0)], [(2.0, 1.0)], limit=1000)
        socket = StreamSocket("ws://nowhere", [feed], venue.depth, AUDIT, SocketStats())
        await scenario(socket, feed, venue, streams)

    run_virtually(main())


def frame(**data: object) -> bytes:
    """A combined-stream frame."""
    return json.dumps({"stream": "any", "data": data}).encode()


def test_frames_reach_their_symbol() -> None:
    """A trade, a ticker and a depth update."""

    async def scenario(
        socket: StreamSocket, _: SymbolFeed, __: Venue, streams: FakeStreams
    ) -> None:
        socket._on_frame(frame(e="aggTrade", s="BTCUSDT", a=7, p="1.5", q="2", T=5, m=False))
        socket._on_frame(frame(e="24hrTicker", E=5, s="BTCUSDT", c="1", b="1", a="2", v="3"))
        socket._on_frame(
            frame(e="depthUpdate", E=5, s="BTCUSDT", U=101, u=102, b=[["1.5", "4"]], a=[])
        )
        assert streams.trade_ids == [7]
        assert streams.tickers[0].volume_24h == 3.0
        assert streams.books[0].bids[0].price == 1.5

    with_socket(scenario)


def test_bad_and_foreign_frames_are_counted_and_the_feed_goes_on() -> None:
    """Rubbish, an event nobody knows, a symbol that isn't ours, a price that is none."""

    async def scenario(
        socket: StreamSocket, _: SymbolFeed, __: Venue, streams: FakeStreams
    ) -> None:
        for bad in (
            b"rubbish",
            b"\xff",
            b'{"data":' + b'{"x":' * 100_000,
            frame(e="kline", s="BTCUSDT"),
            frame(e="aggTrade", s="ETHUSDT", a=7, p="1.5", q="2", T=5, m=False),
        ):
            socket._on_frame(bad)
        assert socket._bad_frames.count == 5
        socket._on_frame(frame(e="aggTrade", s="BTCUSDT", a=7, p="1.5", q="2", T=5, m=False))
        assert streams.trade_ids == [7]

    with_socket(scenario)


def test_a_bad_level_takes_the_book_out_of_sync_before_anything_is_published() -> None:
    """Half of that update is in the book already."""

    async def scenario(
        socket: StreamSocket, feed: SymbolFeed, _: Venue, streams: FakeStreams
    ) -> None:
        levels = [["1.5", "4"], ["nan", "1"]]
        socket._on_frame(frame(e="depthUpdate", E=5, s="BTCUSDT", U=101, u=102, b=levels, a=[]))
        assert feed.book.book is None
        assert streams.books == []

    with_socket(scenario)


def test_an_announced_shutdown_is_noted_and_the_session_goes_on() -> None:
    """The next socket is wanted at once; until it is there, this one serves."""

    async def scenario(
        socket: StreamSocket, _: SymbolFeed, __: Venue, streams: FakeStreams
    ) -> None:
        socket._on_frame(frame(e="serverShutdown", E=1))
        assert socket._shutdown.is_set()
        socket._on_frame(frame(e="aggTrade", s="BTCUSDT", a=7, p="1.5", q="2", T=5, m=False))
        assert streams.trade_ids == [7]

    with_socket(scenario)


def test_a_stream_that_rest_has_left_behind_is_silent() -> None:
    """REST moved on and three seconds later the book still hadn't."""

    async def scenario(socket: StreamSocket, _: SymbolFeed, venue: Venue, __: FakeStreams) -> None:
        venue.update_id = 101
        with pytest.raises(TransientError, match="the stream of BTCUSDT is silent"):
            await asyncio.wait_for(socket._audit(), 2 * AUDIT)

    with_socket(scenario)


@pytest.mark.parametrize(
    "fault",
    [None, TransientError("down"), RejectedError("no", code="-1"), FeedStoppedError("bad key")],
)
def test_an_audit_that_finds_nothing_or_fails_lets_the_socket_live(
    fault: Exception | None,
) -> None:
    """A quiet market is no fault, and neither is a REST side that doesn't answer."""

    async def scenario(socket: StreamSocket, _: SymbolFeed, venue: Venue, __: FakeStreams) -> None:
        venue.fault = fault
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket._audit(), 10 * AUDIT)

    with_socket(scenario)


def test_a_book_that_moves_is_not_asked_whether_its_stream_is_silent() -> None:
    """With hundreds of symbols the rate limit is for snapshots."""

    async def scenario(
        socket: StreamSocket, feed: SymbolFeed, venue: Venue, __: FakeStreams
    ) -> None:
        async def move() -> None:
            while True:
                await asyncio.sleep(1.0)
                assert feed.book.book is not None
                feed.book.book.update_id += 1

        moving = asyncio.create_task(move())
        venue.update_id = 10**9
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10 * AUDIT):
                await socket._audit()
        assert venue.asked == 0
        moving.cancel()
        with pytest.raises(TransientError, match="is silent"):
            async with asyncio.timeout(2 * AUDIT):
                await socket._audit()
        assert venue.asked == 1

    with_socket(scenario)


def test_the_levels_of_all_books_are_compared_with_rests_some_a_round_in_turn() -> None:
    """One that isn't the venue's is joined anew; the others stay as they are."""

    async def main() -> None:
        venue, readiness = Venue(), Readiness()
        names = [f"C{number}" for number in range(2 * COMPARED_A_ROUND + 1)]
        feeds = []
        for name in names:
            subscription = SymbolSubscription(
                Instrument(f"{name}/USDT", f"{name}USDT", name, "USDT", trading=True),
                FakeStreams().publisher(),
                FeedStatus(f"{name}/USDT", readiness),
                None,
            )
            feeds.append(SymbolFeed(subscription, 20, venue.depth, venue.trades))
            feeds[-1].book.book = LevelBook(100, [(1.0, 1.0)], [(2.0, 1.0)], limit=1000)
        wrong = feeds[-1]
        assert wrong.book.book is not None
        wrong.book.book.asks.set(2.0, 1.5)
        socket = StreamSocket("ws://nowhere", feeds, venue.depth, AUDIT, SocketStats())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket._audit(), 4 * AUDIT)
        assert all(feed.status.compared for feed in feeds)
        assert [feed.status.differed for feed in feeds] == [0] * (len(feeds) - 1) + [1]
        assert [feed.depth_id for feed in feeds] == [100] * (len(feeds) - 1) + [None]

    run_virtually(main())
