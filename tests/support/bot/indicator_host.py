"""The indicator host as a real process, and the market that it reads."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from common_models import IndicatorValue, Trade
from services._runtime.stream_position import StreamPosition
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import WHEN, trade, wire
from tests.support.ports import quiet_port
from tests.support.processes import Service, running

TRADES = "binance:BTCUSDT:trades"
# A machine that is busy with many other processes starts one more slowly.
WITHIN = 60.0
STATE = f"indicator_host:state:{TRADES}"


class Host:
    """A running indicator host."""

    def __init__(self, service: Service, port: int, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.port = port
        self._http = http

    async def ready(self) -> dict[str, Any]:
        """What `/ready` says; empty where nobody answers."""
        try:
            async with self._http.get(f"http://127.0.0.1:{self.port}/ready") as response:
                report: dict[str, Any] = await response.json()
        except aiohttp.ClientError:
            return {}
        return report

    async def until_ready(self) -> None:
        """Wait until it is."""

        async def is_ready() -> bool:
            assert not self.service.exited, self.service.log.read_text()
            return bool((await self.ready()).get("ready"))

        await eventually_async(is_ready, WITHIN)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = [json.loads(line) for line in self.service.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def hosting(url: str, folder: Path, indicators: str, **more: str) -> AsyncIterator[Host]:
    """A host of these *indicators* on the Redis at *url*; killed by the end of the block."""
    port = quiet_port()
    environment = {"REDIS_URL": url, "HEALTH_PORT": str(port), "INDICATORS": indicators, **more}
    async with (
        running("indicators", environment, folder) as service,
        aiohttp.ClientSession() as http,
    ):
        yield Host(service, port, http)


def market(seed: int = 1, *, every: float = 7.0, start: datetime = WHEN) -> Iterator[Trade]:
    """Trades without an end, about *every* so many seconds, their prices a random walk."""
    rng = random.Random(seed)
    price, time = 800, start
    for number in itertools.count(1):
        price = max(720, min(880, price + rng.randint(-8, 8)))
        time += timedelta(milliseconds=rng.randint(0, int(2000 * every)))
        yield trade(price=price / 8, number=number).model_copy(update={"timestamp": time})


async def publish(redis: Redis, trades: Iterator[Trade], count: int, stream: str = TRADES) -> None:
    """Write the next *count* of *trades*."""
    async with redis.pipeline(transaction=False) as pipe:
        for each in itertools.islice(trades, count):
            pipe.xadd(stream, {"data": wire(each)})
        await pipe.execute()


async def values(redis: Redis, name: str, market: str = "binance:BTCUSDT") -> list[IndicatorValue]:
    """All that was published of one indicator."""
    entries: Any = await redis.xrange(f"indicators:{name}:{market}")
    for _, fields in entries:
        assert list(fields) == [b"data"]
    return [IndicatorValue.model_validate_json(fields[b"data"]) for _, fields in entries]


async def all_read(redis: Any, stream: str = TRADES) -> bool:
    """True when the saved position is the stream's last entry."""
    saved = await redis.hget(f"indicator_host:state:{stream}", "position")
    newest = await redis.xrevrange(stream, count=1)
    return bool(saved) and StreamPosition.parse(saved.decode()).id == newest[0][0].decode()


async def until_all_read(redis: Redis, stream: str = TRADES) -> None:
    """Wait until all there is was read, and what came of it saved."""

    async def read() -> bool:
        return await all_read(redis, stream)

    await eventually_async(read, WITHIN)
