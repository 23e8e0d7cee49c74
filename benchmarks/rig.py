"""One run of one contender on one feed: started, fed, watched, checked."""

import json
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from redis import Redis

from benchmarks import frames
from benchmarks.contenders import Contender, WrongError
from benchmarks.pinned import Pinned, cores, running
from services._local.ports import quiet_port

# The whole primer must have come through within this.
START_WITHIN = 30.0
# Frames are made first.
FEEDER_WITHIN = 90.0
# Nothing new for so long, and the primer is through: longer than cryptofeed holds a batch.
CALM = 0.8
# Nothing new for so long while a feed runs, and the rest is lost.
STALLED = 3.0
POLL = 0.01
# So many frames are on their way at most. Our connector keeps only the latest quote where Redis is
# behind, by design; here every one is to be written, and no contender gets ahead of Redis. Trades
# need no window: they are never left out.
WINDOWS = {"books": 1500, "luno": 1500, "tickers": 10_000}
# The clock of a burst stops here: a batch that waits for more at the very end is no work.
NEARLY_ALL = 0.99


@dataclass
class Result:
    """What one run showed. `cpu` is in seconds, memory in bytes, latencies in seconds."""

    frames: int
    entries: int
    seconds: float
    cpu: float
    resident: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Entries a second, readable in Redis."""
        return NEARLY_ALL * self.entries / self.seconds

    @property
    def lost(self) -> float:
        """The share of frames that gave no entry."""
        return 1 - self.entries / self.frames

    @property
    def cpu_each(self) -> float:
        """CPU seconds a frame."""
        return self.cpu / self.frames


class Rig:
    """A feeder with its frames made, and a Redis, for any number of runs."""

    def __init__(self, redis: Redis, redis_port: int, folder: Path) -> None:
        self._redis = redis
        self._redis_port = redis_port
        self._folder = folder
        self.under_test, self.rest = cores()

    @contextmanager
    def feeder(self, kind: str, count: int) -> Iterator[int]:
        """A feeder of that kind on a port of its own."""
        port = quiet_port()
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        command = [sys.executable, "-m", "benchmarks.feeder", kind, str(count), str(port)]
        with running([*command, str(self.rest)], {}, self.rest, folder) as process:
            deadline = time.monotonic() + FEEDER_WITHIN
            while not _accepts(port):
                if process.exited or time.monotonic() > deadline:
                    raise RuntimeError(f"the feeder didn't start: {process.log_end()}")
                time.sleep(0.05)
            yield port

    def burst(
        self, contender: Contender, work: str, feed: frames.Feed, feeder: int, *, whole: bool = True
    ) -> Result:
        """Feed as fast as the contender reads; *whole* where every frame must give an entry.

        Raises:
            WrongError: what arrived is not what was sent.
        """
        with self._started(contender, work, feeder) as process:
            before = self._count(contender, work)
            cpu = process.cpu_seconds()
            window = WINDOWS.get(work) if whole else None
            history = self._watch(contender, work, process, feeder, before + feed.burst, window)
            entries = history[-1][1] - before
            enough = next(t for t, n, _ in history if n - before >= NEARLY_ALL * entries)
            result = Result(
                feed.burst,
                entries,
                enough - history[0][0],
                process.cpu_seconds() - cpu,
                [resident for _, _, resident in history],
            )
            if whole:
                self._check(contender, work, feed, result)
            return result

    def steady(
        self, contender: Contender, work: str, feed: frames.Feed, feeder: int, rate: int
    ) -> Result:
        """Feed *rate* frames a second, and read each entry as soon as it can be read.

        Raises:
            WrongError: what arrived is not what was sent.
        """
        with self._started(contender, work, feeder) as process:
            streams = contender.streams(work)
            positions: Any = {
                name: self._redis.xinfo_stream(name)["last-generated-id"] for name in streams
            }
            numbers = {name.encode(): number for number, name in enumerate(streams)}
            cpu, started = process.cpu_seconds(), time.monotonic()
            _get(feeder, f"/bench/feed?rate={rate}")
            seen: list[tuple[int, int, Any]] = []
            found = 0
            while found < feed.burst:
                reply: Any = self._redis.xread(positions, block=int(STALLED * 1000))
                now = time.monotonic_ns()
                if not reply:
                    raise WrongError(f"{found} of {feed.burst} entries came: {process.log_end()}")
                for name, entries in reply:
                    positions[name.decode()] = entries[-1][0]
                    found += len(entries)
                    seen.extend((now, numbers[name], fields) for _, fields in entries)
            result = Result(
                feed.burst, found, time.monotonic() - started, process.cpu_seconds() - cpu
            )
            self._check(contender, work, feed, result)
        sent = json.loads(_get(feeder, "/bench/sent"))
        for now, stream, fields in seen:
            number = contender.frame_number(stream, fields) - feed.primer
            result.latencies.append((now - sent[number]) / 1e9)
        return result

    @contextmanager
    def _started(self, contender: Contender, work: str, feeder: int) -> Iterator[Pinned]:
        """The contender, connected, with its primer through and nothing else going on."""
        self._redis.flushall()
        command, environment = contender.command(work, feeder, self._redis_port)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with running(command, environment, self.under_test, folder) as process:
            deadline = time.monotonic() + START_WITHIN
            streams = contender.streams(work)
            last, since = 0, time.monotonic()
            while True:
                now = time.monotonic()
                if process.exited or now > deadline:
                    raise RuntimeError(f"{contender.name} didn't start: {process.log_end()}")
                count = self._count(contender, work)
                if count != last:
                    last, since = count, now
                if now - since > CALM and self._redis.exists(*streams) == len(streams):
                    break
                time.sleep(0.05)
            yield process

    def _count(self, contender: Contender, work: str) -> int:
        """Entries ever added to the contender's streams."""
        pipe = self._redis.pipeline(transaction=False)
        for name in contender.streams(work):
            pipe.xinfo_stream(name)
        answers: Any = pipe.execute(raise_on_error=False)
        return sum(answer["entries-added"] for answer in answers if isinstance(answer, dict))

    def _watch(
        self,
        contender: Contender,
        work: str,
        process: Pinned,
        feeder: int,
        wanted: int,
        window: int | None,
    ) -> list[tuple[float, int, int]]:
        """Start the feed; time, entries and resident memory until all came or no more come."""
        history = [(time.monotonic(), self._count(contender, work), process.resident_bytes())]
        streams = [("stream", name) for name in contender.streams(work)]
        told = [("window", window), ("redis", self._redis_port), *streams] if window else []
        _get(feeder, f"/bench/feed?{urlencode(told)}")
        since = history[0][0]
        while True:
            time.sleep(POLL)
            count, now = self._count(contender, work), time.monotonic()
            if count != history[-1][1]:
                since = now
            history.append((now, count, process.resident_bytes()))
            if count >= wanted or now - since > STALLED or process.exited:
                return history

    def _check(self, contender: Contender, work: str, feed: frames.Feed, result: Result) -> None:
        if result.entries != result.frames:
            raise WrongError(
                f"{contender.name}, {work}: {result.frames} frames gave {result.entries} entries"
            )
        contender.check(work, self._redis, feed)


def _accepts(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read()  # type: ignore[no-any-return]
