"""Every trade once and in order, across reconnects and lost frames."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from common_models.fields import Side
from services._connector_kit.errors import RejectedError
from services._connector_kit.market_data.publisher import Publisher
from services._runtime.supervise import TransientError, full_jitter

log = structlog.get_logger()

# Trades that arrive while a hole is refilled wait here; more than this, and the hole is given up.
MOST_HELD = 100_000
# A hole larger than this is history, which is not our business.
MOST_REFILLED = 20_000
# The venue showed trades beyond the hole, but its history has none of the hole: so often is asked.
MOST_MISSES = 5


class Tick(NamedTuple):
    """One trade of a venue. `side` is the taker's."""

    trade_id: int
    milliseconds: int
    price: float
    quantity: float
    side: Side


class TradeFeed:
    """One symbol's trades.

    `fetch(first_id)` asks the venue for a page of trades from that id on, in order.
    `contiguous` says that the venue's ids have no holes, so that a hole is a lost trade.
    `last_id` is the last trade that was published, if any ever was.
    """

    def __init__(
        self,
        publisher: Publisher,
        fetch: Callable[[int], Awaitable[list[Tick]]],
        *,
        contiguous: bool,
        last_id: int | None,
    ) -> None:
        self.last_id = last_id
        self.repeated = self.refilled = self.lost = 0
        self._publisher = publisher
        self._fetch = fetch
        self._contiguous = contiguous
        self._held: deque[Tick] | None = None
        self._hole = asyncio.Event()

    def add(self, tick: Tick) -> None:
        """A trade came in."""
        if self._held is not None:
            self._held.append(tick)
            return
        last = self.last_id
        if last is None or tick.trade_id == last + 1:
            self._publish(tick)
        elif tick.trade_id <= last:
            self.repeated += 1
        elif self._contiguous:
            self._hold(tick)
        else:
            self._publish(tick)

    def reconnected(self) -> None:
        """There may have been trades that nobody told us of."""
        if self.last_id is not None:
            self._hold()

    async def refill_holes(self) -> None:
        """Refill holes as they appear; runs until cancelled."""
        while True:
            await self._hole.wait()
            self._hole.clear()
            await self._refill()
            self._release()

    def _hold(self, *ticks: Tick) -> None:
        if self._held is None:
            self._held = deque()
        self._held.extend(ticks)
        self._hole.set()

    def _publish(self, tick: Tick) -> None:
        self.last_id = tick.trade_id
        self._publisher.trade(
            tick.milliseconds, tick.price, tick.quantity, tick.side, tick.trade_id
        )

    async def _refill(self) -> None:
        """Publish what the venue has between the last trade and the first one that is held."""
        waits = full_jitter(first=0.2)
        refilled = misses = failures = 0
        while not self._joined():
            last = self.last_id or 0
            if refilled >= MOST_REFILLED or len(self._held or ()) >= MOST_HELD:
                self._give_up("too large")
                return
            try:
                page = await self._fetch(last + 1)
            except TransientError as e:
                failures += 1
                say = log.warning if failures == 1 else log.debug
                say("trades_refill_failed", error=str(e), failures=failures)
                await asyncio.sleep(max(next(waits), e.retry_after))
                continue
            except RejectedError as e:
                self._give_up(str(e))
                return
            new = [tick for tick in page if tick.trade_id > last]
            if not new:
                misses += 1
                if not (self._contiguous and self._held) or misses >= MOST_MISSES:
                    self._give_up("the venue has no more")
                    return
                await asyncio.sleep(next(waits))  # its query side may lag behind its stream
                continue
            if self._contiguous and new[0].trade_id > last + 1:
                self._count_lost(last + 1, new[0].trade_id - 1, "the venue has none of them")
            for tick in new:
                self._publish(tick)
            refilled += len(new)
            self.refilled += len(new)

    def _joined(self) -> bool:
        """True when the first held trade follows the last published one."""
        if not self._held or self.last_id is None:
            return False
        return self._held[0].trade_id <= self.last_id + 1

    def _give_up(self, reason: str) -> None:
        if self._held and self.last_id is not None and self._contiguous:
            first, last = self.last_id + 1, self._held[0].trade_id - 1
            if first <= last:
                self._count_lost(first, last, reason)
            self.last_id = max(last, self.last_id)

    def _count_lost(self, first: int, last: int, reason: str) -> None:
        self.lost += last - first + 1
        log.error("trades_lost", first=first, last=last, reason=reason)

    def _release(self) -> None:
        held, self._held = self._held or deque(), None
        while held:
            self.add(held.popleft())
            if self._hole.is_set():  # another hole: the rest waits behind it
                self._hold(*held)
                return
