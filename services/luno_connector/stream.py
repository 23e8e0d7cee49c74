"""Luno's market streams: one socket a pair, the book updated order by order."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from time import monotonic

import msgspec
import structlog

from services._connector_kit.errors import (
    RETRY_REFUSED,
    FeedStoppedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.frames import BadFrames
from services._connector_kit.market_data.order_book import (
    BookTrade,
    OrderByOrderBook,
    SequenceGap,
    crossed,
)
from services._connector_kit.market_data.status import IDS_RESTARTED
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import TradeFeed, VenueTrade
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import open_socket
from services._runtime.redaction import excerpt
from services._runtime.supervise import FailureLog, keep_alive, raise_first_error
from services.luno_connector import translate
from services.luno_connector.book_comparison import BookComparison
from services.luno_connector.polling import poll_market_data
from services.luno_connector.rest import LunoRest
from services.luno_connector.settings import KEY_HELP, KEY_REFUSED, LunoSettings

log = structlog.get_logger()

SNAPSHOT_TIMEOUT = 15.0
# Luno allows 50 sockets at once: one is the account's, and a few are left for those that died
# without Luno's noticing yet.
MOST_STREAMS = 45
# The rolling volume is in REST only; one call serves all pairs.
TICKERS_INTERVAL = 10.0
# A pair without a stream has its trades asked for by REST this often, so that one answer holds all
# trades of the interval; with many pairs less often, to stay within the rate limit.
TRADES_INTERVAL = 2.0
# How far the stream may lag behind the REST side before it counts as silent, in milliseconds.
SILENT_BEHIND = 15_000
# Errors that only pass after the operator fixes something, or that Luno sent by mistake:
# https://www.luno.com/en/developers/api#tag/Streaming-API.
BAD_KEY = (*KEY_REFUSED, "invalid_credentials", "unauthorised")
UNKNOWN_PAIR = "invalid_market"


class PairFeed:
    """One pair's socket, book, trades and ticker."""

    def __init__(
        self,
        subscription: SymbolSubscription,
        rest: LunoRest,
        settings: LunoSettings,
        stats: SocketStats,
    ) -> None:
        self.pair = subscription.instrument.venue_symbol
        self.ticker: translate.TickerRow | None = None
        self.milliseconds = 0  # of the last frame
        self._subscription = subscription
        self._url = f"{settings.luno_stream_url}/api/1/stream/{self.pair}"
        self._credentials = credentials(settings)
        self._book: OrderByOrderBook | None = None
        self._synced = asyncio.Event()
        self._doubted = asyncio.Event()
        self._doubt = ""  # why
        self._comparison = BookComparison(self.pair, rest)
        self._refused = FailureLog("stream_refused", pair=self.pair)
        self._stats = stats
        self._bad_frames = BadFrames(f"luno {self.pair}", stats)
        self._quote: tuple[float, float, float, float | None] | None = None
        self._last_price = 0.0
        self._odd_price_logged = False
        self.trades = TradeFeed(
            subscription.publisher,
            lambda _: rest.trades(self.pair),
            contiguous=False,
            last=subscription.last_trade,
            on_anew=partial(subscription.status.note, IDS_RESTARTED),
        )
        subscription.status.sequence = lambda: self.sequence
        subscription.status.trades = self.trades.counts

    @property
    def down(self) -> bool:
        """True while no stream supplies the book."""
        return self._book is None

    @property
    def sequence(self) -> int | None:
        """The number of the last update in the book; None while it isn't in sync."""
        return None if self._book is None else self._book.sequence

    async def run(self) -> None:
        """Keep the socket alive until cancelled; a refusal is tried again with patience."""
        await keep_alive(
            self._session,
            name=f"luno_stream_{self.pair}",
            on_retry=self._subscription.status.retrying,
        )

    async def _session(self) -> None:
        self._doubted.clear()
        try:
            async with open_socket(self._url, self._on_frame, stats=self._stats) as socket:
                socket.send(self._credentials)
                self._subscription.status.syncing("waiting for the snapshot")
                await raise_first_error(
                    socket.closed(), self._snapshot_in_time(), self._until_doubted()
                )
        except FeedStoppedError as e:
            self._refused.seen(e)
            raise TransientError(str(e), retry_after=RETRY_REFUSED) from e
        finally:
            self._out_of_sync()
            self._subscription.status.stale("the socket is gone")

    async def _snapshot_in_time(self) -> None:
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT):
                await self._synced.wait()
        except TimeoutError:
            raise TransientError(f"no snapshot within {SNAPSHOT_TIMEOUT:g} s") from None

    async def _until_doubted(self) -> None:
        await self._doubted.wait()
        raise TransientError(self._doubt)

    def _start_anew(self, doubt: str) -> None:
        """The book may not be the venue's: only a new connection brings a new snapshot."""
        self._doubt = doubt
        self._doubted.set()

    async def compare_levels(self) -> None:
        """Compare the book's best levels with REST's; start again if they differ.

        Raises what the kit's `errors` lists.
        """
        book = self._book
        if book is None:
            return
        found = await self._comparison.difference(book)
        if self._book is book:  # it wasn't replaced meanwhile
            self._subscription.status.book_compared(found)
            if found is not None:
                self._start_anew("the book's levels aren't those of REST")

    def compare(self, row: translate.TickerRow) -> None:
        """REST's view of this pair: its volume, and whether our stream still moves with it."""
        self.ticker = row
        if self._last_price == 0.0:
            self._last_price = row.last
        if self._book is not None:
            if row.milliseconds > self.milliseconds + SILENT_BEHIND:
                self._start_anew("the stream is silent, though REST moves on")
            self._publish_ticker(self._book, self.milliseconds)

    def _out_of_sync(self) -> None:
        self._book = None
        self._subscription.status.on_market(None)
        self._synced.clear()
        self._subscription.publisher.hold_book()

    def _on_frame(self, payload: bytes) -> None:
        status = self._subscription.status
        status.heard_at = monotonic()
        if payload == translate.KEEP_ALIVE:
            return
        try:
            frame = translate.frame(payload)
            if frame.error_code is not None:
                raise refusal(frame.error_code, frame.error or "")
            if frame.timestamp <= 0:
                raise ValueError("no timestamp")
            status.event_at, status.event_heard_at = frame.timestamp, status.heard_at
            if frame.asks is not None or frame.bids is not None:
                self._start(frame)
            elif frame.sequence is not None and self._book is not None:
                self._apply(self._book, frame.sequence, frame)
            else:
                raise ValueError("neither a snapshot nor an update")
        except (ValueError, ArithmeticError, RecursionError) as e:
            self._bad_frames.add(payload, e)

    def _start(self, snapshot: translate.Frame) -> None:
        book = translate.book(snapshot)
        if gap := crossed(book):
            raise self._misfit(gap)
        self._book = book
        self.milliseconds = snapshot.timestamp
        self._synced.set()
        self._subscription.status.live()
        if snapshot.status is not None:
            self._subscription.status.on_market(translate.market_status(snapshot.status))
        self._refused.over()
        self._subscription.publisher.book(book, snapshot.timestamp)
        self.trades.reconnected()
        self._publish_ticker(book, snapshot.timestamp)

    def _apply(self, book: OrderByOrderBook, sequence: int, update: translate.Frame) -> None:
        outcome = book.apply(
            sequence, translate.fills(update), translate.created(update), translate.deleted(update)
        )
        if isinstance(outcome, SequenceGap):
            raise self._misfit(outcome)
        self.milliseconds = update.timestamp
        if update.status_update is not None:
            self._subscription.status.on_market(
                translate.market_status(update.status_update.status)
            )
        for reported, trade in zip(update.trade_updates or (), outcome, strict=True):
            price = float(trade.price)
            self._last_price = price
            self.trades.add(
                VenueTrade(
                    reported.sequence, update.timestamp, price, float(trade.quantity), trade.side
                )
            )
            self._check_price(reported, trade)
        if update.trade_updates or update.create_update or update.delete_update:
            self._comparison.note(book)
            self._subscription.publisher.book(book, update.timestamp)
            self._publish_ticker(book, update.timestamp)

    def _misfit(self, gap: SequenceGap) -> TransientError:
        """Publish nothing more of this book; only a new connection brings a new snapshot."""
        reason = f"the book doesn't fit: {gap.reason}"
        self._out_of_sync()
        self._subscription.status.syncing(reason)
        return TransientError(reason)

    def _check_price(self, reported: translate.TradeUpdate, trade: BookTrade) -> None:
        """The maker's price should be counter / base; log once if it isn't."""
        if self._odd_price_logged or not reported.counter.is_finite():
            return
        if reported.counter != trade.price * trade.quantity:
            self._odd_price_logged = True
            log.warning(
                "trade_price_odd",
                pair=self.pair,
                price=str(trade.price),
                base=str(reported.base),
                counter=str(reported.counter),
            )

    def _publish_ticker(self, book: OrderByOrderBook, milliseconds: int) -> None:
        """Publish the ticker where it changed; a book without one side has none."""
        bid, ask = book.bids.best, book.asks.best
        if bid is None or ask is None or not self._last_price:
            return
        quote = (self._last_price, bid, ask, self.ticker.volume if self.ticker else None)
        if quote != self._quote:
            self._quote = quote
            self._subscription.publisher.ticker(milliseconds, *quote)


