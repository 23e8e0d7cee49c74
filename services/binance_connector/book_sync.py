"""One symbol's book on Binance: joined to a snapshot, checked on every update.

The recipe with its step numbers is in `market_data/order_book.py`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from services._connector_kit.errors import (
    FeedStoppedError,
    RejectedError,
    TransientError,
    patience,
)
from services._connector_kit.market_data.order_book import (
    ApplyOutcome,
    LevelBook,
    SequenceGap,
    crossed,
    difference,
)
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._runtime.supervise import FailureLog, full_jitter
from services.binance_connector.translate import DepthSnapshot, DepthUpdate

# Updates that wait for a snapshot; beyond this the oldest go, and the snapshot must be newer.
MOST_BUFFERED = 10_000
# A snapshot is held until an update joins it, or for this long where the market is quiet.
SETTLE = 1.0
# A book that is lost sooner than this is joined again with growing waits.
STEADY_AFTER = 30.0
# A comparison with REST: the levels it asks for, and how long the stream may be behind, in seconds.
COMPARED_LIMIT = 100
COMPARED_WITHIN = 5.0


class BookSync:
    """Publishes the book while it is in sync, and gets it back in sync when it isn't."""

    def __init__(
        self,
        subscription: SymbolSubscription,
        fetch: Callable[[int], Awaitable[DepthSnapshot]],
        depth: int,
    ) -> None:
        self.book: LevelBook | None = None
        self._subscription = subscription
        self._connection = 0  # counts sockets: a snapshot is joined to the one it was asked for
        self._fetch = fetch
        self._depth = depth
        # Deep enough that the published levels don't run out between two snapshots.
        self._limit = 1000 if depth <= 200 else 5000
        self._buffer: deque[DepthUpdate] = deque(maxlen=MOST_BUFFERED)
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._followed: deque[DepthUpdate] | None = None  # kept while a comparison is going on
        self._moved = asyncio.Event()

    @property
    def sequence(self) -> int | None:
        """The id of the last update in the book; None while it isn't in sync."""
        return None if self.book is None else self.book.update_id

    def connected(self) -> None:
        """A socket is up: from here on updates are buffered (step 1)."""
        self._connection += 1
        self._resync("the socket is new")

    def disconnected(self, reason: str) -> None:
        """No updates any more."""
        self._start_again()
        self._subscription.status.stale(reason)
        self._wanted.clear()

    def apply(self, update: DepthUpdate) -> None:
        """An update came in."""
        if self._followed is not None:
            self._followed.append(update)
            self._moved.set()
        book = self.book
        if book is None:
            self._buffer.append(update)
            self._arrived.set()
            return
        outcome = book.apply(update.U, update.u, update.b, update.a)
        if isinstance(outcome, SequenceGap):
            self._resync(outcome.reason)
            self._buffer.append(update)
        elif outcome is ApplyOutcome.APPLIED:
            if book.thin(self._depth):
                self._resync("too few levels are left of the snapshot")
            else:
                self._subscription.publisher.book(book, update.E)

    async def compare(self) -> None:
        """Compare the book's levels with REST's, and synchronize it again if they differ.

        The snapshot is brought to the book's update by the same updates that the book got. Where
        that can't be done now, nothing is said.

        Raises what the kit's `errors` lists.
        """
        if self.sequence is None or self._followed is not None:
            return
        followed = self._followed = deque(maxlen=MOST_BUFFERED)
        try:
            snapshot = await self._fetch(COMPARED_LIMIT)
            await self._come_to(snapshot.update_id)
            theirs = _brought_on(snapshot, followed)
        finally:
            self._followed = None
        if self.book is None or theirs is None or theirs.update_id != self.book.update_id:
            return
        found = difference(self.book, theirs, min(self._depth, COMPARED_LIMIT))
        self._subscription.status.book_compared(found)
        if found is not None:
            self._resync("the book's levels aren't those of REST")

    async def _come_to(self, update_id: int) -> None:
        """Wait a while until the book has that update: REST may be ahead of the stream."""
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPARED_WITHIN):
                while (self.sequence or update_id) < update_id:
                    self._moved.clear()
                    await self._moved.wait()

    def _resync(self, reason: str) -> None:
        self._start_again()
        self._subscription.status.syncing(reason)
        self._wanted.set()

    def _start_again(self) -> None:
        self.book = None
        self._buffer.clear()
        self._arrived.clear()
        self._subscription.publisher.hold_book()

    async def keep_joined(self) -> None:
        """Join the book to a snapshot whenever it isn't; runs until cancelled."""
        waits = full_jitter(first=0.2)
        failures = FailureLog("book_not_joined", symbol=self._subscription.status.symbol)
        while True:
            await self._wanted.wait()
            try:
                await self._join()
            except (TransientError, RejectedError, FeedStoppedError) as e:
                pause = max(next(waits), patience(e))
                retry = failures.retrying(e, pause)
                if self._wanted.is_set():
                    self._subscription.status.syncing(retry.cause, retry)
                await asyncio.sleep(pause)
            else:
                if await self._lost_at_once():
                    await asyncio.sleep(next(waits))
                else:
                    waits = full_jitter(first=0.2)
                    failures.over()

    async def _lost_at_once(self) -> bool:
        """True when the book is out of sync again within `STEADY_AFTER`."""
        try:
            async with asyncio.timeout(STEADY_AFTER):
                await self._wanted.wait()
        except TimeoutError:
            return False
        return True

    async def _join(self) -> None:
        connection = self._connection
        snapshot = await self._fetch(self._limit)  # 2
        with suppress(TimeoutError):  # a quiet market: nothing changed since the snapshot
            async with asyncio.timeout(SETTLE):
                await self._arrived.wait()
        if not self._wanted.is_set() or self._connection != connection:
            return  # the socket went away meanwhile
        milliseconds = time.time_ns() // 1_000_000
        try:
            book = LevelBook(snapshot.update_id, snapshot.bids, snapshot.asks, limit=self._limit)
        except ValueError as e:
            raise TransientError(f"the snapshot can't be read: {e}") from e
        outcome: ApplyOutcome | SequenceGap | None = crossed(book)
        while self._buffer and not isinstance(outcome, SequenceGap):  # 3, 4, 5
            update = self._buffer[0]
            outcome = book.apply(update.U, update.u, update.b, update.a)
            if not isinstance(outcome, SequenceGap):
                self._buffer.popleft()
                milliseconds = update.E
        if isinstance(outcome, SequenceGap):
            raise TransientError(f"the snapshot doesn't join: {outcome.reason}")
        self.book = book
        self._wanted.clear()
        self._subscription.status.live()
        self._subscription.publisher.book(book, milliseconds)


def _brought_on(snapshot: DepthSnapshot, updates: Iterable[DepthUpdate]) -> LevelBook | None:
    """The book of a snapshot after *updates*; None where they don't join it."""
    try:
        book = LevelBook(snapshot.update_id, snapshot.bids, snapshot.asks, limit=COMPARED_LIMIT)
    except ValueError as e:
        raise TransientError(f"the snapshot can't be read: {e}") from e
    for update in updates:
        if isinstance(book.apply(update.U, update.u, update.b, update.a), SequenceGap):
            return None
    return book
