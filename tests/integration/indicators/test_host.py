"""The indicator host on a real Redis: what it publishes, and what it refuses."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.support.bot.indicator_host import (
    STATE,
    TRADES,
    WITHIN,
    hosting,
    market,
    publish,
    until_all_read,
    values,
)
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import ticker, trade, wire
from tests.support.redis.unwritable import UNWRITABLE

pytestmark = pytest.mark.timeout(300)


async def test_each_trade_brings_a_value_once_it_is_warm(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """The values are TA-Lib's; each names its indicator, its market, and the trade behind it."""
    trades = list(itertools.islice(market(), 200))
    wanted = "binance:BTC/USDT:rsi_14@trade,binance:btc/usdt:macd_12_26_9@trade"
    async with hosting(redis_server.url, tmp_path, wanted) as host:
        await publish(redis, iter(trades), 120)
        await host.until_ready()
        await publish(redis, iter(trades[120:]), 80)
        await until_all_read(redis)
        assert await host.service.end() == 0
    prices = np.array([each.price for each in trades])
    found = await values(redis, "rsi_14")
    np.testing.assert_allclose(
        [each.value for each in found], talib.RSI(prices, 14)[14:], rtol=0, atol=1e-9
    )
    assert [each.timestamp for each in found] == [each.timestamp for each in trades[14:]]
    assert {(v.indicator_name, v.symbol, v.exchange) for v in found} == {
        ("rsi_14", "BTC/USDT", "binance")
    }
    assert {each.timeframe for each in found} == {None}
    entries: Any = await redis.xrange(TRADES)
    assert [each.caused_by for each in found] == [
        f"{TRADES} {identifier.decode()}" for identifier, _ in entries[14:]
    ]
    for name in ("macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_hist"):
        assert [v.timestamp for v in await values(redis, name)] == [
            each.timestamp for each in trades[33:]
        ]


