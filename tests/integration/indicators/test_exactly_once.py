"""Whatever is killed, lost or run twice: the published streams are those of an undisturbed run."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services.indicators.series import FRESH_EVERY
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
from tests.support.market_data.messages import wire
from tests.support.network.fault_proxy import fault_proxy

pytestmark = pytest.mark.timeout(300)

WANTED = ",".join(
    f"binance:BTC/USDT:{name}"
    for name in (
        "rsi_14@trade",
        "sma_50@trade",
        "ema_200@trade",
        "rsi_14_1m@1m",
        "macd_3_6_4@1m",
        "bb_20_2@1m",
        "atr_14_10s@10s",
    )
)

KEEP_ALL = {"MARKET_DATA_MAXLEN": "1000000"}


async def published(redis: Any) -> dict[str, list[bytes]]:
    """Every entry of every indicator's stream."""
    found = {}
    async for key in redis.scan_iter("indicators:*"):
        found[key.decode()] = [fields[b"data"] for _, fields in await redis.xrange(key)]
    return found


async def undisturbed(redis: Any, server: RedisServer, folder: Path) -> dict[str, list[bytes]]:
    """What one host publishes that reads the same trades in another database, without a stop."""
    url = server.url.removesuffix("/0") + "/1"
    async with open_redis(url, "test") as other:
        for identifier, fields in await redis.xrange(TRADES):
            await other.xadd(TRADES, fields, id=identifier)
        async with hosting(url, folder, WANTED, **KEEP_ALL) as host:
            await host.until_ready()
            await until_all_read(other)
            assert await host.service.end() == 0
        return await published(other)


@asynccontextmanager
async def trading(redis: Redis) -> AsyncIterator[None]:
    """A thousand trades, and then some more, a few at a time, while the block runs."""

    async def trade() -> None:
        rng, trades = random.Random(5), market()
        await publish(redis, trades, 1000)
        while True:
            await publish(redis, trades, rng.randint(1, 4))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(trade())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("seed", range(2))
async def test_after_any_number_of_kills_the_streams_are_those_of_an_undisturbed_run(
    redis_server: RedisServer, redis: Redis, tmp_path: Path, seed: int
) -> None:
    """Killed just before and just after it saves, and at random moments: byte for byte."""
    rng = random.Random(seed)
    async with trading(redis):
        for point in rng.sample(("before", "after", "any") * 2, 6):
            failpoint = f"{point}_indicators_saved:kill:{rng.randint(1, 20)}"
            more = {**KEEP_ALL, "FAILPOINT": "" if point == "any" else failpoint}
            async with hosting(redis_server.url, tmp_path, WANTED, **more) as host:
                if point == "any":
                    await host.until_ready()
                    await asyncio.sleep(rng.random() / 5)  # wherever it is by then
                    host.service.process.kill()
                assert await host.service.process.wait() == -signal.SIGKILL
    async with hosting(redis_server.url, tmp_path, WANTED, **KEEP_ALL) as host:
        await host.until_ready()
        await until_all_read(redis)
        assert await host.service.end() == 0
    expected = await undisturbed(redis, redis_server, tmp_path / "undisturbed")
    assert len(expected) == 11
    assert min(map(len, expected.values())) > 0
    assert len(expected["indicators:sma_50:binance:BTCUSDT"]) > 2 * FRESH_EVERY
    assert await published(redis) == expected


async def test_two_hosts_at_once_publish_each_value_once(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """One saves, the other notices and reads again what is saved."""
    async with (
        hosting(redis_server.url, tmp_path / "one", WANTED, **KEEP_ALL) as one,
        hosting(redis_server.url, tmp_path / "other", WANTED, **KEEP_ALL) as other,
    ):
        await one.until_ready()
        await other.until_ready()

        def told() -> list[str]:
            hosts = (one, other)
            return [each["error"] for host in hosts for each in host.logged("session_dropped")]

        async def noticed() -> bool:
            return len(await values(redis, "sma_50")) > 1000 and bool(told())

        async with trading(redis):
            await eventually_async(noticed, WITHIN)
        await until_all_read(redis)
        assert await one.service.end() == 0
        assert await other.service.end() == 0
    assert all(error.endswith("is there another indicator host?") for error in told())
    expected = await undisturbed(redis, redis_server, tmp_path / "undisturbed")
    assert await published(redis) == expected


async def test_a_connection_may_break_at_any_byte(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """A save whose answer was lost isn't repeated, one that didn't arrive is made up for."""
    rng = random.Random(3)
    async with (
        fault_proxy(redis_server.port) as proxy,
        trading(redis),
        hosting(proxy.url, tmp_path, WANTED, **KEEP_ALL) as host,
    ):
        await host.until_ready()
        for cut in range(1, 9):
            harm = rng.choice(("cut_requests_after", "cut_replies_after"))
            setattr(proxy, harm, rng.randint(1, 20_000))

            async def is_cut(cuts: int = cut) -> bool:
                return proxy.cuts == cuts

            await eventually_async(is_cut, WITHIN)
        await host.until_ready()
        assert await host.service.end() == 0
    async with hosting(redis_server.url, tmp_path, WANTED, **KEEP_ALL) as host:
        await host.until_ready()
        await until_all_read(redis)
        assert await host.service.end() == 0
    expected = await undisturbed(redis, redis_server, tmp_path / "undisturbed")
    assert await published(redis) == expected


async def test_a_redis_that_is_killed_and_comes_back_is_caught_up_with(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Alive, not ready and telling why without Redis; no value twice, none missing."""
    trades = market()
    async with hosting(redis_server.url, tmp_path, WANTED) as host:
        await publish(redis, trades, 100)
        await until_all_read(redis)
        await redis_server.kill()

        async def says_why() -> bool:
            report = await host.ready()
            return "Redis" in report.get("parts", {}).get("redis", "")

        await eventually_async(says_why)
        await redis_server.start()
        await eventually_async(lambda: _there(redis))
        await publish(redis, trades, 100)
        await host.until_ready()
        await until_all_read(redis)
        assert await host.service.end() == 0
    expected = await undisturbed(redis, redis_server, tmp_path / "undisturbed")
    assert await published(redis) == expected


async def test_an_emptied_redis_is_read_from_the_start(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Nothing of before is in the new values."""
    trades = market()
    async with hosting(redis_server.url, tmp_path, "binance:BTC/USDT:sma_5@trade") as host:
        await publish(redis, trades, 30)
        await until_all_read(redis)
        await redis.flushall()
        await publish(redis, trades, 8)
        await until_all_read(redis)
        assert await host.service.end() == 0
    assert len(await values(redis, "sma_5")) == 4
    assert await redis.llen(f"{STATE}:trade") == 8


async def test_a_recreated_stream_with_older_ids_is_read_from_the_start(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Nothing would ever come behind the saved position: it is noticed all the same."""
    trades = market()
    async with hosting(redis_server.url, tmp_path, "binance:BTC/USDT:sma_5@trade") as host:
        await publish(redis, trades, 30)
        await until_all_read(redis)
        await redis.delete(TRADES)
        for number, each in zip(range(1, 9), trades, strict=False):
            await redis.xadd(TRADES, {"data": wire(each)}, id=f"{number}-0")
        await until_all_read(redis)
        assert await host.service.end() == 0
    assert len(await values(redis, "sma_5")) == 26 + 4
    assert host.logged("indicators_restarted")[0]["reason"].endswith("(restarted)")


async def _there(redis: Redis) -> bool:
    try:
        await redis.info()
    except (RedisError, OSError):
        return False
    return True
