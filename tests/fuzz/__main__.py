"""Fuzzes everything at length: `python -m tests.fuzz --examples 100000 --seed 7`."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.fuzz.commands import give_corpus, give_drawn, peak_memory, still_fine
from tests.fuzz.corpus import IDS, drawn, good, messages
from tests.fuzz.readers import flood_bot, flood_host
from tests.fuzz.reading import refusal
from tests.fuzz.servers import all_servers, give_bodies, give_requests, keep_connections
from tests.support.orders.trading import MARKETS, NO_LIMITS, Market, trading_desk
from tests.support.ports import quiet_port

# One message in so many goes through real processes, in rounds of so many for each stream.
TO_PROCESSES = 20
ROUND = 100


def main() -> int:
    """0 if nothing broke; what breaks ends it with its traceback and the message that did it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000, help="commands to read, in all")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other messages")
    options = parser.parse_args()
    _read(options.examples, options.seed)
    asyncio.run(_at_processes(options.examples // TO_PROCESSES, options.seed))
    return 0


def _read(examples: int, start: int) -> None:
    """In this process."""
    for number, command in enumerate(IDS):
        began, count, refused = time.monotonic(), examples // len(IDS), 0
        for symbol in ("BTC/USDT", "NOPE/NOPE"):
            fields = good(command, symbol, "drawn")
            for data in drawn(messages(fields), count // 2, start * len(IDS) + number):
                refused += refusal(command, data) is not None
        _say(f"{command}: {count} messages read, {refused} refused", began)


async def _at_processes(examples: int, start: int) -> None:
    rounds = max(1, examples // ROUND)
    for market in MARKETS:
        await _in_a_folder(lambda folder, market=market: _commands(folder, market, rounds, start))  # type: ignore[misc]
    for name, flood in (("bot", flood_bot), ("indicators", flood_host)):
        began = time.monotonic()
        async with _a_redis() as (redis, url, folder):
            await flood(redis, url, folder, ROUND, rounds)
        _say(f"{name}: {rounds} rounds of {ROUND} messages to each stream", began)
    began = time.monotonic()
    async with _a_redis() as (_, url, folder), all_servers(url, folder) as servers:
        await give_requests(servers, examples, start)
        await keep_connections(servers)
        await give_bodies(servers["venues"])
        _say(f"HTTP: {examples} requests to each of {len(servers)} servers", began)


async def _commands(folder: Path, market: Market, rounds: int, start: int) -> None:
    began = time.monotonic()
    async with (
        trading_desk(market, folder, **NO_LIMITS) as desk,
        desk.connector() as service,
    ):
        await give_corpus(desk, service)
        for number in range(rounds):
            await give_drawn(desk, service, ROUND, start * rounds + number)
        await still_fine(desk, service)
        peak = peak_memory(service) >> 20
        _say(f"{desk.name}: {rounds} rounds of {ROUND} commands, peak memory {peak} MB", began)


async def _in_a_folder(work: Callable[[Path], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        await work(Path(name))


@asynccontextmanager
async def _a_redis() -> AsyncIterator[tuple[Redis, str, Path]]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        server = RedisServer(Path(name) / "redis", quiet_port())
        await server.start()
        try:
            async with open_redis(server.url, "fuzz") as redis:
                yield redis, server.url, Path(name)
        finally:
            await server.stop()


def _say(line: str, began: float) -> None:
    sys.stdout.write(f"{line}, {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
