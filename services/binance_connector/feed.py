"""Binance's streams: one socket for up to 100 symbols."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import assert_never

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.frames import BadFrames
from services._connector_kit.market_data.order_book import LevelBook
from services._connector_kit.market_data.status import IDS_RESTARTED
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import TradeFeed, VenueTrade
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import WebSocket, connect
from services._runtime.supervise import FailureLog, Retry, keep_alive, run_while_healthy
from services.binance_connector.book_sync import BookSync
from services.binance_connector.settings import BinanceSettings
from services.binance_connector.standby_socket import (
    MIN_SOCKET_LIFE,
    StandbySocket,
    open_standby,
    socket_lifetime,
)
from services.binance_connector.translate import (
    AggTrade,
    DayTicker,
    DepthSnapshot,
    DepthUpdate,
    ServerShutdown,
    event,
)

log = structlog.get_logger()

SYMBOLS_A_SOCKET = 100
STREAMS = ("aggTrade", "depth@100ms", "ticker")
# How far the stream may lag behind the REST side before it counts as silent.
AUDIT_GRACE = 3.0
AUDIT_LEVELS = 5
# Books of a socket whose levels are compared in a round: two of a hundred cost REST's price twice.
COMPARED_A_ROUND = 2

FetchDepth = Callable[[str, int], Awaitable[DepthSnapshot]]
FetchTrades = Callable[[str, int], Awaitable[list[VenueTrade]]]


class SymbolFeed:
    """One symbol's frames, whichever socket they come from."""

    def __init__(
        self,
        subscription: SymbolSubscription,
        depth: int,
        fetch_depth: FetchDepth,
        fetch_trades: FetchTrades,
    ) -> None:
        name = subscription.instrument.venue_symbol
        self.subscription = subscription
        self.status = subscription.status
        self.book = BookSync(subscription, partial(fetch_depth, name), depth)
        self.trades = TradeFeed(
            subscription.publisher,
            partial(fetch_trades, name),
            contiguous=True,
            last=subscription.last_trade,
            on_anew=partial(subscription.status.note, IDS_RESTARTED),
        )
        self.status.sequence = lambda: self.depth_id
        self.status.trades = self.trades.counts

    @property
    def depth_id(self) -> int | None:
        """The last update in the book; None while that isn't in sync."""
        return self.book.sequence

    @property
    def trade_id(self) -> int | None:
        """The id of the last trade received; None before the first."""
        return self.trades.newest_id

    def connected(self) -> None:
        """A socket is up."""
        self.book.connected()
        self.trades.reconnected()

    def disconnected(self, reason: str) -> None:
        """The socket is gone."""
        self.book.disconnected(reason)

    def add_trade(self, trade: AggTrade) -> None:
        """`@aggTrade`."""
        self.trades.add(
            VenueTrade(trade.a, trade.T, trade.p, trade.q, trade.side, trade.f, trade.l)
        )

    def add_ticker(self, ticker: DayTicker) -> None:
        """`@ticker`."""
        self.subscription.publisher.ticker(ticker.E, ticker.c, ticker.b, ticker.a, ticker.v)


