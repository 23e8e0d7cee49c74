"""Market data against cryptofeed, on the same frames: part of `make bench`.

The whole path, for both: socket frame in, entry readable in Redis. The process under test has one
core to itself; the feeder, Redis and the watcher share another. Runs alternate, and every run is
checked: each frame must have given its entry, with the right content, or the bench stops.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from redis import Redis

from benchmarks import frames, peers
from benchmarks.contenders import Contender, Cryptofeed, Ours
from benchmarks.pinned import ROOT, cores, pin
from benchmarks.report import (
    Pair,
    bot_line,
    burst_lines,
    late_line,
    lost_line,
    luno_line,
    memory_line,
    steady_lines,
)
from benchmarks.rig import Result, Rig
from services._local.ports import quiet_port
from services._local.redis_server import RedisServer

PAIRS = 5
RATE = 1000
# Frames after the primer: some seconds of work for the slower one.
COUNTS = {"trades": 150_000, "books": 20_000, "tickers": 100_000}
STEADY_FRAMES = 6 * RATE
LUNO_UPDATES = 60_000
WORKS = (*COUNTS, "steady", "luno", "bot")


class Bench:
    """All the runs of one bench."""

    def __init__(self, rig: Rig, redis_port: int, environment: peers.Environment) -> None:
        self._rig = rig
        self._redis_port = redis_port
        python = environment.python
        patient = {"overflow": "block"} if environment.has_overflow else {}
        prompt = {"batch_interval": 0} if environment.has_overflow else {}
        self._ours = Ours()
        self._lossless = Cryptofeed("cryptofeed", python, patient)
        self._prompt = Cryptofeed("cryptofeed", python, {**patient, **prompt})
        # Releases before 3 have nothing to choose.
        drops = environment.has_overflow
        self._default = Cryptofeed("cryptofeed's default", python, {}) if drops else None

    def bursts(self, work: str, pairs: int) -> list[str]:
        """As fast as each of them reads."""
        with ExitStack() as stack:
            feeds = self._feeds(stack, work, (self._ours, self._lossless), COUNTS[work])

            def run(contender: Contender, *, whole: bool = True) -> Result:
                feed, port = feeds[contender.feed_of(work)]
                return self._rig.burst(contender, work, feed, port, whole=whole)

            found = [Pair(run(self._ours), run(self._lossless)) for _ in range(pairs)]
            lines = burst_lines(work, found)
            if work == "trades":
                lines.append(memory_line(found))
            if self._default is not None:
                lines.append(lost_line(work, run(self._default, whole=False)))
        return lines

    def steady(self, pairs: int) -> list[str]:
        """A thousand trades a second, and how soon each can be read."""
        with ExitStack() as stack:
            feed, port = self._feeds(stack, "trades", (self._ours,), STEADY_FRAMES)["trades"]

            def run(contender: Contender) -> Result:
                return self._rig.steady(contender, "trades", feed, port, RATE)

            found = [Pair(run(self._ours), run(self._prompt)) for _ in range(pairs)]
            lines = steady_lines(found)
            if self._default is not None:
                lines.append(late_line(run(self._default)))
        return lines

    def luno(self, runs: int) -> list[str]:
        """Luno's busiest book, a book out for every update."""
        with ExitStack() as stack:
            feed, port = self._feeds(stack, "luno", (self._ours,), LUNO_UPDATES)["luno"]
            found = [self._rig.burst(self._ours, "luno", feed, port) for _ in range(runs)]
        return [luno_line(found)]

    def bot(self) -> list[str]:
        """The bot's reader, in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.bot_read", str(self._redis_port)]
        told = subprocess.run(
            [*command, str(self._rig.under_test)], capture_output=True, check=True, cwd=ROOT
        )
        return [bot_line(json.loads(told.stdout.splitlines()[-1]))]

    def _feeds(
        self, stack: ExitStack, work: str, contenders: Sequence[Contender], count: int
    ) -> dict[str, tuple[frames.Feed, int]]:
        """A feeder for each kind of frames that is taken."""
        kinds = dict.fromkeys(contender.feed_of(work) for contender in contenders)
        return {
            kind: (frames.feed(kind, count), stack.enter_context(self._rig.feeder(kind, count)))
            for kind in kinds
        }

    def lines(self, works: Sequence[str], pairs: int) -> dict[str, list[str]]:
        """The results' lines of each work."""
        found = {}
        for work in works:
            started = time.monotonic()
            if work in COUNTS:
                found[work] = self.bursts(work, pairs)
            elif work == "steady":
                found[work] = self.steady(pairs)
            else:
                found[work] = self.luno(pairs) if work == "luno" else self.bot()
            print(f"{work}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        return found


def surroundings(environment: peers.Environment, server_version: str) -> str:
    """What these figures are of."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    model = "an unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    busy = os.getloadavg()[0]
    note = f"; other work ran here (load {busy:.1f}): trust ratios only" if busy > 0.7 else ""
    return (
        f"Commit {commit or 'unknown'}, {os.cpu_count()} cores of {model}, CPython "
        f"{platform.python_version()}, Valkey {server_version}, cryptofeed {environment.version} "
        f"on CPython {environment.python_version}{note}."
    )


async def main(works: Sequence[str], pairs: int) -> None:
    """Start Redis, run everything, print the tables."""
    environment = peers.environment()
    under_test, rest = cores()
    everything = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder / "redis", quiet_port(), "--appendonly", "no")
        pin(rest)  # what is started from here on runs there, but for what is told otherwise
        await server.start()
        try:
            redis = Redis(port=server.port)
            about = surroundings(environment, redis.info("server")["valkey_version"])
            print(f"market data; {about}\n", flush=True)
            bench = Bench(Rig(redis, server.port, folder), server.port, environment)
            found = bench.lines(works, pairs)
        finally:
            await server.stop()
            os.sched_setaffinity(0, everything)
    if under_test == rest:
        print("One core only: everything shared it.\n")
    lines = [line for work in works for line in found[work]]
    print("| what | this suite | cryptofeed | ratio | goal |\n|---|---|---|---|---|")
    print("\n".join(line for line in lines if line.startswith("|")))
    print("\n" + "\n".join(line for line in lines if not line.startswith("|")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.market_data")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="runs of each, in turn")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=WORKS, help="these alone")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.only, arguments.pairs))
