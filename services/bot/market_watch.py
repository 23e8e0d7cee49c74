"""Feeds the data provider, updates readiness from its freshness, and logs a summary."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from common_models import OrderBook, Ticker, Trade
from services._runtime.health import Readiness
from services._runtime.stream_position import StreamGap
from services._runtime.stream_reader import Batch
from services.bot.connector_watch import ConnectorWatch
from services.bot.data_provider import DataProvider, MarketData, MarketFeed, OnMessage

log = structlog.get_logger()

JUDGE_EVERY = 0.5
SUMMARY_EVERY = 20.0
# How often malformed entries of one stream are logged, in seconds.
MALFORMED_LOG_EVERY = 10.0
TEXT_SHOWN = 200


class MarketWatch:
    """Connects the stream reader with the data provider.

    A feed is fresh if its connector says so, whatever the age of its last message: in a quiet
    market nothing is published, and the last message stays valid.
    """

    def __init__(
        self,
        provider: DataProvider,
        connectors: ConnectorWatch,
        readiness: Readiness,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.gaps = 0
        self.malformed_others: Counter[str] = Counter()  # in streams that aren't market data
        self._provider = provider
        self._connectors = connectors
        self._readiness = readiness
        self._clock = clock or asyncio.get_running_loop().time
        self._summed_up = dict.fromkeys(provider.feeds, 0)
        self._log_malformed_after: dict[str, float] = {}

    def handle(self, batch: Batch, on_message: OnMessage | None = None) -> None:
        """Feed one batch; malformed entries are counted, and logged at intervals.

        *on_message* is called with each market message and its index in the batch.
        """
        now = self._clock()
        if batch.stream in self._connectors.streams:
            self._handle_status(batch, now)
            return
        feed = self._provider.feeds[batch.stream]
        fault = feed.handle([data for _, data in batch.entries], now - batch.age, on_message)
        if fault is not None:
            self.log_malformed(batch, fault)

    def _handle_status(self, batch: Batch, now: float) -> None:
        """Read the last status of the batch; it replaces the earlier ones."""
        fault = self._connectors.handle(batch.stream, batch.entries[-1][1], now - batch.age)
        if fault is not None:
            self.malformed_others[batch.stream] += 1
            self.log_malformed(batch, fault)

    def log_malformed(self, batch: Batch, fault: str) -> None:
        """Log malformed entries of a stream, at most every `MALFORMED_LOG_EVERY` seconds."""
        now = self._clock()
        if now < self._log_malformed_after.get(batch.stream, now):
            return
        self._log_malformed_after[batch.stream] = now + MALFORMED_LOG_EVERY
        log.warning(
            "malformed_entries",
            stream=batch.stream,
            malformed=sum(self.malformed.values()),
            last_fault=fault[:TEXT_SHOWN],
            batch_ends=batch.entries[-1][0],
        )

    @property
    def malformed(self) -> dict[str, int]:
        """The number of malformed entries, by stream."""
        feeds = self._provider.feeds.values()
        return {**{feed.name: feed.malformed for feed in feeds}, **self.malformed_others}

    def note_gap(self, _: StreamGap) -> None:
        """Count a gap; the reader logs it."""
        self.gaps += 1

    def stale(self) -> list[str]:
        """Names of the feeds that can't be relied on, or that have had no message yet."""
        now = self._clock()
        return [feed.name for feed in self._provider.feeds.values() if self._why(feed, now)]

    def judge(self) -> None:
        """Ready if every connector reports its feeds live and every quote stream has had a message.

        A quiet market has no trades, so trade streams may be empty.
        """
        now = self._clock()
        feeds = self._provider.feeds.values()
        reasons = [f"{feed.name}: {why}" for feed in feeds if (why := self._why(feed, now))]
        if reasons:
            self._readiness.waiting("market_data", "; ".join(reasons))
        else:
            self._readiness.ok("market_data")

    def summary(self) -> dict[str, Any]:
        """The state of all feeds; `entries` counts those since the last summary."""
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
            "malformed": sum(self.malformed.values()),
            "gaps": self.gaps,
            "streams": streams,
        }

    def _why(self, feed: MarketFeed, now: float) -> str | None:
        """Why *feed* can't be relied on; None if it can."""
        if feed.latest is None and feed.data_type != "trades":
            return "no message yet"
        return self._connectors.why_stale(feed.exchange, feed.symbol, now)

    async def keep_judging(self) -> None:
        """Update the readiness until cancelled."""
        while True:
            self.judge()
            await asyncio.sleep(JUDGE_EVERY)

    async def keep_summing_up(self) -> None:
        """Log the summary every `SUMMARY_EVERY` seconds, and at the stop."""
        try:
            while True:
                await asyncio.sleep(SUMMARY_EVERY)
                log.info("market_summary", **self.summary())
        finally:
            log.info("market_summary", **self.summary())


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
