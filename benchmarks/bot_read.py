"""How fast the bot reads: `python -m benchmarks.bot_read REDIS_PORT CORE`, JSON on stdout.

In turn, over the same entries: the bot's own reader and models (XREAD, validated, kept), and a
bare XREAD of redis-py whose reply nobody looks at.
"""

import asyncio
import json
import sys
import time
from typing import Any

from redis.asyncio import Redis

from benchmarks import frames
from benchmarks.contenders import our_trade
from benchmarks.pinned import pin
from common_models.stream_names import MarketStream
from services._runtime.redis_client import open_redis
from services._runtime.stream_reader import READ_COUNT, Batch, StreamReader
from services.bot.data_provider import DataProvider

ENTRIES = 100_000
ROUNDS = 5
SAVED_IN = "bench:positions"
SYMBOLS = tuple(f"{base}/{frames.QUOTE}" for base in frames.BASES)


async def fill(redis: Redis) -> list[str]:
    """Write the trades; the names of their streams."""
    await redis.flushall()
    names = [str(MarketStream.of("binance", symbol, "trades")) for symbol in SYMBOLS]
    for start in range(0, ENTRIES, 1000):
        async with redis.pipeline(transaction=False) as pipe:
            for i in range(start, start + 1000):
                data = our_trade(i).model_dump_json()
                pipe.xadd(names[i % len(names)], {"data": data})
            await pipe.execute()
    return names


async def bare(redis: Redis, names: list[str]) -> float:
    """Entries a second of XREAD alone."""
    positions: dict[str, bytes | str] = dict.fromkeys(names, "0")
    found, started = 0, time.perf_counter()
    while found < ENTRIES:
        reply: Any = await redis.xread(positions, count=READ_COUNT)  # type: ignore[arg-type]
        for name, entries in reply:
            positions[name.decode()] = entries[-1][0]
            found += len(entries)
    return found / (time.perf_counter() - started)


async def as_the_bot(redis: Redis, names: list[str]) -> float:
    """Entries a second through the bot's reader into its data provider."""
    await redis.delete(SAVED_IN)
    await redis.hset(SAVED_IN, mapping=dict.fromkeys(names, "0-0"))
    provider = DataProvider({"binance": SYMBOLS})
    clock = asyncio.get_running_loop().time
    found, started, took = 0, 0.0, 0.0
    done = asyncio.Event()

    def take(batch: Batch) -> None:
        nonlocal found, took
        fault = provider.feeds[batch.stream].handle([data for _, data in batch.entries], clock())
        if fault is not None:
            raise RuntimeError(f"{batch.stream}: {fault}")
        found += len(batch.entries)
        if found >= ENTRIES:
            took = time.perf_counter() - started
            done.set()

    reader = StreamReader(redis, names, SAVED_IN)
    started = time.perf_counter()
    task = asyncio.create_task(reader.run(take))
    await asyncio.wait([task, asyncio.create_task(done.wait())], return_when="FIRST_COMPLETED")
    if not done.is_set():
        task.result()
    task.cancel()
    await asyncio.wait([task])
    for i, symbol in enumerate(SYMBOLS):
        latest = provider.trades("binance", symbol)[-1]
        if latest != our_trade(ENTRIES - len(SYMBOLS) + i):
            raise RuntimeError(f"{symbol}: the last trade read is {latest}")
    return found / took


async def main(port: int) -> None:
    """Measure, and print what was measured."""
    rates: dict[str, list[float]] = {"bot": [], "bare": []}
    async with open_redis(f"redis://127.0.0.1:{port}/0", "bench") as redis:
        names = await fill(redis)
        for _ in range(ROUNDS):
            rates["bot"].append(await as_the_bot(redis, names))
            rates["bare"].append(await bare(redis, names))
    print(json.dumps(rates))


if __name__ == "__main__":
    pin(int(sys.argv[2]))
    asyncio.run(main(int(sys.argv[1])))
