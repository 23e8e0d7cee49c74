"""Luno without a key: its market stream wants one, so the same models come from its public REST."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.market_data.desk import MarketDesk
from services._connector_kit.market_data.order_book import crossed
from services._runtime.supervise import full_jitter
from services.luno_connector.rest import LunoRest
from services.luno_connector.translate import TickerRow

log = structlog.get_logger()

# Half of Luno's 300 calls a minute: the rest is for whoever shares the address.
CALLS_A_SECOND = 2.5
SHORTEST_ROUND = 1.0
# Without a key even a refused one will pass: something in front of Luno said it.
NO_ANSWER = (TransientError, RejectedError, FeedStoppedError)
# The most that `GET /api/1/trades` gives.
TRADES_PAGE = 100


class PolledPair:
    """One pair: what was published of it last."""

    def __init__(self, desk: MarketDesk, rest: LunoRest) -> None:
        self.desk = desk
        self.pair = desk.instrument.venue_symbol
        self._rest = rest
        self._last_trade_id = desk.last_trade_id
        self._ticker: TickerRow | None = None
        self._book_at = 0  # milliseconds
        self._failures = 0

    async def poll(self, ticker: TickerRow | None) -> bool:
        """Publish what is new; False where that failed, which is said once."""
        try:
            await self._poll(ticker)
        except NO_ANSWER as e:
            self.failed(e)
            return False
        self._failures = 0
        return True

    def failed(self, error: Exception) -> None:
        """Nothing new could be had."""
        self._failures += 1
        say = log.warning if self._failures == 1 else log.debug
        say("poll_failed", pair=self.pair, error=str(error), failures=self._failures)
        self.desk.status.stale(str(error))

    async def _poll(self, ticker: TickerRow | None) -> None:
        """The ticker, the book, and every trade once and in order."""
        if ticker is not None and ticker != self._ticker:
            self._ticker = ticker
            self.desk.publisher.ticker(
                ticker.milliseconds, ticker.last, ticker.bid, ticker.ask, ticker.volume
            )
        top = await self._rest.top_of_book(self.pair)
        self.desk.status.heard_at = monotonic()
        if gap := crossed(top.book):
            raise TransientError(f"the book doesn't fit: {gap.reason}")
        if top.milliseconds >= self._book_at:  # a cache may answer with an older one
            self._book_at = top.milliseconds
            self.desk.publisher.book(top.book, top.milliseconds)
        await self._poll_trades()
        self.desk.status.live()

    async def _poll_trades(self) -> None:
        trades = await self._rest.trades(self.pair)
        last = self._last_trade_id
        if last is None:  # the first poll says where now is: what came before is history
            self._last_trade_id = trades[-1].trade_id if trades else 0
            return
        new = [trade for trade in trades if trade.trade_id > last]
        if len(new) == TRADES_PAGE and new[0].trade_id > last + 1:
            log.error("trades_lost", pair=self.pair, after=last, before=new[0].trade_id)
        for trade in new:
            self.desk.publisher.trade(
                trade.milliseconds, trade.price, trade.quantity, trade.side, trade.trade_id
            )
            self._last_trade_id = trade.trade_id


async def poll_market_data(rest: LunoRest, desks: Sequence[MarketDesk]) -> None:
    """Keep the desks supplied until cancelled, within half of the rate limit."""
    pairs = [PolledPair(desk, rest) for desk in desks]
    calls_a_round = 1 + 2 * len(pairs)
    period = max(SHORTEST_ROUND, calls_a_round / CALLS_A_SECOND)
    log.info("polling_without_key", pairs=len(pairs), every=period)
    loop = asyncio.get_running_loop()
    waits = full_jitter()
    while True:
        started = loop.time()
        if await _round(rest, pairs):
            waits = full_jitter()
        else:
            await asyncio.sleep(next(waits))
        await asyncio.sleep(max(0.0, started + period - loop.time()))


async def _round(rest: LunoRest, pairs: Sequence[PolledPair]) -> bool:
    """One look at everything; False where none of it worked. One pair's trouble is its own."""
    try:
        rows = {row.pair: row for row in await rest.tickers([pair.pair for pair in pairs])}
    except NO_ANSWER as e:
        for pair in pairs:
            pair.failed(e)
        return False
    return any([await pair.poll(rows.get(pair.pair)) for pair in pairs])
