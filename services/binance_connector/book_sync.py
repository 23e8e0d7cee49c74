"""One symbol's book on Binance: joined to a snapshot, checked on every update.

The recipe with its step numbers is in `market_data/order_book.py`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.market_data.desk import MarketDesk
from services._connector_kit.market_data.order_book import Gap, LevelBook, Outcome
from services._runtime.supervise import full_jitter
from services.binance_connector.translate import DepthUpdate, Snapshot

# Updates that wait for a snapshot; beyond this the oldest go, and the snapshot must be newer.
MOST_BUFFERED = 10_000
# A snapshot is held until an update joins it, or for this long where the market is quiet.
SETTLE = 1.0


class BookSync:
    """Publishes the book while it is in sync, and gets it back in sync when it isn't."""

    def __init__(
        self, desk: MarketDesk, fetch: Callable[[int], Awaitable[Snapshot]], depth: int
    ) -> None:
        self.book: LevelBook | None = None
        self.resyncs = 0
        self._desk = desk
        self._fetch = fetch
        self._depth = depth
        # Deep enough that the published levels don't run out between two snapshots.
        self._limit = 1000 if depth <= 200 else 5000
        self._buffer: deque[DepthUpdate] = deque(maxlen=MOST_BUFFERED)
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()

    def connected(self) -> None:
        """A socket is up: from here on updates are buffered (step 1)."""
        self._start_again("the socket is new")
        self._wanted.set()

    def disconnected(self, reason: str) -> None:
        """No updates any more."""
        self._start_again(reason)
        self._wanted.clear()

    def apply(self, update: DepthUpdate) -> None:
        """An update came in."""
        book = self.book
        if book is None:
            self._buffer.append(update)
            self._arrived.set()
            return
        outcome = book.apply(update.U, update.u, update.b, update.a)
        if outcome is Outcome.APPLIED:
            self._desk.publisher.book(book, update.E)
            if book.thin(self._depth):
                self._resync("too few levels are left of the snapshot")
        elif isinstance(outcome, Gap):
            self._resync(outcome.reason)
            self._buffer.append(update)

    def _resync(self, reason: str) -> None:
        self.resyncs += 1
        self._start_again(reason)
        self._wanted.set()

    def _start_again(self, reason: str) -> None:
        self.book = None
        self._buffer.clear()
        self._arrived.clear()
        self._desk.publisher.hold_book()
        self._desk.status.syncing(reason)

    async def keep_joined(self) -> None:
        """Join the book to a snapshot whenever it isn't; runs until cancelled."""
        waits = full_jitter(first=0.2)
        while True:
            await self._wanted.wait()
            try:
                await self._join()
            except TransientError as e:
                if self._wanted.is_set():
                    self._desk.status.syncing(str(e))
                await asyncio.sleep(max(next(waits), e.retry_after))
            except RejectedError as e:
                self._desk.status.stopped(str(e))
                return
            else:
                waits = full_jitter(first=0.2)

    async def _join(self) -> None:
        snapshot = await self._fetch(self._limit)  # 2
        with suppress(TimeoutError):  # a quiet market: nothing changed since the snapshot
            await asyncio.wait_for(self._arrived.wait(), SETTLE)
        if not self._wanted.is_set():
            return  # the socket went away meanwhile
        milliseconds = time.time_ns() // 1_000_000
        try:
            book = LevelBook(snapshot.update_id, snapshot.bids, snapshot.asks, limit=self._limit)
            while self._buffer:  # 3, 4, 5
                update = self._buffer[0]
                outcome = book.apply(update.U, update.u, update.b, update.a)
                if isinstance(outcome, Gap):
                    raise TransientError(f"the snapshot doesn't join: {outcome.reason}")
                milliseconds = update.E
                self._buffer.popleft()
        except ValueError as e:
            raise TransientError(f"a book can't be read: {e}") from e
        self.book = book
        self._wanted.clear()
        self._desk.status.live()
        self._desk.publisher.book(book, milliseconds)
