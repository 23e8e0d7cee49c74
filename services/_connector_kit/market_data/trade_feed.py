"""Every trade once and in order, across reconnects and lost frames."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
import structlog

from common_models.fields import Side
from services._connector_kit.errors import FeedStoppedError, RejectedError, patience
from services._connector_kit.market_data.publisher import Publisher
from services._connector_kit.market_data.status import TradeCounts
from services._runtime.supervise import FailureLog, TransientError, full_jitter

# Trades that arrive while a hole is refilled wait here; more than this, and the hole is given up.
MOST_HELD = 100_000
# A hole larger than this is history, which is not our business.
MOST_REFILLED = 20_000
# A venue's history may lag behind its stream: so often it is asked again, this far apart.
MOST_MISSES = 5
MISSES_WHEN_QUIET = 2
AFTER_A_MISS = 1.0
# So often the key may be refused before a hole is given up: live trades wait behind it meanwhile.
MOST_REFUSALS = 3
# A trade that was made this much later than the last one, in milliseconds, isn't the repetition of
# an older one, although its id is smaller: the venue's ids may have restarted.
ANEW_AFTER = 5_000


class VenueTrade(msgspec.Struct, frozen=True, order=True, gc=False):
    """One trade of a venue. `side` is the taker's. A struct is made faster than a tuple.

    `first_id` and `last_id` are of the trades that an aggregate is made of.
    """

    trade_id: int
    milliseconds: int
    price: float
    quantity: float
    side: Side
    first_id: int | None = None
    last_id: int | None = None


class LastTrade(NamedTuple):
    """The trade that was published last: its id, and when it was made."""

    trade_id: int
    milliseconds: int

    def precedes_anew(self, trade: VenueTrade) -> bool:
        """True if *trade* is newer but has no greater id: the ids may have restarted."""
        later = trade.milliseconds > self.milliseconds + ANEW_AFTER
        return later and trade.trade_id <= self.trade_id


def _nothing() -> None:
    """No callback is set."""


class TradeFeed:
    """One symbol's trades.

    `fetch(first_id)` asks the venue for a page of trades from that id on.
    `contiguous` says that the venue's ids have no holes, so that a hole is a lost trade.
    `last` is the last trade that was published, if any ever was. `on_anew` is called when
    the venue's ids have restarted, as a testnet's do when it is reset.
    """

    def __init__(
        self,
        publisher: Publisher,
        fetch: Callable[[int], Awaitable[list[VenueTrade]]],
        *,
        contiguous: bool,
        last: LastTrade | None,
        on_anew: Callable[[], None] = _nothing,
    ) -> None:
        self.last_id = last and last.trade_id
        self._last_at = last.milliseconds if last else 0
        self._on_anew = on_anew
        self._doubted = False  # the first that is held has a smaller id, and a later time
        self.counts = TradeCounts()
        self._publisher = publisher
        self._fetch = fetch
        self._contiguous = contiguous
        self._held: deque[VenueTrade] | None = None  # a hole is open, and these wait behind it
        self._wanted = asyncio.Event()
        self._log = structlog.get_logger().bind(symbol=publisher.symbol)

    @property
    def newest_id(self) -> int | None:
        """The id of the newest trade received, published or waiting behind a hole."""
        return self._held[-1].trade_id if self._held else self.last_id

    def add(self, trade: VenueTrade) -> None:
        """A trade came in."""
        last = self.last_id
        if self._held is not None:
            if self._is_repetition(trade):  # it would pass for the end of the hole
                self.counts.repeated += 1
                return
            self._held.append(trade)
            if len(self._held) >= MOST_HELD:
                if self._doubted:  # history is out of reach: count them as repeated
                    self._last_at, self._doubted = trade.milliseconds, False
                self._give_up(f"{MOST_HELD} trades wait behind it")
                self._release()
        elif last is None or trade.trade_id == last + 1:
            self._publish(trade)
        elif self._is_repetition(trade):
            self.counts.repeated += 1
        elif trade.trade_id <= last:
            self._held, self._doubted = deque([trade]), True
            self._wanted.set()
        elif self._contiguous:
            self._held = deque([trade])
            self._wanted.set()
        else:
            self._publish(trade)

    def _is_repetition(self, trade: VenueTrade) -> bool:
        """True for a trade that is published, False for one of the venue's next life too."""
        last = LastTrade(self.last_id or 0, self._last_at)
        return trade.trade_id <= last.trade_id and not last.precedes_anew(trade)

    def reconnected(self) -> None:
        """Trades may have been missed: ask the venue's history."""
        if self._held and not self._contiguous:
            # Ids don't show the hole between these and what comes next: history returns them again.
            self._held.clear()
        if self.last_id is not None:
            self._open()

    async def refill_holes(self) -> None:
        """Refill holes as they appear; runs until cancelled."""
        while True:
            await self._wanted.wait()
            self._open()
            self._wanted.clear()
            if self._doubted:
                await self._settle_doubt()
            await self._refill()
            self._release()

    def _open(self) -> None:
        if self._held is None:
            self._held = deque()
        self._wanted.set()

    def _publish(self, trade: VenueTrade) -> None:
        self.last_id, self._last_at = trade.trade_id, trade.milliseconds
        self._publisher.trade(
            trade.milliseconds,
            trade.price,
            trade.quantity,
            trade.side,
            trade.trade_id,
            trade.first_id,
            trade.last_id,
        )

    async def _settle_doubt(self) -> None:
        """Start again if the venue's history has nothing newer than the last trade either."""
        doubted, last = self._held[0] if self._held else None, self.last_id or 0
        page = await self._page(last + 1) if doubted else None
        if not self._doubted or not doubted:
            return  # given up meanwhile
        self._doubted = False
        if page is None or any(trade.trade_id > last for trade in page):
            self._last_at = max(self._last_at, doubted.milliseconds)  # it is a repetition
            return
        oldest = await self._page(0) or [doubted]
        self._begin_anew(min(oldest[0].trade_id, doubted.trade_id))

    def _begin_anew(self, first: int) -> None:
        """The venue's ids go on from *first*, which is smaller than the last one was."""
        self._log.warning("venue_ids_restarted", last=self.last_id, first=first)
        self.last_id = first - 1
        self._on_anew()

    async def _refill(self) -> None:
        """Publish what the venue has between the last trade and the first one that is held."""
        misses, before = 0, self.counts.refilled
        while not self._joined():
            if max(self.counts.refilled - before, self._size()) > MOST_REFILLED:
                self._give_up("too large")
                break
            last = LastTrade(self.last_id or 0, self._last_at)
            page = await self._page(last.trade_id + 1)
            if page is None or self._released():
                break
            if page and last.precedes_anew(page[-1]):
                self._begin_anew(page[0].trade_id)
            new = self._publish_page(page)
            if self._reached(page):
                break
            if new:
                misses = 0
            elif self._contiguous and not self._held:
                break  # if there is a hole, the next trade will show it
            else:
                misses += 1
                if misses >= (MOST_MISSES if self._held else MISSES_WHEN_QUIET):
                    self._give_up("the venue returned no further trades")
                    break
                await asyncio.sleep(AFTER_A_MISS)
        if self.counts.refilled > before:
            self._log.info("trades_refilled", trades=self.counts.refilled - before)

    async def _page(self, first_id: int) -> list[VenueTrade] | None:
        """A page of history; None where the venue refuses it. Trouble is waited out."""
        waits = full_jitter(first=0.2)
        failures, refusals = FailureLog("trades_refill_failed", symbol=self._publisher.symbol), 0
        while True:
            try:
                return sorted(await self._fetch(first_id))
            except (TransientError, RejectedError, FeedStoppedError) as e:
                refusals += isinstance(e, FeedStoppedError)
                if isinstance(e, RejectedError) or refusals == MOST_REFUSALS:
                    self._give_up(str(e))
                    return None
                failures.seen(e)
                await asyncio.sleep(max(next(waits), patience(e)))

    def _publish_page(self, page: Sequence[VenueTrade]) -> int:
        """Publish what is new of a page; how many that were."""
        last = self.last_id or 0
        if not self._contiguous and page and page[0].trade_id > last + 1:
            self._count_lost(last + 1, page[0].trade_id - 1, "the venue's history begins later")
        new = 0
        for trade in page:
            last = self.last_id or 0
            if trade.trade_id <= last:
                continue
            if self._contiguous and trade.trade_id > last + 1:
                self._count_lost(last + 1, trade.trade_id - 1, "the venue has none of them")
            self._publish(trade)
            new += 1
        self.counts.refilled += new
        return new

    def _size(self) -> int:
        """How many trades are missing, as far as that is known."""
        if not (self._held and self._contiguous):
            return 0
        return self._held[0].trade_id - (self.last_id or 0) - 1

    def _released(self) -> bool:
        """True when too many trades waited, and the hole was given up."""
        return self._held is None

    def _joined(self) -> bool:
        """True when the first held trade follows the last published one.

        Where ids have holes no id shows that: the history must be read once.
        """
        held = self._held
        follows = held and held[0].trade_id <= (self.last_id or 0) + 1
        return held is None or bool(self._contiguous and follows)

    def _reached(self, page: Sequence[VenueTrade]) -> bool:
        """True when the venue's history has come as far as its stream."""
        held = self._held
        return bool(held and page and page[-1].trade_id >= held[0].trade_id)

    def _give_up(self, reason: str) -> None:
        if self._held and self._size() > 0:
            first, last = (self.last_id or 0) + 1, self._held[0].trade_id - 1
            self._count_lost(first, last, reason)
            self.last_id = last

    def _count_lost(self, first: int, last: int, reason: str) -> None:
        self.counts.lost += last - first + 1
        self._log.error("trades_lost", first=first, last=last, reason=reason)

    def _release(self) -> None:
        held, self._held = self._held or (), None
        for trade in held:
            self.add(trade)  # if there is another hole, the rest waits behind it
