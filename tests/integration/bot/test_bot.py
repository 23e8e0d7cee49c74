"""The bot as a real process on a real Redis."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._local.redis_server import RedisServer
from services._runtime.entry_ids import parse_entry_id
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import connector_status, order_book, ticker, trade, wire
from tests.support.memory import MB, forget_peak, peak
from tests.support.ports import quiet_port
from tests.support.processes import ROOT, Service, running
from tests.support.redis.unwritable import UNWRITABLE

STREAMS = [f"binance:BTCUSDT:{kind}" for kind in ("ticker", "orderbook", "trades")]


class Bot:
    """A running bot that watches BTC/USDT, and its log."""

    def __init__(self, service: Service, port: int, http: aiohttp.ClientSession) -> None:
        self.service = service
        self._url = f"http://127.0.0.1:{port}"
        self._http = http

    async def get(self, path: str) -> dict[str, Any]:
        """What it answers, and the HTTP `code`; empty if it doesn't answer."""
        try:
            async with self._http.get(self._url + path) as response:
                return {"code": response.status, **await response.json()}
        except aiohttp.ClientError:
            return {}

    async def part(self, name: str) -> str:
        """What `/ready` says of one part."""
        parts: dict[str, str] = (await self.get("/ready")).get("parts", {})
        return parts.get(name, "")

    async def is_ready(self) -> bool:
        """True when `/ready` says so."""
        return (await self.get("/ready")).get("code") == 200

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = [json.loads(line) for line in self.service.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def running_bot(redis: RedisServer, folder: Path) -> AsyncIterator[Bot]:
    """A bot that is alive; it is stopped by the end of the block at the latest."""
    port = quiet_port()
    environment = {
        "REDIS_URL": redis.url,
        "HEALTH_PORT": str(port),
        "BINANCE_SYMBOLS": "BTC/USDT",
        "LUNO_SYMBOLS": "XBT/ZAR",
    }
    async with (
        running("bot", environment, folder) as service,
        aiohttp.ClientSession() as http,
    ):
        bot = Bot(service, port, http)

        async def is_alive() -> bool:
            assert not service.exited, service.log.read_text()
            return (await bot.get("/health")).get("code") == 200

        await eventually_async(is_alive)
        yield bot


@asynccontextmanager
async def published(redis: Redis) -> AsyncIterator[None]:
    """Both connectors' statuses and market data, again and again, Redis being there or not."""

    async def publish() -> None:
        while True:
            for exchange, symbol in (("binance", "BTC/USDT"), ("luno", "XBT/ZAR")):
                for kind, make in (
                    ("ticker", ticker),
                    ("orderbook", order_book),
                    ("trades", trade),
                ):
                    name = f"{exchange}:{symbol.replace('/', '')}:{kind}"
                    await _add(redis, name, wire(make(symbol, exchange)))
                status = f"{exchange}_connector:events:connector_status"
                await _add(redis, status, wire(connector_status(symbol, exchange)))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _add(redis: Redis, stream: str, data: bytes) -> None:
    with contextlib.suppress(RedisError, OSError):  # the server may be away just now
        await redis.xadd(stream, {"data": data})


async def saved_id(redis: Any) -> str:
    """The id of the last trade that the bot has read."""
    saved: bytes = await redis.hget("bot:state:positions", STREAMS[2])
    return saved.decode().partition("/")[0]


async def entries_after(redis: Any, identifier: str) -> list[Any]:
    """The trades after this id."""
    entries: list[Any] = await redis.xrange(STREAMS[2], f"({identifier}")
    return entries


async def test_the_bot_lives_through_the_loss_of_redis(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Ready on fresh data; alive, not ready and telling why without Redis; ready again after."""
    async with running_bot(redis_server, tmp_path / "bot") as bot, published(redis):
        await eventually_async(bot.is_ready)
        await redis_server.kill()

        async def says_why() -> bool:
            return "Redis can't be reached" in await bot.part("redis")

        await eventually_async(says_why)
        assert (await bot.get("/health"))["code"] == 200
        assert not await bot.is_ready()
        await redis_server.start()
        await eventually_async(bot.is_ready, within=10)
        assert await bot.service.end() == 0
    summary = bot.logged("market_summary")[-1]
    assert (summary["fresh"], summary["of"], summary["stale"]) == (6, 6, [])
    assert set(summary["streams"]) >= set(STREAMS)
    assert await redis.hlen("bot:state:positions") == 16


@pytest.mark.parametrize("outage", UNWRITABLE)
async def test_the_bot_says_that_redis_takes_nothing(
    redis_server: RedisServer, redis: Redis, tmp_path: Path, outage: str
) -> None:
    """It can't decide then, though it reads; and again can once it may write."""
    harm, repair, says = UNWRITABLE[outage]

    async with running_bot(redis_server, tmp_path / "bot") as bot:

        async def writes() -> bool:
            return await bot.part("writes") == "ok"

        async def says_why() -> bool:
            return says in await bot.part("writes")

        await eventually_async(writes)
        await harm(redis)
        await eventually_async(says_why)
        assert not await bot.is_ready()
        await repair(redis)
        await eventually_async(writes)


async def test_the_bot_starts_before_redis(tmp_path: Path) -> None:
    """Start order doesn't matter: it waits, and says for what."""
    server = RedisServer(tmp_path / "redis", quiet_port())
    async with running_bot(server, tmp_path / "bot") as bot:
        assert (await bot.get("/ready"))["code"] == 503
        await server.start()
        try:

            async def waits_for_data() -> bool:
                return await bot.part("redis") == "ok"

            await eventually_async(waits_for_data)
            assert "binance:BTCUSDT:ticker: no message yet" in await bot.part("market_data")
            assert await bot.service.end() == 0
        finally:
            await server.stop()


async def test_a_bot_that_was_away_reads_what_it_missed(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """It goes on at its saved position, says what is malformed, and crashes at nothing."""
    async with running_bot(redis_server, tmp_path / "one") as bot, published(redis):
        await eventually_async(bot.is_ready)
        assert await bot.service.end() == 0
    assert len(bot.logged("reading_from_newest")) == 1
    missed = len(await entries_after(redis, await saved_id(redis)))
    good = [wire(trade(number=n)) for n in range(5)]
    for data in (b"", b"{}", b"\xff", wire(trade(symbol="ETH/USDT")), *good):
        await redis.xadd(STREAMS[2], {"data": data})
    async with running_bot(redis_server, tmp_path / "two") as later:

        async def has_read_them() -> bool:
            return not await entries_after(redis, await saved_id(redis))

        await eventually_async(has_read_them)
        assert await later.service.end() == 0
    summary = later.logged("market_summary")[-1]
    assert summary["streams"][STREAMS[2]]["entries"] == missed + len(good)
    assert (summary["malformed"], summary["gaps"]) == (4, 0)
    assert later.logged("reading_from_saved")
    assert later.logged("malformed_entries")[0]["stream"] == STREAMS[2]


async def test_huge_entries_cost_the_bot_neither_its_memory_nor_what_comes_after_them(
    redis_server: RedisServer, redis: Redis, tmp_path: Path, attempt: Attempts
) -> None:
    """Twelve in one reply, of 12 MB each: each is malformed, and it goes on."""
    huge = b"x" * (12 * MB)
    async with running_bot(redis_server, tmp_path / "bot") as bot, published(redis):
        await eventually_async(bot.is_ready)
        before = forget_peak(bot.service.process.pid)
        async with redis.pipeline(transaction=True) as together:
            for stream in STREAMS:
                for _ in range(4):
                    together.xadd(stream, {"data": huge})
            identifier = (await together.execute())[-1].decode()

        async def is_past_them() -> bool:
            saved: Any = redis
            if not await saved.hexists("bot:state:positions", STREAMS[2]):
                return False
            return parse_entry_id(await saved_id(redis)) > parse_entry_id(identifier)

        await eventually_async(is_past_them)
        await eventually_async(bot.is_ready)
        harmed = peak(bot.service.process.pid) - before >= 96 * MB
        for _ in range(12):
            what = "fill the bot's memory by entries of 12 MB"
            attempt("process that writes market data", what, succeeded=harmed)
        assert not harmed
        assert await bot.service.end() == 0
    assert bot.logged("market_summary")[-1]["malformed"] == 12


def test_the_bot_imports_no_sdk() -> None:
    """It knows exchanges by their streams only."""
    code = "import sys, services.bot.service; print({'binance', 'luno_python'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
