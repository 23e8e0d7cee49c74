"""Garbage in the streams that bot and indicator host read: they live, and go on as before."""

import asyncio
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import HALT
from services._local.redis_server import RedisServer
from services.bot.journal import POSITIONS
from tests.fuzz.commands import MOST_MEMORY, peak_memory
from tests.fuzz.streams import event_messages, flood, market_messages, until_read
from tests.support.bot import running_bot
from tests.support.bot_stage import Stage
from tests.support.eventually import eventually_async
from tests.support.indicator_host import TRADES, hosting, market, publish, values

DRAWN = 60
STRATEGIES = (
    "tests.support.bot_strategies.Insistent:binance:BTC/USDT:0.002,"
    "rsi_reversion:binance:BTC/USDT:0.002"
)
INDICATORS = (
    "binance:BTC/USDT:rsi_14@trade,binance:BTC/USDT:macd_12_26_9@trade,"
    "binance:BTC/USDT:bb_20_2@1m,binance:BTC/USDT:atr_14@1m,binance:BTC/USDT:ema_9_t@ticker"
)


async def test_no_garbage_harms_the_bot(
    redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It decides before, and after; what it sends in between is still what its limits allow."""
    stage = Stage(redis)
    await stage.open()
    telling = asyncio.create_task(stage.keep_telling())
    settings = {"BOT_MODE": "paper", "STRATEGIES": STRATEGIES}
    async with running_bot(redis, redis_server.url, tmp_path, **settings) as bot:
        await bot.until_ready()
        await stage.ticker()
        command = await stage.command()
        wanted = {**market_messages(), **event_messages(command.client_order_id)}
        await flood(redis, wanted, DRAWN, start=1)
        places = {stream: (POSITIONS, stream) for stream in wanted}
        await until_read(redis, list(wanted), places, bot.service)
        await stage.open()
        before = len(await bot.decisions())

        async def decides() -> bool:
            await stage.ticker()
            return len(await bot.decisions()) > before

        await eventually_async(decides)
        await bot.until_ready()
        assert all(each.quantity == 0.002 for each in await stage.commands())
        assert peak_memory(bot.service) < MOST_MEMORY
        assert max(map(len, bot.service.log.read_text().splitlines())) < 20_000
    telling.cancel()
    await asyncio.wait([telling])


async def test_no_garbage_harms_the_indicator_host(
    redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It computes before, and after."""
    wanted = market_messages()
    del wanted["binance:BTCUSDT:orderbook"]
    state = {stream: (f"indicator_host:state:{stream}", "position") for stream in wanted}
    async with hosting(redis_server.url, tmp_path, INDICATORS) as host:
        await flood(redis, wanted, DRAWN, start=2)
        await until_read(redis, list(wanted), state, host.service)
        before = len(await values(redis, "rsi_14"))
        await publish(redis, market(), 40)
        await until_read(redis, [TRADES], state, host.service)
        assert len(await values(redis, "rsi_14")) > before
        assert peak_memory(host.service) < MOST_MEMORY
        assert max(map(len, host.service.log.read_text().splitlines())) < 20_000
        assert await host.service.end() == 0


async def test_any_halt_halts(redis: Any, redis_server: RedisServer, tmp_path: Path) -> None:
    """Whatever the switch holds: nothing is sent, and the reason that is told is short."""
    stage = Stage(redis)
    await stage.open()
    telling = asyncio.create_task(stage.keep_telling())
    settings = {"BOT_MODE": "paper", "STRATEGIES": STRATEGIES}
    async with running_bot(redis, redis_server.url, tmp_path, **settings) as bot:
        for reason in (b"\xff\xfe", b"", b"\x1b[2J", b"x" * 10_000_000, b"\xed\xa0\x80"):
            await redis.set(HALT, reason)
            before = len(await bot.decisions())

            async def refused(before: int = before) -> bool:
                await stage.ticker()
                return len(await bot.decisions()) > before

            await eventually_async(refused)
            told = (await bot.decisions())[-1]
            assert (told.outcome, told.reason_code) == ("refused", "halted")
            assert len(told.refusal or "") < 1000
        await redis.delete(HALT)
        await redis.rpush(HALT, "a list")
        await stage.ticker()
        await asyncio.sleep(0)
        assert await stage.commands() == []
        await redis.delete(HALT)

        async def sends() -> bool:
            await stage.ticker()
            return bool(await stage.commands())

        await eventually_async(sends)
    telling.cancel()
    await asyncio.wait([telling])