async def test_candles_and_tickers_are_sources_too(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """A candle's value carries the candle's end; @1m is what is meant where nothing is said."""
    trades = list(itertools.islice(market(every=10), 600))
    wanted = (
        "binance:BTC/USDT:sma_3,binance:BTC/USDT:sma_3_5m@5m,"
        "luno:XBT/ZAR:ema_2_close@ticker,binance:BTC/USDT:atr_5@1m"
    )
    async with hosting(redis_server.url, tmp_path, wanted) as host:
        await host.until_ready()
        await publish(redis, iter(trades), 600)
        for last in (10.0, 20.0, 40.0):
            quote = ticker("XBT/ZAR", "luno", last)
            await redis.xadd("luno:XBTZAR:ticker", {"data": wire(quote)})
        await until_all_read(redis)
        await until_all_read(redis, "luno:XBTZAR:ticker")
        assert await host.service.end() == 0
    closes = {each.timestamp.replace(second=0, microsecond=0): each.price for each in trades}
    whole = [price for _, price in sorted(closes.items())][1:-1]
    found = await values(redis, "sma_3")
    assert [each.value for each in found] == pytest.approx(
        talib.SMA(np.array(whole), 3)[2:], rel=0, abs=1e-9
    )
    assert {each.timeframe for each in found} == {"1m"}
    assert {each.timestamp.second for each in found} == {0}
    fives = await values(redis, "sma_3_5m")
    assert {each.timestamp.minute % 5 for each in fives} == {0}
    assert len(fives) == pytest.approx(len(found) / 5, abs=3)
    assert len(await values(redis, "atr_5")) == len(found) - 2
    quotes = await values(redis, "ema_2_close", "luno:XBTZAR")
    assert [each.value for each in quotes] == pytest.approx([15.0, 95 / 3])
    assert {each.exchange for each in quotes} == {"luno"}


async def test_what_cannot_be_read_is_left_out(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Junk, another symbol's trade, an entry without data: counted, logged, and nothing stops."""
    async with hosting(redis_server.url, tmp_path, "binance:BTC/USDT:sma_2@trade") as host:
        await redis.xadd(TRADES, {"data": b"junk"})
        await redis.xadd(TRADES, {"data": wire(trade(symbol="ETH/USDT"))})
        await redis.xadd(TRADES, {"other": b"x"})
        await publish(redis, market(), 3)
        await until_all_read(redis)
        assert await host.service.end() == 0
    assert len(await values(redis, "sma_2")) == 2
    assert host.logged("indicators_summary")[-1]["malformed"] == {TRADES: 3}


async def test_trades_that_were_trimmed_unread_are_a_hole(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Nothing is published until it is warm again, from trades behind the hole alone."""
    trades = market()
    wanted = "luno:XBT/ZAR:sma_5@trade"
    stream = "luno:XBTZAR:trades"
    luno = ({"symbol": "XBT/ZAR", "exchange": "luno"},)
    priced = (each.model_copy(update=luno[0]) for each in trades)
    async with hosting(redis_server.url, tmp_path, wanted) as host:
        await publish(redis, priced, 10, stream)
        await until_all_read(redis, stream)
        assert await host.service.end() == 0
    await publish(redis, priced, 10, stream)
    await redis.xtrim(stream, maxlen=3, approximate=False)
    async with hosting(redis_server.url, tmp_path, wanted) as host:
        await publish(redis, priced, 3, stream)
        await until_all_read(redis, stream)
        assert await host.service.end() == 0
    assert len(await values(redis, "sma_5", "luno:XBTZAR")) == 6 + 2
    (told,) = host.logged("indicators_restarted")
    assert told["reason"].startswith("7 entries after ")


async def test_a_missing_trade_id_is_a_hole(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Binance numbers trades without holes: whatever lost one, it shows."""
    trades = list(itertools.islice(market(), 12))
    async with hosting(redis_server.url, tmp_path, "binance:BTC/USDT:sma_4@trade") as host:
        await publish(redis, iter(trades[:5] + trades[6:]), 11)
        await until_all_read(redis)
        assert await host.service.end() == 0
    assert [each.timestamp for each in await values(redis, "sma_4")] == [
        each.timestamp for each in trades[3:5] + trades[9:]
    ]
    assert host.logged("indicators_restarted")[0]["reason"] == "trade 7 follows trade 5"


async def test_an_indicator_added_later_begins_at_its_beginning(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """On a source that is there already it is warm at once; one taken out and in again is not."""
    trades = market()
    one, other = "binance:BTC/USDT:sma_5@trade", "binance:BTC/USDT:sma_2_10s@10s"
    for wanted in (f"{one},{other}", one, f"{one},{other},binance:BTC/USDT:ema_5@trade"):
        async with hosting(redis_server.url, tmp_path, wanted) as host:
            await publish(redis, trades, 20)
            await until_all_read(redis)
            assert await host.service.end() == 0
    assert len(await values(redis, "sma_5")) == 56
    assert len(await values(redis, "ema_5")) == 20
    candles = [v.timestamp for v in await values(redis, "sma_2_10s")]
    assert max(b - a for a, b in itertools.pairwise(candles)).total_seconds() > 60


async def test_a_plugin_that_raises_is_stopped_and_the_others_go_on(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """`/ready` and the log say which, and why."""
    (tmp_path / "mine.py").write_text(
        "class Fragile:\n"
        "    name, outputs, memory = 'fragile', ('',), 1\n"
        "    def add(self, candle):\n"
        "        return (1 / (candle.close - 100.5),)\n"
    )
    wanted = "binance:BTC/USDT:fragile@trade,binance:BTC/USDT:sma_1@trade"
    more = {"INDICATOR_PLUGINS": "mine.Fragile"}
    async with hosting(redis_server.url, tmp_path, wanted, **more) as host:
        for number, price in enumerate((100.0, 101.0, 100.5, 102.0), 1):
            await redis.xadd(TRADES, {"data": wire(trade(price=price, number=number))})
        await until_all_read(redis)
        report = await host.ready()
        assert await host.service.end() == 0
    assert len(await values(redis, "fragile")) == 2
    assert len(await values(redis, "sma_1")) == 4
    why = "stopped: indicators:fragile:binance:BTCUSDT: ZeroDivisionError: float division by zero"
    assert report["parts"]["indicators"] == why
    assert len(host.logged("indicator_stopped")) == 1


@pytest.mark.parametrize(
    ("indicators", "more", "error"),
    [
        ("binance:BTC/USDT:rsj_14", {}, "no indicator 'rsj_14': expected one of atr_<period>, "),
        ("binance:BTC/USDT:rsi_14@7m", {}, "'7m' is not a timeframe"),
        ("", {"INDICATOR_PLUGINS": "no.such.Thing"}, "INDICATOR_PLUGINS: 'no.such.Thing' can't be"),
    ],
)
async def test_a_wrong_name_ends_it_with_one_clear_error(
    redis_server: RedisServer, tmp_path: Path, indicators: str, more: dict[str, str], error: str
) -> None:
    """The exit code is 1."""
    async with hosting(redis_server.url, tmp_path, indicators, **more) as host:
        assert await host.service.process.wait() == 1
    (failed,) = host.logged("service_failed")
    assert error in failed["error"]


async def test_without_indicators_it_waits_for_some(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """It is ready, says that there is nothing to do, and stops when asked to."""
    async with hosting(redis_server.url, tmp_path, "") as host:
        await host.until_ready()
        assert await host.service.end() == 0
    assert host.logged("no_indicators")


@pytest.mark.parametrize("trouble", UNWRITABLE)
async def test_it_says_that_redis_takes_nothing_though_nothing_comes(
    redis_server: RedisServer, redis: Redis, tmp_path: Path, trouble: str
) -> None:
    """In a quiet market too; and it is ready again once it may write."""
    harm, mend, says = UNWRITABLE[trouble]
    async with hosting(redis_server.url, tmp_path, "binance:BTC/USDT:sma_2@trade") as host:
        await host.until_ready()
        await harm(redis)

        async def says_why() -> bool:
            return says in (await host.ready())["parts"]["redis"]

        await eventually_async(says_why, WITHIN)
        await mend(redis)
        await host.until_ready()


async def test_an_invalid_state_is_logged_and_discarded(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Whatever somebody wrote there."""
    await redis.hset(STATE, mapping={"position": "1-1/1", "trade": "{nonsense"})
    async with hosting(redis_server.url, tmp_path, "binance:BTC/USDT:sma_2@trade") as host:
        await publish(redis, market(), 3)

        async def has_published() -> bool:
            return len(await values(redis, "sma_2")) == 2

        await eventually_async(has_published, WITHIN)
        assert await host.service.end() == 0
    assert host.logged("state_unreadable")[0]["key"] == STATE
    assert not host.logged("session_dropped")
