"""What a real indicator host tells Prometheus."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.support.bot.indicator_host import (
    TRADES,
    WITHIN,
    hosting,
    market,
    publish,
    until_all_read,
)
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import trade, wire
from tests.support.metrics import page

pytestmark = pytest.mark.timeout(180)

RSI = "indicators:rsi_14:binance:BTCUSDT"
SMA = "indicators:sma_50:binance:BTCUSDT"
BROKEN = "indicators:failing_3:binance:BTCUSDT"
WANTED = "binance:BTC/USDT:rsi_14@trade,binance:BTC/USDT:sma_50@1m,binance:BTC/USDT:failing_3@trade"


async def test_metrics_show_what_it_reads_and_publishes(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """By stream; what is warm, what has failed, what came late or was missing."""
    trades = market()
    plugins = {"INDICATOR_PLUGINS": "tests.unit.indicators.some_plugins.Failing"}
    async with hosting(redis_server.url, tmp_path, WANTED, **plugins) as host:
        await publish(redis, trades, 20)
        await until_all_read(redis)
        await redis.xadd(TRADES, {"data": "{"})
        await redis.xadd(TRADES, {"data": wire(trade(number=1000))})  # trade 21 is missing

        async def all_counted() -> bool:
            return (await page(host.port)).get(("stream_entries_read_total", TRADES)) == 22

        await eventually_async(all_counted, WITHIN)
        found = await page(host.port)
    assert found["indicator_values_total", RSI] == 6
    assert found["indicator_values_total", SMA] == 0
    assert found["indicator_warm", RSI] == 0  # it began anew behind the hole
    assert found["indicator_warm", SMA] == 0
    assert found["indicator_stopped", RSI] == 0
    assert found["indicator_stopped", BROKEN] == 1
    assert found["indicator_holes_total", TRADES] == 1
    assert found["stream_entries_malformed_total", TRADES] == 1
    assert found["stream_entries_lost_total", TRADES] == 0
    assert found["stream_lag_seconds", TRADES] == 0
    assert found["candles_late_trades_total", TRADES, "1m"] == 0
    assert found["redis_connections_total",] == 1


async def test_entries_that_were_trimmed_are_counted(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Those that got away while it was not there."""
    trades = market()
    wanted = "binance:BTC/USDT:rsi_14@trade"
    async with hosting(redis_server.url, tmp_path, wanted) as host:
        await publish(redis, trades, 20)
        await until_all_read(redis)
        assert await host.service.end() == 0
    await publish(redis, trades, 100)
    await redis.xtrim(TRADES, maxlen=30, approximate=False)
    async with hosting(redis_server.url, tmp_path, wanted) as host:

        async def all_counted() -> bool:
            return (await page(host.port)).get(("stream_entries_read_total", TRADES)) == 30

        await eventually_async(all_counted, WITHIN)
        found = await page(host.port)
    assert found["stream_entries_lost_total", TRADES] == 70
    assert found["indicator_holes_total", TRADES] == 1
    assert found["indicator_warm", RSI] == 1