def refusal(code: str, message: str) -> TransientError | FeedStoppedError:
    """What an error frame means: some pass, some don't."""
    text = f"Luno refused the stream: {excerpt(f'{code} {message}')}"
    if code.startswith(BAD_KEY):
        return FeedStoppedError(f"{text}; {KEY_HELP}")
    return FeedStoppedError(text) if code == UNKNOWN_PAIR else TransientError(text)


def credentials(settings: LunoSettings) -> bytes:
    """The first frame of any stream of Luno's."""
    key_id, secret = settings.luno_api_key_id, settings.luno_api_secret_key
    return msgspec.json.encode(
        {
            "api_key_id": key_id.get_secret_value() if key_id else "",
            "api_key_secret": secret.get_secret_value() if secret else "",
        }
    )


async def stream_market_data(
    rest: LunoRest,
    subscriptions: Sequence[SymbolSubscription],
    settings: LunoSettings,
    stats: SocketStats,
) -> None:
    """Supply each subscription until cancelled; those beyond `MOST_STREAMS` by polling."""
    streamed, polled = subscriptions[:MOST_STREAMS], subscriptions[MOST_STREAMS:]
    feeds = {
        subscription.instrument.venue_symbol: PairFeed(subscription, rest, settings, stats)
        for subscription in streamed
    }
    async with asyncio.TaskGroup() as tasks:
        if polled:
            tasks.create_task(poll_market_data(rest, polled))
        tasks.create_task(_poll_tickers(rest, feeds, settings))
        tasks.create_task(_poll_trades_of_the_down(feeds.values()))
        tasks.create_task(_compare_books(feeds.values(), settings.book_audit_interval))
        for feed in feeds.values():
            tasks.create_task(feed.run())
            tasks.create_task(feed.trades.refill_holes())


async def _poll_trades_of_the_down(feeds: Collection[PairFeed]) -> None:
    while True:
        await asyncio.sleep(max(TRADES_INTERVAL, len(feeds)))
        for feed in feeds:
            if feed.down:
                feed.trades.reconnected()


async def _compare_books(feeds: Collection[PairFeed], interval: float) -> None:
    """Compare the levels of one book a round with REST's, in turn."""
    failures = FailureLog("book_not_compared")
    while True:
        for feed in feeds:
            await asyncio.sleep(interval)
            try:
                await feed.compare_levels()
            except (TransientError, RejectedError, FeedStoppedError) as e:
                failures.seen(e, pair=feed.pair)
            else:
                failures.over()


async def _poll_tickers(rest: LunoRest, feeds: dict[str, PairFeed], settings: LunoSettings) -> None:
    interval = min(TICKERS_INTERVAL, settings.book_audit_interval)
    failures = FailureLog("tickers_failed")
    while True:
        try:
            rows = await rest.tickers(list(feeds))
        except (TransientError, RejectedError, FeedStoppedError) as e:
            failures.seen(e)
        else:
            failures.over()
            for row in rows:
                if row.pair in feeds:
                    feeds[row.pair].compare(row)
        await asyncio.sleep(interval)
