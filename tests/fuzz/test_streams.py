"""Garbage in the streams that bot and indicator host read, and in the halt switch."""

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models.stream_names import HALT
from services._local.redis_server import RedisServer
from tests.fuzz.readers import flood_bot, flood_host, trading_bot, until_it_decides
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.halt import resume

# Each test starts processes that read about 100 MB.
pytestmark = pytest.mark.timeout(180)

DRAWN = 60


async def test_no_garbage_harms_the_bot(
    redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It decides before and after."""
    await flood_bot(redis, redis_server.url, tmp_path, DRAWN)


async def test_no_garbage_harms_the_indicator_host(
    redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It computes before and after."""
    await flood_host(redis, redis_server.url, tmp_path, DRAWN)


async def test_any_halt_halts(redis: Any, redis_server: RedisServer, tmp_path: Path) -> None:
    """With any value of the switch no order is sent, and the published reason is short."""
    async with trading_bot(redis, redis_server.url, tmp_path) as (bot, stage):
        for reason in (b"\xff\xfe", b"", b"\x1b[2J", b"x" * 10_000_000, b"\xed\xa0\x80"):
            await redis.set(HALT, reason)
            await until_it_decides(bot, stage)
            told = (await bot.decisions())[-1]
            assert (told.outcome, told.reason_code) == ("refused", "halted")
            assert len(told.refusal or "") < 1000
        await redis.delete(HALT)
        await redis.rpush(HALT, "a list")
        await stage.ticker()
        await eventually(lambda: bot.logged("journal_not_written"))
        assert await stage.commands() == []
        await resume(redis)

        async def sends() -> bool:
            await stage.ticker()
            return bool(await stage.commands())

        await eventually_async(sends)
