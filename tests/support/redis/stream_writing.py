"""A running stream writer, and what it left in Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from services._runtime.redis_client import open_redis
from services._runtime.stream_writer.writer import OutStream, StreamWriter
from services._runtime.supervise import Retry

TRADES = "binance:BTCUSDT:trades"
TICKER = "binance:BTCUSDT:ticker"
MAXLEN = 100_000


@dataclass
class Writing:
    """A running writer, and what it said about its connection."""

    writer: StreamWriter
    task: asyncio.Task[None]
    ups: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def up(self) -> bool:
        """True while entries go straight out."""
        return self.writer.open

    def trades(self, name: str = TRADES, maxlen: int = MAXLEN) -> OutStream:
        """A stream that keeps all."""
        return self.writer.stream(name, maxlen, keep_all=True)

    def quotes(self, name: str = TICKER, maxlen: int = MAXLEN) -> OutStream:
        """A stream of which the latest entry matters."""
        return self.writer.stream(name, maxlen, keep_all=False)

    async def stop(self) -> None:
        """Cancel the writer, as a service that ends does, and wait until it has ended."""
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def writing(url: str, **options: Any) -> AsyncIterator[Writing]:
    """A writer to *url*, running while the block runs."""
    async with open_redis(url, "writer") as client:

        def up() -> None:
            it.ups += 1

        def down(retry: Retry) -> None:
            it.reasons.append(retry.cause)

        writer = StreamWriter(client, on_up=up, on_retry=down, **options)
        it = Writing(writer, asyncio.create_task(writer.run()))
        try:
            yield it
        finally:
            await it.stop()


async def entries(redis: Redis, name: str = TRADES) -> list[bytes]:
    """The values of the stream's entries; each entry has the one field `data`."""
    found: Any = await redis.xrange(name)
    assert all(list(fields) == [b"data"] for _, fields in found)
    return [fields[b"data"] for _, fields in found]


def numbered(numbers: Iterable[int]) -> list[bytes]:
    """Small trades that differ in their number."""
    return [b'{"trade_id": "%d"}' % n for n in numbers]


async def add_in_passes(stream: OutStream, data: list[bytes], size: int) -> None:
    """Add *data* in several passes of the event loop, *size* entries in each."""
    for start in range(0, len(data), size):
        for entry in data[start : start + size]:
            stream.add(entry)
        await asyncio.sleep(0)
