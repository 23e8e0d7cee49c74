"""Luno without a key: its market stream wants one, so the same models come from its public REST."""

import asyncio
from collections.abc import Sequence

import structlog

from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.market_data.desk import MarketDesk
from services._connector_kit.market_data.order_book import crossed
from services._runtime.supervise import full_jitter
from services.luno_connector.rest import LunoRest
from services.luno_connector.translate import TickerRow

log = structlog.get_logger()

# Half of Luno's 300 calls a minute: the rest is for whoever shares the address.
CALLS_A_SECOND = 2.5
SHORTEST_ROUND = 1.0
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

    async def poll(self, ticker: TickerRow | None) -> None:
        """Publish what is new: the ticker, the book, and every trade once and in order."""
        if ticker is not None and ticker != self._ticker:
            self._ticker = ticker
            self.desk.publisher.ticker(
                ticker.milliseconds, ticker.last, ticker.bid, ticker.ask, ticker.volume
            )
        top = await self._rest.top_of_book(self.pair)
        gap = crossed(top.book)
        if gap is None:
            self.desk.status.live()
            self.desk.publisher.book(top.book, top.milliseconds)
        else:
            self.desk.status.syncing(gap.reason)
        await self._poll_trades()

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
        try:
            await _round(rest, pairs)
        except (TransientError, RejectedError) as e:
            for pair in pairs:
                pair.desk.status.syncing(str(e))
            await asyncio.sleep(max(next(waits), getattr(e, "retry_after", 0.0)))
        else:
            waits = full_jitter()
        await asyncio.sleep(max(0.0, started + period - loop.time()))


async def _round(rest: LunoRest, pairs: Sequence[PolledPair]) -> None:
    rows = {row.pair: row for row in await rest.tickers([pair.pair for pair in pairs])}
    for pair in pairs:
        await pair.poll(rows.get(pair.pair))
