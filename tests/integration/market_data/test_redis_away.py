"""Redis is away for a while under load: what comes afterwards, and what it cost meanwhile."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from common_models import Ticker, Trade
from services._connector_kit.market_data.order_book import LevelBook
from services._connector_kit.market_data.publisher import Publisher
from services._connector_kit.settings import ConnectorSettings
from services._local.redis_server import RedisServer
from tests.support.eventually import eventually
from tests.support.redis.stream_writing import Writing, entries, writing

BUSY, QUIET = ("AAA/USDT", "BBB/USDT", "CCC/USDT"), "QUIET/USDT"
# 30,000 trades: what a second makes when markets run wild, all busy symbols together.
PASSES, TRADES_A_PASS = 100, 100
WHEN = 1_700_000_000_000
# Of what the entries themselves take: Python's share for each of them, and the queues.
MEMORY_SHARE = 2


class Market:
    """Publishes numbered trades, tickers and books of one symbol."""

    def __init__(self, writing: Writing, symbol: str) -> None:
        settings = ConnectorSettings.model_construct(
            order_book_interval=0.0, market_data_maxlen=1_000_000
        )
        self.name = f"binance:{symbol.replace('/', '')}"
        self.number = 0
        self._publisher = Publisher(writing.writer, "binance", symbol, settings)
        self._book = LevelBook(1, [(float(n), 1.0) for n in range(1, 21)], [(99.0, 1.0)], limit=99)

    def publish(self, trades: int) -> None:
        """Some trades, a ticker and a book."""
        for _ in range(trades):
            self.number += 1
            self._publisher.trade(WHEN + self.number, 1.5, 0.25, "buy", self.number)
        self._publisher.ticker(WHEN + self.number, 1.5, 1.0, 2.0, float(self.number))
        self._publisher.book(self._book, WHEN + self.number)

    async def trade_ids(self, redis: Redis) -> list[int]:
        """The ids of all trades in Redis, in order."""
        found = await entries(redis, f"{self.name}:trades")
        return [int(Trade.model_validate_json(data).trade_id or 0) for data in found]

    async def tickers(self, redis: Redis) -> list[Ticker]:
        """All tickers in Redis, in order."""
        found = await entries(redis, f"{self.name}:ticker")
        return [Ticker.model_validate_json(data) for data in found]


@asynccontextmanager
async def redis_away(server: RedisServer, it: Writing) -> AsyncIterator[None]:
    """Stopped for the length of the block, then there again and told everything."""
    await eventually(lambda: it.up and it.writer.idle)
    await server.stop()
    await eventually(lambda: not it.up)
    yield
    await server.start()
    await eventually(lambda: it.up and it.writer.idle, within=40.0)


async def under_load(busy: list[Market], quiet: Market) -> None:
    """Many passes of the event loop; the quiet market trades once, at the start of it."""
    quiet.publish(1)
    for _ in range(PASSES):
        for market in busy:
            market.publish(TRADES_A_PASS)
        await asyncio.sleep(0)


async def test_trades_are_complete_and_in_order_and_quotes_are_the_latest(
    redis_server: RedisServer, redis: Redis
) -> None:
    """30,000 trades made meanwhile fit into the buffer: none is missing, repeated or swapped."""
    async with writing(redis_server.url) as it:
        busy, quiet = [Market(it, symbol) for symbol in BUSY], Market(it, QUIET)
        await eventually(lambda: it.up)
        await under_load(busy, quiet)
        async with redis_away(redis_server, it):
            before = {m.name: m.number for m in busy}
            await under_load(busy, quiet)
            assert it.writer.waiting_bytes < it.writer.buffer_bytes
        await under_load(busy, quiet)
        await eventually(lambda: it.writer.idle, within=40.0)
        assert it.writer.dropped == 0
    for market in [*busy, quiet]:
        assert await market.trade_ids(redis) == list(range(1, market.number + 1))
        tickers = await market.tickers(redis)
        volumes = [ticker.volume_24h for ticker in tickers]
        assert volumes == sorted(volumes, key=lambda volume: volume or 0.0)
        assert volumes[-1] == market.number
        if market is not quiet:
            first = before[market.name]
            meanwhile = [v for v in volumes if first < (v or 0) <= first + PASSES * TRADES_A_PASS]
            assert meanwhile == [first + PASSES * TRADES_A_PASS]


async def test_a_full_buffer_keeps_the_newest_and_says_what_it_dropped(
    redis_server: RedisServer, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory stays bounded, a quiet market keeps its only trade, and every loss is counted."""
    buffer = 1 << 20
    async with writing(redis_server.url, buffer_bytes=buffer) as it:
        busy, quiet = [Market(it, symbol) for symbol in BUSY], Market(it, QUIET)
        async with redis_away(redis_server, it):
            tracemalloc.start()
            try:
                await under_load(busy, quiet)
                assert it.writer.waiting_bytes == pytest.approx(buffer, rel=0.01)
                most = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert most < MEMORY_SHARE * buffer
        dropped = {name: stream.dropped for name, stream in it.writer.streams.items()}
    assert await quiet.trade_ids(redis) == [1]
    for market in busy:
        ids = await market.trade_ids(redis)
        lost = market.number - len(ids)
        assert lost > 0
        assert dropped[f"{market.name}:trades"] == lost
        assert ids == list(range(lost + 1, market.number + 1))
    logged = capsys.readouterr().out
    assert logged.count("buffer_full") == len(BUSY)
    for market in busy:
        assert f"entries={dropped[f'{market.name}:trades']}" in logged
