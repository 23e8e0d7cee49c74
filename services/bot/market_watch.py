"""Feeds the data provider, judges whether the market data is fresh, and sums it up in the log."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from common_models import OrderBook, Ticker, Trade
from services._runtime.health import Readiness
from services._runtime.stream_position import Gap
from services._runtime.stream_reader import Batch
from services.bot.data_provider import DataProvider, Feed, MarketData

log = structlog.get_logger()

# A feed whose last message is older, in seconds, is stale.
FRESH_FOR = 10.0
JUDGE_EVERY = 0.5
SUMMARY_EVERY = 20.0
# A feed that keeps sending what can't be read is logged this often, in seconds.
MALFORMED_LOG_EVERY = 10.0
TEXT_SHOWN = 200


class MarketWatch:
    """Stands between the stream reader and the data provider."""

    def __init__(
        self,
        provider: DataProvider,
        readiness: Readiness,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.gaps = 0
        self._provider = provider
        self._readiness = readiness
        self._clock = clock or asyncio.get_running_loop().time
        self._summed_up = dict.fromkeys(provider.feeds, 0)
        self._log_malformed_after: dict[str, float] = {}

    def take(self, batch: Batch) -> None:
        """Feed one batch; what can't be read is counted, and logged now and then."""
        feed = self._provider.feeds[batch.stream]
        now = self._clock()
        fault = feed.take([data for _, data in batch.entries], now - batch.age)
        if fault is not None and now >= self._log_malformed_after.get(feed.name, now):
            self._log_malformed_after[feed.name] = now + MALFORMED_LOG_EVERY
            log.warning(
                "malformed_entries",
                stream=feed.name,
                malformed=feed.malformed,
                last_fault=fault[:TEXT_SHOWN],
                batch_ends=batch.entries[-1][0],
            )

    def note_gap(self, _: Gap) -> None:
        """The reader logs what it missed; here it is counted."""
        self.gaps += 1

    def stale(self) -> list[str]:
        """Names of the feeds whose last message is too old, or that never had one."""
        now = self._clock()
        return [feed.name for feed in self._provider.feeds.values() if not _is_fresh(feed, now)]

    def judge(self) -> None:
        """Ready when every feed has delivered, and no quote is stale.

        A quiet market has no trades, so trades need only have come once.
        """
        now = self._clock()
        reasons = [reason for feed in self._provider.feeds.values() if (reason := _why(feed, now))]
        if reasons:
            self._readiness.waiting("market_data", "; ".join(reasons))
        else:
            self._readiness.ok("market_data")

    def summary(self) -> dict[str, Any]:
        """All feeds, and what is wrong with them; `entries` are those since the last summary."""
        now = self._clock()
        feeds = self._provider.feeds.values()
        stale = self.stale()
        streams = {}
        for feed in feeds:
            streams[feed.name] = {
                "age": _rounded(feed.age(now)),
                "entries": feed.entries - self._summed_up[feed.name],
                **_prices(feed.latest),
            }
            self._summed_up[feed.name] = feed.entries
        return {
            "fresh": len(streams) - len(stale),
            "of": len(streams),
            "stale": stale,
            "malformed": sum(feed.malformed for feed in feeds),
            "gaps": self.gaps,
            "streams": streams,
        }

    async def keep_judging(self) -> None:
        """Tell the readiness, again and again."""
        while True:
            self.judge()
            await asyncio.sleep(JUDGE_EVERY)

    async def keep_summing_up(self) -> None:
        """Log the summary a few times a minute, and at the stop."""
        try:
            while True:
                await asyncio.sleep(SUMMARY_EVERY)
                log.info("market_summary", **self.summary())
        finally:
            log.info("market_summary", **self.summary())


def _is_fresh(feed: Feed, now: float) -> bool:
    age = feed.age(now)
    return age is not None and age < FRESH_FOR


def _why(feed: Feed, now: float) -> str | None:
    """Why *feed* keeps the bot from being ready."""
    age = feed.age(now)
    if age is None:
        return f"{feed.name}: nothing yet"
    if feed.data_type != "trades" and age >= FRESH_FOR:
        return f"{feed.name}: last message {age:.0f} s ago"
    return None


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 2)


def _prices(latest: MarketData | None) -> dict[str, float | None]:
    if isinstance(latest, Ticker):
        prices = (latest.last_price, latest.bid_price, latest.ask_price)
        return dict(zip(("last_price", "bid", "ask"), prices, strict=True))
    if isinstance(latest, OrderBook):
        bid, ask = latest.bids[:1], latest.asks[:1]
        return {"bid": bid[0].price if bid else None, "ask": ask[0].price if ask else None}
    if isinstance(latest, Trade):
        return {"last_price": latest.price}
    return {}
