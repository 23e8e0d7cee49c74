"""Does memory stay flat? `make soak MINUTES=10`: the real processes at a high rate.

The simulator's traders act many times a second on every symbol, every change of a book is
published, the bot reads it all. Memory is written down all the while; what counts is the slope
of each process's, once the streams are as long as they get. The simulator, which only plays the
exchanges here, is shown and not judged: its tape of past trades fills for longer than this runs.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import linear_regression
from typing import Any

from redis.asyncio import Redis

from services._local.ports import quiet_port
from services._local.redis_server import RedisServer
from tests.support.processes import Service, running

# Actions a second of each symbol's traders.
RATE = "1000"
BINANCE_SYMBOLS = "BTC/USDT,ETH/USDT"
LUNO_SYMBOLS = "XBT/ZAR,ETH/ZAR"
KEY = "simulator-key"
SIMULATOR = "exchange_simulator"
LOOK_EVERY = 5.0
ROWS = 20
# Until then streams and caches fill; the slope is that of the rest.
WARM_UP_SHARE = 0.4
# A leak that would take a week to fill a gigabyte: 6 MB an hour.
MOST_MB_AN_HOUR = 6.0
# Less than this is too short to tell a slope from noise.
LEAST_MINUTES = 8.0
MB = 1 << 20


def environments(redis_url: str, port: int) -> dict[str, dict[str, str]]:
    """What each process is told."""
    rest, stream = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    symbols = {"BINANCE_SYMBOLS": BINANCE_SYMBOLS, "LUNO_SYMBOLS": LUNO_SYMBOLS}
    common = {"REDIS_URL": redis_url, "HEALTH_PORT": "0", "LOG_LEVEL": "warning", **symbols}
    # Short streams are soon as long as they get.
    connector = {**common, "ORDER_BOOK_INTERVAL": "0", "MARKET_DATA_MAXLEN": "1000"}
    return {
        SIMULATOR: {
            "SIMULATOR_PORT": str(port),
            "HEALTH_PORT": "0",
            "LOG_LEVEL": "warning",
            "SIMULATOR_RATE": RATE,
            "SIMULATOR_SYMBOLS": f"{BINANCE_SYMBOLS},{LUNO_SYMBOLS}",
        },
        "binance_connector": {
            **connector,
            "BINANCE_REST_URL": f"{rest}/api",
            "BINANCE_STREAM_URL": stream,
            "BINANCE_WS_API_URL": f"{stream}/ws-api/v3",
        },
        "luno_connector": {
            **connector,
            "LUNO_REST_URL": rest,
            "LUNO_STREAM_URL": stream,
            "LUNO_API_KEY_ID": KEY,
            "LUNO_API_SECRET_KEY": KEY,
        },
        "bot": common,
    }


def resident_mb(pid: int) -> float:
    """The memory a process has resident now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


async def entries_added(redis: Redis) -> int:
    """How many entries all market-data streams were ever given."""
    added = 0
    for exchange in ("binance", "luno"):
        async for name in redis.scan_iter(f"{exchange}:*"):
            state: Any = await redis.xinfo_stream(name)
            added += state["entries-added"]
    return added


class Watch:
    """Memory over time."""

    def __init__(self, services: Mapping[str, Service], redis: Redis, minutes: float) -> None:
        self.samples: dict[str, list[tuple[float, float]]] = {name: [] for name in services}
        self.samples["redis (data)"] = []
        self._services = services
        self._redis = redis
        self._seconds = minutes * 60

    async def run(self) -> None:
        """Look until the time is over; print some of what is seen."""
        print("| minute | entries/s | " + " | ".join(f"{n}, MB" for n in self.samples) + " |")
        print("|---|---|" + "---|" * len(self.samples))
        started = time.monotonic()
        row_at, added, counted_at = 0.0, await entries_added(self._redis), started
        while (elapsed := time.monotonic() - started) < self._seconds:
            seen = await self._look(elapsed)
            if elapsed >= row_at:
                row_at += self._seconds / ROWS
                now, count = time.monotonic(), await entries_added(self._redis)
                rate = (count - added) / max(now - counted_at, 1e-9)
                added, counted_at = count, now
                cells = " | ".join(f"{value:.1f}" for value in seen)
                print(f"| {elapsed / 60:.1f} | {rate:,.0f} | {cells} |", flush=True)
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self, elapsed: float) -> list[float]:
        for name, service in self._services.items():
            if service.exited:
                raise SystemExit(f"{name} has ended: {service.log.read_text()[-1000:]}")
            self.samples[name].append((elapsed, resident_mb(service.process.pid)))
        memory: Any = await self._redis.info("memory")
        self.samples["redis (data)"].append((elapsed, memory["used_memory"] / MB))
        return [samples[-1][1] for samples in self.samples.values()]

    def slopes(self) -> dict[str, float]:
        """MB an hour of each, after the warm-up."""
        return {name: _slope(samples) for name, samples in self.samples.items()}


def _slope(samples: Sequence[tuple[float, float]]) -> float:
    settled = samples[int(len(samples) * WARM_UP_SHARE) :]
    hours = [elapsed / 3600 for elapsed, _ in settled]
    return linear_regression(hours, [value for _, value in settled]).slope


async def main(minutes: float) -> int:
    """Run everything that long; 1 where memory grows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder / "redis", quiet_port(), "--appendonly", "no")
        await server.start()
        try:
            async with AsyncExitStack() as stack:
                redis = await stack.enter_async_context(Redis(port=server.port))
                told = environments(server.url, quiet_port())
                services = {
                    module: await stack.enter_async_context(running(module, environment, folder))
                    for module, environment in told.items()
                }
                watch = Watch(services, redis, minutes)
                await watch.run()
        finally:
            await server.stop()
    print(
        f"\n| slope after the first {minutes * WARM_UP_SHARE:.1f} minutes | MB an hour |\n|---|---|"
    )
    slopes = watch.slopes()
    for process, slope in slopes.items():
        print(f"| {process} | {slope:+.1f} |")
    slopes.pop(SIMULATOR)
    growing = [process for process, slope in slopes.items() if slope > MOST_MB_AN_HOUR]
    if minutes < LEAST_MINUTES:
        print(f"\nToo short to judge: want at least {LEAST_MINUTES:g} minutes.")
        return 0
    print(f"\nGrowing: {', '.join(growing)}." if growing else "\nFlat.")
    return 1 if growing else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    sys.exit(asyncio.run(main(parser.parse_args().minutes)))
