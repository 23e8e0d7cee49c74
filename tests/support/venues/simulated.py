"""Both venues of the simulator and how a connector reaches them, as real processes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models import OrderBook, Ticker, Trade
from common_models.stream_names import MARKET_DATA_TYPES, MarketDataType, MarketStream
from services._runtime.exchanges import MANIFESTS
from tests.support.eventually import eventually_async
from tests.support.ports import quiet_port
from tests.support.processes import Service, running

MODELS: dict[MarketDataType, type[BaseModel]] = {
    "ticker": Ticker,
    "orderbook": OrderBook,
    "trades": Trade,
}


@dataclass(frozen=True)
class Venue:
    """One way to run one connector against the simulator."""

    name: str
    exchange: str
    symbols: tuple[str, ...]
    key: dict[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The connector's module, and its name in Redis."""
        return f"{self.exchange}_connector"

    @property
    def setting(self) -> str:
        """Where its symbols are named."""
        return MANIFESTS[self.exchange].symbols_variable

    def environment(self, simulator_port: int, redis_url: str, health_port: int) -> dict[str, str]:
        """All that the connector is told."""
        root = f"127.0.0.1:{simulator_port}"
        urls = {url.variable: url.simulated(root) for url in MANIFESTS[self.exchange].urls}
        return {
            **urls,
            **self.key,
            self.setting: ",".join(self.symbols),
            "REDIS_URL": redis_url,
            "HEALTH_PORT": str(health_port),
            "ORDER_BOOK_INTERVAL": "0",
        }

    @property
    def streams(self) -> list[MarketStream]:
        """All its market streams."""
        return [
            MarketStream.of(self.exchange, symbol, data_type)
            for symbol in self.symbols
            for data_type in MARKET_DATA_TYPES
        ]


BINANCE = Venue("binance", "binance", ("BTC/USDT", "ETH/USDT"))
LUNO = Venue(
    "luno",
    "luno",
    ("XBT/ZAR", "ETH/ZAR"),
    {"LUNO_API_KEY_ID": "simulator-key", "LUNO_API_SECRET_KEY": "simulator-secret"},
)
LUNO_WITHOUT_KEY = Venue("luno without key", "luno", ("XBT/ZAR", "ETH/ZAR"))
VENUES = (BINANCE, LUNO, LUNO_WITHOUT_KEY)


@asynccontextmanager
async def simulator(port: int, folder: Path, **settings: str) -> AsyncIterator[Service]:
    """The simulator as a process, ready when the block starts."""
    health_port = quiet_port()
    environment = {
        "SIMULATOR_PORT": str(port),
        "HEALTH_PORT": str(health_port),
        "SIMULATOR_BOOK_ORDERS": "200",
        **settings,
    }
    async with running("exchange_simulator", environment, folder) as service:
        await eventually_async(lambda: is_ready(health_port))
        yield service


async def report(health_port: int, path: str = "/ready") -> tuple[int, dict[str, Any]]:
    """Status and JSON of a health endpoint; (0, {}) where nobody answers."""
    url = f"http://127.0.0.1:{health_port}{path}"
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.json()
    except aiohttp.ClientConnectionError:
        return 0, {}


async def is_ready(health_port: int) -> bool:
    """True when `/ready` says so."""
    return (await report(health_port))[0] == 200


async def newest(redis: Redis, streams: Sequence[MarketStream]) -> dict[str, bytes]:
    """The id of the newest entry of each stream that has one."""
    found = {}
    for stream in streams:
        entries: Any = await redis.xrevrange(str(stream), count=1)
        if entries:
            found[str(stream)] = entries[0][0]
    return found


async def all_move_on(redis: Redis, venue: Venue, since: dict[str, bytes]) -> bool:
    """True when every stream has an entry that isn't the newest of *since*."""
    try:
        now = await newest(redis, venue.streams)
    except (RedisError, OSError):
        return False
    return all(now.get(str(s), b"") not in (b"", since.get(str(s))) for s in venue.streams)


async def published(redis: Redis, stream: MarketStream) -> list[Any]:
    """All of a stream, each entry validated, with nothing but the field `data`."""
    entries: Any = await redis.xrange(str(stream))
    assert all(list(fields) == [b"data"] for _, fields in entries)
    return [MODELS[stream.data_type].model_validate_json(f[b"data"]) for _, f in entries]


async def trade_ids(redis: Redis, venue: Venue, symbol: str) -> list[int]:
    """The ids of all published trades of one symbol, in order."""
    stream = MarketStream.of(venue.exchange, symbol, "trades")
    return [int(trade.trade_id) for trade in await published(redis, stream)]