class StreamSocket:
    """A socket, those that follow it, and the symbols they carry.

    `life` gives the seconds after which a socket is followed by the next.
    """

    def __init__(
        self,
        root_url: str,
        feeds: Sequence[SymbolFeed],
        fetch_depth: FetchDepth,
        audit: float,
        stats: SocketStats,
        life: Callable[[], float] = socket_lifetime,
    ) -> None:
        names = [feed.subscription.instrument.venue_symbol for feed in feeds]
        streams = "/".join(f"{name.lower()}@{kind}" for name in names for kind in STREAMS)
        self._url = f"{root_url}/stream?streams={streams}"
        self._feeds = dict(zip(names, feeds, strict=True))
        self._fetch_depth = fetch_depth
        self._audit_interval = audit
        self._life = life
        self._shutdown = asyncio.Event()  # the venue announced it
        self._stats = stats
        self._bad_frames = BadFrames("binance", stats)
        self._turn = deque(names)  # whose levels are compared next
        self._audit_failures = FailureLog("audit_failed")

    async def run(self) -> None:
        """Keep a socket alive until cancelled."""
        await keep_alive(self._session, name="binance_stream", on_retry=self._retrying)

    def _retrying(self, retry: Retry) -> None:
        for feed in self._feeds.values():
            feed.subscription.status.retrying(retry)

    async def _session(self) -> None:
        """One socket after another, each up before the last is closed; until one is lost."""
        socket = await connect(self._url, self._on_frame, self._connected, self._stats)
        min_life = 0.0
        try:
            while True:
                following = self._standby_when_due(min_life)
                standby, standby_socket = await run_while_healthy(
                    following, socket.closed(), self._audit()
                )
                socket.end()
                socket, min_life = standby_socket, MIN_SOCKET_LIFE
                self._shutdown.clear()
                standby.take_over(socket, self._on_frame)
                log.info("stream_changed", symbols=len(self._feeds))
        finally:
            socket.end()
            for feed in self._feeds.values():
                feed.disconnected("the socket is gone")

    async def _standby_when_due(self, min_life: float) -> tuple[StandbySocket, WebSocket]:
        """The next socket, once it is wanted and may take over; not before *min_life* seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._life()):
                await asyncio.sleep(min_life)
                await self._shutdown.wait()
        return await open_standby(self._url, self._feeds.get, self._stats)

    def _connected(self) -> None:
        log.info("stream_connected", symbols=len(self._feeds))
        for feed in self._feeds.values():
            feed.connected()

    def _on_frame(self, frame: bytes) -> None:
        try:
            found = event(frame)
        except (ValueError, RecursionError) as e:
            self._bad_frames.add(frame, e)
            return
        if isinstance(found, ServerShutdown):
            self._shutdown.set()
            return
        feed = self._feeds.get(found.s)
        if feed is None:
            self._bad_frames.add(frame, KeyError(found.s))
            return
        status = feed.status
        status.heard_at = status.event_heard_at = monotonic()
        match found:
            case AggTrade():
                status.event_at = found.T
                feed.add_trade(found)
            case DepthUpdate():
                status.event_at = found.E
                feed.book.apply(found)
            case DayTicker():
                status.event_at = found.E
                feed.add_ticker(found)
            case _:
                assert_never(found)

    async def _audit(self) -> None:
        """Notice a stream that is silent though alive, and books that aren't REST's.

        Raises:
            TransientError: it is silent: the REST side knows later updates.
        """
        while True:
            await asyncio.sleep(self._audit_interval)
            # Only of those that stand still REST is asked: it has its price.
            still = await self._standing_still(self._books())
            latest = {name: await self._latest(name) for name in still}
            for name, book in (await self._standing_still(still)).items():
                if book.update_id < latest[name]:
                    raise TransientError(f"the stream of {name} is silent, though REST moves on")
            await self._compare_some()

    async def _compare_some(self) -> None:
        """Compare the levels of the next books in turn with REST's."""
        for _ in range(min(COMPARED_A_ROUND, len(self._turn))):
            name = self._turn[0]
            self._turn.rotate(-1)
            try:
                await self._feeds[name].book.compare()
            except (TransientError, RejectedError, FeedStoppedError) as e:
                self._audit_failures.seen(e, symbol=name)

    def _books(self) -> dict[str, LevelBook]:
        return {name: book for name, feed in self._feeds.items() if (book := feed.book.book)}

    async def _standing_still(self, books: Mapping[str, LevelBook]) -> dict[str, LevelBook]:
        """Those of *books* that are neither changed nor replaced within `AUDIT_GRACE`."""
        before = {name: book.update_id for name, book in books.items()}
        await asyncio.sleep(AUDIT_GRACE)
        return {
            name: book
            for name, book in books.items()
            if self._feeds[name].book.book is book and book.update_id == before[name]
        }

    async def _latest(self, name: str) -> int:
        """The id of the latest update that the REST side knows; 0 if it doesn't answer."""
        try:
            snapshot = await self._fetch_depth(name, AUDIT_LEVELS)
        except (TransientError, RejectedError, FeedStoppedError) as e:
            self._audit_failures.seen(e, symbol=name)
            return 0
        self._audit_failures.over()
        return snapshot.update_id


async def stream_market_data(
    subscriptions: Sequence[SymbolSubscription],
    settings: BinanceSettings,
    fetch_depth: FetchDepth,
    fetch_trades: FetchTrades,
    stats: SocketStats,
) -> None:
    """Supply each subscription until cancelled."""
    feeds = [
        SymbolFeed(subscription, settings.order_book_depth, fetch_depth, fetch_trades)
        for subscription in subscriptions
    ]
    async with asyncio.TaskGroup() as tasks:
        for feed in feeds:
            tasks.create_task(feed.book.keep_joined())
            tasks.create_task(feed.trades.refill_holes())
        for start in range(0, len(feeds), SYMBOLS_A_SOCKET):
            socket = StreamSocket(
                settings.binance_stream_url,
                feeds[start : start + SYMBOLS_A_SOCKET],
                fetch_depth,
                settings.book_audit_interval,
                stats,
            )
            tasks.create_task(socket.run())
