"""Reads the market streams and publishes the values of the indicators."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis

from services._runtime import failpoints
from services._runtime.entry_ids import START, entry_milliseconds
from services._runtime.health import Readiness
from services._runtime.stream_position import (
    StreamGap,
    StreamPosition,
    StreamState,
    resume_from,
)
from services._runtime.supervise import full_jitter, keep_alive
from services.indicators.configuration import IndicatorSpec
from services.indicators.market import IndicatorMarket
from services.indicators.series import RunningIndicator
from services.indicators.store import READ_COUNT, Store, open_store

log = structlog.get_logger()

LONGEST_WAIT = 2.0
# A stream that was emptied or recreated wakes no reader: all are checked this often, in seconds.
CHECK_EVERY = 2.0
SUMMARY_EVERY = 60.0


class Host:
    """All markets of one configuration.

    After a failure it continues from the saved state: later values are computed again, with the
    same result.
    """

    def __init__(
        self, redis: Redis, specs: Sequence[IndicatorSpec], maxlen: int, readiness: Readiness
    ) -> None:
        streams = dict.fromkeys(str(each.market_stream) for each in specs)
        self.markets = {
            stream: IndicatorMarket([each for each in specs if str(each.market_stream) == stream])
            for stream in streams
        }
        # Values published, by stream.
        self.values = Counter({stream: 0 for each in specs for stream in each.streams})
        self.connections = 0
        self._redis = redis
        self._now = asyncio.get_running_loop().time
        self._maxlen = maxlen
        self._readiness = readiness

    async def run(self) -> None:
        """Run until cancelled."""
        await keep_alive(
            self._session,
            name="indicator_host",
            waits=lambda: full_jitter(longest=LONGEST_WAIT),
            on_retry=partial(self._readiness.retrying, "redis"),
        )

    async def _session(self) -> None:
        async with open_store(self._redis, self._maxlen) as store:
            self.connections += 1
            for market in self.markets.values():
                market.restore(await store.load(market))
            await store.save_progress(self.markets.values())
            while True:
                await store.beat()
                self._readiness.ok("redis")
                await self._advance_all(store, self.markets)
                look_at_all_at = self._now() + CHECK_EVERY
                while self._now() < look_at_all_at:
                    positions = {m.stream: m.position for m in self.markets.values()}
                    await self._advance_all(store, await store.news(positions))

    async def _advance_all(self, store: Store, streams: Iterable[str]) -> None:
        for stream in streams:
            while await self._advance(store, self.markets[stream]):
                pass
        self._judge()

    async def _advance(self, store: Store, market: IndicatorMarket) -> bool:
        """Handle one batch and save the result; return whether there may be more entries."""
        state, entries = await store.read(market.stream, market.position)
        # A first start reads the whole stream, so that indicators are warm sooner.
        known = market.position or StreamPosition(START, state.removed)
        settled, gap = resume_from(market.stream, known, state)
        if gap is not None:
            market.hole(_describe(gap))
        if not entries and gap is None:
            return False
        outputs = market.handle(entries)
        position = _behind(settled, entries, state)
        failpoints.reach("before_indicators_saved")
        await store.save(market, position, outputs)
        failpoints.reach("after_indicators_saved")
        self.values.update(output.stream for output in outputs)
        market.read += len(entries)
        market.lost += (gap.lost or 0) if gap else 0
        market.lag = _lag(position, state) if len(entries) == READ_COUNT else 0.0
        return gap is not None or len(entries) == READ_COUNT

    @property
    def running(self) -> list[RunningIndicator]:
        """All running indicators."""
        lines = [line for market in self.markets.values() for line in market.lines.values()]
        return [running for line in lines for running in line.series.running]

    def _judge(self) -> None:
        """Update the readiness with the indicators that have failed."""
        stopped = [f"{r.spec.streams[0]}: {r.stopped}" for r in self.running if r.stopped]
        if stopped:
            reason = f"stopped: {'; '.join(stopped)}"
            self._readiness.waiting("indicators", reason, blocked=True)
        else:
            self._readiness.ok("indicators")

    def summary(self) -> dict[str, Any]:
        """Counts since the start; `late` trades are counted since the saved state began."""
        lines = [
            (f"{market.stream}@{name}", line)
            for market in self.markets.values()
            for name, line in market.lines.items()
        ]
        return {
            "published": self.values.total(),
            "warm": sum(running.warm for running in self.running),
            "of": len(self.running),
            "late": {name: line.builder.late for name, line in lines if line.builder},
            "holes": {market.stream: market.holes for market in self.markets.values()},
            "malformed": {market.stream: market.malformed for market in self.markets.values()},
        }

    async def keep_summing_up(self) -> None:
        """Log the summary every `SUMMARY_EVERY` seconds, and at the stop."""
        try:
            while True:
                await asyncio.sleep(SUMMARY_EVERY)
                log.info("indicators_summary", **self.summary())
        finally:
            log.info("indicators_summary", **self.summary())


def _behind(
    position: StreamPosition, entries: Sequence[tuple[str, bytes]], state: StreamState
) -> StreamPosition:
    """The position after *entries*, which are all new entries, or the first `READ_COUNT`."""
    if not entries:
        return position
    if len(entries) < READ_COUNT:
        return StreamPosition(entries[-1][0], state.added)
    count = None if position.count is None else position.count + len(entries)
    return StreamPosition(entries[-1][0], count)


def _lag(position: StreamPosition, state: StreamState) -> float:
    """How long after *position* the newest entry was written, in seconds."""
    return (entry_milliseconds(state.last) - entry_milliseconds(position.id)) / 1000


def _describe(gap: StreamGap) -> str:
    lost = "entries" if gap.lost is None else f"{gap.lost} entries"
    return f"{lost} after {gap.after} are missing ({gap.reason})"
