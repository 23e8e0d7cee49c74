"""Luno without a key: its market stream needs one, so the same models come from its public REST."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.market_data.order_book import crossed
from services._connector_kit.market_data.status import IDS_RESTARTED
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import LastTrade, VenueTrade
from services._runtime.supervise import FailureLog, full_jitter
from services.luno_connector.rest import LunoRest
from services.luno_connector.translate import TickerRow

log = structlog.get_logger()

# Half of Luno's 300 calls a minute: the rest is for other clients with the same address.
CALLS_A_SECOND = 2.5
# Without a key even a refused one will pass: something in front of Luno said it.
NO_ANSWER = (TransientError, RejectedError, FeedStoppedError)
# The most that `GET /api/1/trades` gives.
TRADES_PAGE = 100
# A pair that makes this share of a page in the time of a round is asked more often.
BUSY_SHARE = 0.25


class PolledPair:
    """One pair: what was published of it last."""

    def __init__(self, subscription: SymbolSubscription, rest: LunoRest) -> None:
        self.subscription = subscription
        self.pair = subscription.instrument.venue_symbol
        self.trades_a_second = 0.0
        self._rest = rest
        self._last_trade = subscription.last_trade
        self._asked_trades_at = float("-inf")
        self._ticker: TickerRow | None = None
        self._book_at = 0  # milliseconds
        self._failures = FailureLog("poll_failed", pair=self.pair)

    async def poll(self, ticker: TickerRow | None, turns: "Turns") -> bool:
        """Publish what is new; False where that failed."""
        if ticker is not None:
            self.subscription.status.on_market(ticker.market)
        if ticker is not None and ticker != self._ticker:
            self._ticker = ticker
            self.subscription.publisher.ticker(
                ticker.milliseconds, ticker.last, ticker.bid, ticker.ask, ticker.volume
            )
        try:
            await turns.take()
            await self._poll_book()
            await turns.take()
            await self._poll_trades()
        except NO_ANSWER as e:
            self.failed(e, turns.round)
            return False
        self._failures.over()
        self.subscription.status.polled(turns.round)
        return True

    async def poll_trades(self, again_in: float) -> None:
        """Publish new trades; where that fails, it is tried again in so many seconds."""
        try:
            await self._poll_trades()
        except NO_ANSWER as e:
            self.failed(e, again_in)

    def failed(self, error: Exception, again_in: float) -> None:
        """Nothing new could be had."""
        self.subscription.publisher.hold_book()
        self.subscription.status.on_market(None)
        self.subscription.status.retrying(self._failures.retrying(error, again_in))

    async def _poll_book(self) -> None:
        top = await self._rest.top_of_book(self.pair)
        status = self.subscription.status
        status.heard_at = status.event_heard_at = monotonic()
        status.event_at = top.milliseconds
        if gap := crossed(top.book):
            raise TransientError(f"the book doesn't fit: {gap.reason}")
        if top.milliseconds >= self._book_at:  # a cache may answer with an older one
            self._book_at = top.milliseconds
            self.subscription.publisher.book(top.book, top.milliseconds)

    async def _poll_trades(self) -> None:
        """Publish every trade once and in order, as far as the venue still lists them."""
        trades = await self._rest.trades(self.pair)
        now, before = asyncio.get_running_loop().time(), self._asked_trades_at
        self._asked_trades_at = now
        self.trades_a_second = _pace_of(trades)
        if self._last_trade is None:  # the first poll says where now is: before it is history
            self._last_trade = LastTrade(0, 0)
            if trades:
                self._last_trade = LastTrade(trades[-1].trade_id, trades[-1].milliseconds)
            return
        if trades and self._last_trade.precedes_anew(trades[-1]):
            self._begin_anew(trades[0].trade_id)
        last = self._last_trade.trade_id
        new = [trade for trade in trades if trade.trade_id > last]
        seen = len(new) / max(now - before, 1 / CALLS_A_SECOND)
        self.trades_a_second = max(seen, self.trades_a_second)
        if len(new) == TRADES_PAGE and new[0].trade_id > last + 1:
            self._count_lost(last + 1, new[0].trade_id - 1)
        for trade in new:
            self.subscription.publisher.trade(
                trade.milliseconds, trade.price, trade.quantity, trade.side, trade.trade_id
            )
            self._last_trade = LastTrade(trade.trade_id, trade.milliseconds)

    def _begin_anew(self, first: int) -> None:
        """The venue's ids go on from *first*, which is smaller than the last one was."""
        log.warning(IDS_RESTARTED, pair=self.pair, last=self._last_trade, first=first)
        self._last_trade = LastTrade(first - 1, 0)
        self.subscription.status.note(IDS_RESTARTED)

    def _count_lost(self, first: int, last: int) -> None:
        """At most so many: Luno doesn't say that its trades' numbers have no holes."""
        counts = self.subscription.status.trades
        counts.lost += last - first + 1
        log.error("trades_lost", pair=self.pair, first=first, last=last, since_start=counts.lost)


def _pace_of(trades: Sequence[VenueTrade]) -> float:
    """Trades a second by a full page's own times: after an outage the count of new ones says less.

    A page that isn't full says nothing: all that the market ever did may lie in one moment.
    """
    if len(trades) < TRADES_PAGE:
        return 0.0
    seconds = (trades[-1].milliseconds - trades[0].milliseconds) / 1000
    return len(trades) / max(seconds, 1 / CALLS_A_SECOND)


class Turns:
    """When to call next: within the rate, and between any two calls the busy pairs' trades."""

    def __init__(self, pairs: Sequence[PolledPair]) -> None:
        self._pairs = pairs
        # The length of a round in seconds: at least the time of one request for everything.
        self.round = self._shortest = (1 + 2 * len(pairs)) / CALLS_A_SECOND
        self._began = float("-inf")
        self._next = 0.0

    async def begin_round(self) -> None:
        """Wait for the first turn of a round."""
        now = asyncio.get_running_loop().time()
        if self._began >= 0:
            self.round = max(self._shortest, now - self._began)
        self._began = now
        await self.take()

    async def take(self) -> None:
        """Wait for the next turn."""
        for pair in self._pairs:
            if pair.trades_a_second * self._shortest >= BUSY_SHARE * TRADES_PAGE:
                await self._pace()
                await pair.poll_trades(self.round)
        await self._pace()

    async def _pace(self) -> None:
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + 1 / CALLS_A_SECOND
        await asyncio.sleep(at - now)


async def poll_market_data(rest: LunoRest, subscriptions: Sequence[SymbolSubscription]) -> None:
    """Supply each subscription until cancelled, within half of the rate limit."""
    pairs = [PolledPair(subscription, rest) for subscription in subscriptions]
    turns = Turns(pairs)
    log.info("polling_without_stream", pairs=len(pairs))
    waits = full_jitter()
    pause = next(waits)
    while True:
        if await _round(rest, pairs, turns, pause):
            waits = full_jitter()
        else:
            await asyncio.sleep(pause)
        pause = next(waits)


async def _round(
    rest: LunoRest, pairs: Sequence[PolledPair], turns: Turns, again_in: float
) -> bool:
    """Poll everything once; False if every request failed. One pair's failure affects no other.

    If every request failed, the next round is *again_in* seconds later.
    """
    await turns.begin_round()
    try:
        rows = {row.pair: row for row in await rest.tickers([pair.pair for pair in pairs])}
    except NO_ANSWER as e:
        for pair in pairs:
            pair.failed(e, again_in)
        return False
    return any([await pair.poll(rows.get(pair.pair), turns) for pair in pairs])
