"""The stream reader: every entry is handed over, and what can't be is reported."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._local.redis_server import RedisServer
from services._runtime import redis_client, redis_parser
from services._runtime.entry_ids import START
from services._runtime.redis_client import open_redis
from services._runtime.stream_position import StreamGap, StreamPosition
from services._runtime.stream_reader import Batch, StreamReader
from tests.support.eventually import eventually
from tests.support.metrics import Numbers, numbers
from tests.support.ports import quiet_port

A, B = "binance:BTCUSDT:trades", "luno:XBTZAR:trades"
KEY = "test:state:positions"


class Seen:
    """What a reader handed over and reported."""

    def __init__(self) -> None:
        self.entries: dict[str, list[bytes]] = {A: [], B: []}
        self.batches: list[Batch] = []
        self.gaps: list[StreamGap] = []
        self.downs: list[str] = []
        self.ups = 0
        self.reader: StreamReader | None = None
        self.on_batch: Callable[[Batch], None] = lambda _: None

    def take(self, batch: Batch) -> None:
        """The reader's handler."""
        self.batches.append(batch)
        self.entries[batch.stream] += [data for _, data in batch.entries]
        self.on_batch(batch)

    def came_up(self) -> None:
        """The reader's `on_up`."""
        self.ups += 1

    def metrics(self) -> Numbers:
        """What the reader says of itself."""
        assert self.reader is not None
        return numbers(self.reader.metrics())

    @property
    def lost(self) -> int:
        """All the entries that were reported as lost."""
        return sum(gap.lost or 0 for gap in self.gaps)


@asynccontextmanager
async def reading(redis: Redis, *, seen: Seen | None = None, **options: Any) -> AsyncIterator[Seen]:
    """A running reader of A and B, connected."""
    seen = seen or Seen()
    reader = StreamReader(
        redis,
        (A, B),
        KEY,
        on_up=seen.came_up,
        on_retry=lambda retry: seen.downs.append(retry.cause),
        on_gap=seen.gaps.append,
        **options,
    )
    seen.reader = reader
    task = asyncio.create_task(reader.run(seen.take))
    try:
        await eventually(lambda: seen.ups or seen.downs or task.done())
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def add(redis: Redis, stream: str, *values: int, **options: Any) -> None:
    """Append entries whose data are these numbers."""
    async with redis.pipeline(transaction=False) as pipe:
        for value in values:
            pipe.xadd(stream, {"data": str(value)}, **options)
        await pipe.execute()


def data(*values: int) -> list[bytes]:
    """The bytes that `add` wrote."""
    return [str(value).encode() for value in values]


async def text(reply: Any) -> str:
    """A reply as text."""
    value: bytes = await reply
    return value.decode()


async def first_id(redis: Any, stream: str) -> str:
    """The id of the stream's oldest entry."""
    identifier: bytes = (await redis.xrange(stream, count=1))[0][0]
    return identifier.decode()


async def test_without_a_position_it_starts_behind_the_newest_entry(redis: Redis) -> None:
    """What lay there before is not read; what comes after is, from streams yet unborn too."""
    await add(redis, A, 1, 2, 3)
    async with reading(redis) as seen:
        await add(redis, A, 4)
        await add(redis, B, 5)
        await eventually(lambda: seen.entries == {A: data(4), B: data(5)})
    assert not seen.gaps
    assert [batch.age for batch in seen.batches] == [0.0, 0.0]


async def test_every_entry_is_handed_over_once_and_in_order(redis: Redis) -> None:
    """Entries written while a batch is being handled are not lost between two reads."""
    async with reading(redis, count=7) as seen:
        for chunk in range(40):
            await add(redis, A, *range(chunk * 25, chunk * 25 + 25))
            await add(redis, B, chunk)
        await eventually(lambda: len(seen.entries[A]) + len(seen.entries[B]) == 1040)
    assert seen.entries == {A: data(*range(1000)), B: data(*range(40))}
    assert not seen.gaps


async def test_it_goes_on_where_it_stopped(redis: Redis) -> None:
    """A clean stop saves the positions: nothing twice, nothing lost, and the old age is known."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2)
        await eventually(lambda: len(seen.entries[A]) == 2)
    await add(redis, A, 3)
    async with reading(redis) as later:
        await eventually(lambda: later.entries[A])
        await add(redis, A, 4)
        await eventually(lambda: len(later.entries[A]) == 2)
    assert seen.entries[A] + later.entries[A] == data(1, 2, 3, 4)
    assert not later.gaps


async def test_the_age_of_earlier_entries_comes_from_their_ids(redis: Redis) -> None:
    """An hour-old entry read just now is an hour old."""
    seconds, _ = await redis.time()
    await redis.hset(KEY, A, START)
    await redis.xadd(A, {"data": "1"}, id=f"{(seconds - 3600) * 1000}-0")
    async with reading(redis) as seen:
        await eventually(lambda: seen.batches)
        await add(redis, A, 2)
        await eventually(lambda: len(seen.batches) == 2)
    assert 3590 < seen.batches[0].age < 3610
    assert seen.batches[1].age == 0.0


async def test_entries_trimmed_while_it_was_away_are_counted(redis: Redis) -> None:
    """The gap names the stream, the saved id, the first id there, and how many are lost."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2)
        await eventually(lambda: len(seen.entries[A]) == 2)
    saved = StreamPosition.parse(await text(redis.hget(KEY, A)))
    await add(redis, A, *range(3, 103))
    await redis.xtrim(A, maxlen=10, approximate=False)
    first = await first_id(redis, A)
    async with reading(redis) as later:
        await eventually(lambda: len(later.entries[A]) == 10)
    assert later.entries[A] == data(*range(93, 103))
    assert later.gaps == [StreamGap(A, "trimmed", saved.id, first, 90)]


async def test_trimming_entries_that_were_read_makes_no_gap(redis: Redis) -> None:
    """That the saved entry itself is gone says nothing about those after it."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2, 3)
        await eventually(lambda: len(seen.entries[A]) == 3)
    await add(redis, A, 4)
    await redis.xtrim(A, maxlen=1, approximate=False)
    async with reading(redis) as later:
        await eventually(lambda: later.entries[A] == data(4))
    assert not later.gaps


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 7, 100])
async def test_entries_trimmed_under_a_slow_reader_are_counted(
    redis: Redis, redis_server: RedisServer, count: int
) -> None:
    """However the trimming falls between two reads: read plus lost is all there was."""
    total, keep = 2000, 20
    with BlockingRedis(port=redis_server.port) as other:
        left = iter(range(total))

        def write_more_than_is_kept(_: Batch) -> None:
            for value in islice(left, 37):
                other.xadd(A, {"data": value}, maxlen=keep, approximate=False)

        seen = Seen()
        seen.on_batch = write_more_than_is_kept
        async with reading(redis, seen=seen, count=count):
            await add(redis, A, -1)
            await eventually(lambda: seen.entries[A] and seen.entries[A][-1] == b"1999")
            await add(redis, B, 1)
            await eventually(lambda: len(seen.entries[A]) + seen.lost == total + 1)
    assert seen.lost > 100


async def test_a_restarted_redis_is_read_on_without_loss(
    redis: Redis, redis_server: RedisServer
) -> None:
    """Killed and back with its append-only file: each entry exactly once."""
    async with reading(redis) as seen:
        await add(redis, A, 1)
        await eventually(lambda: seen.entries[A] == data(1))
        await redis_server.kill()
        await eventually(lambda: seen.downs)
        await redis_server.start()
        await again(lambda: add(redis, A, 2))
        await eventually(lambda: seen.entries[A] == data(1, 2))
    assert not seen.gaps


async def test_a_redis_that_came_back_empty_is_read_and_reported(
    redis: Redis, redis_server: RedisServer
) -> None:
    """It flows again within ten seconds, and the reader says that Redis forgot."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2, 3)
        await eventually(lambda: len(seen.entries[A]) == 3)
        await redis_server.kill()
        for path in redis_server.data_dir.glob("appendonlydir/*"):
            path.unlink()
        await redis_server.start()
        await again(lambda: add(redis, A, 4))
        await eventually(lambda: seen.entries[A] == data(1, 2, 3, 4), within=10)
    assert [(gap.stream, gap.reason) for gap in seen.gaps] == [(A, "restarted")]


async def test_a_redis_emptied_under_the_reader_is_noticed(redis: Redis) -> None:
    """FLUSHALL breaks no connection; the counts tell."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2, 3)
        await eventually(lambda: len(seen.entries[A]) == 3)
        await redis.flushall()
        await eventually(lambda: seen.gaps)
        await add(redis, A, 4)
        await eventually(lambda: seen.entries[A] == data(1, 2, 3, 4))
    assert [(gap.stream, gap.reason) for gap in seen.gaps] == [(A, "restarted")]


async def test_ids_that_went_back_are_read_from_the_start(redis: Redis) -> None:
    """A stream made anew with smaller ids would otherwise stay silent for ever."""
    async with reading(redis) as seen:
        await add(redis, A, 1)
        await eventually(lambda: seen.entries[A])
        await redis.delete(A)
        await redis.xadd(A, {"data": "2"}, id="5-0")
        await redis.xadd(A, {"data": "3"}, id="6-0")
        await eventually(lambda: seen.entries[A] == data(1, 2, 3))
    assert [(gap.reason, gap.first) for gap in seen.gaps] == [("restarted", "5-0")]


async def test_a_key_of_another_type_is_named_and_retried(redis: Redis) -> None:
    """The reader says which key is wrong, and reads when it is right."""
    await redis.set(A, "not a stream")
    async with reading(redis) as seen:
        await eventually(lambda: seen.downs)
        assert seen.downs[0].startswith(f"{A}: Redis answered with an error: WRONGTYPE")
        await redis.delete(A)
        await eventually(lambda: seen.ups)
        await add(redis, A, 1)
        await eventually(lambda: seen.entries[A] == data(1))


async def test_it_waits_for_a_redis_that_is_not_there_yet(tmp_path: Any) -> None:
    """Start order doesn't matter."""
    server = RedisServer(tmp_path / "late", quiet_port())
    try:
        async with open_redis(server.url, "test") as redis, reading(redis) as seen:
            assert seen.downs[0].startswith("Redis can't be reached")
            await server.start()
            await eventually(lambda: seen.ups)
            await add(redis, A, 1)
            await eventually(lambda: seen.entries[A] == data(1))
    finally:
        await server.stop()


@pytest.mark.slow
async def test_a_redis_that_hangs_is_given_up_and_found_again(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped server closes nothing; the read times out, and nothing is lost."""
    monkeypatch.setattr(redis_client, "SOCKET_TIMEOUT", 2.5)
    assert redis_server.process is not None
    async with open_redis(redis_server.url, "test") as redis, reading(redis) as seen:
        redis_server.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: seen.downs)
        redis_server.process.send_signal(signal.SIGCONT)
        await again(lambda: add(redis, A, 1))
        await eventually(lambda: seen.entries[A] == data(1))
    assert not seen.gaps


async def test_an_unreadable_saved_position_starts_at_the_newest(redis: Redis) -> None:
    """A value someone spoiled stops nothing."""
    await redis.hset(KEY, mapping={A: "nonsense", B: START})
    await add(redis, A, 1)
    await add(redis, B, 1)
    async with reading(redis) as seen:
        await eventually(lambda: seen.entries[B] == data(1))
        await add(redis, A, 2)
        await eventually(lambda: seen.entries[A] == data(2))


async def test_positions_are_saved_while_it_runs(redis: Redis) -> None:
    """A reader that is killed repeats a second at most."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2)
        await redis.xtrim(A, maxlen=1, approximate=False)
        last = await first_id(redis, A)
        await eventually(lambda: seen.entries[A])

        async def is_saved() -> None:
            assert await redis.hget(KEY, A) == f"{last}/2".encode()

        await again(is_saved)


async def test_an_entry_without_the_data_field_is_handed_over_empty(redis: Redis) -> None:
    """The field is found wherever it stands; where it is missing there is nothing to read."""
    async with reading(redis) as seen:
        await redis.xadd(A, {"other": "1"})
        await redis.xadd(A, {"other": "1", "data": "2"})
        await eventually(lambda: seen.entries[A] == [b"", b"2"])


async def test_what_was_read_is_counted_from_zero_on(redis: Redis) -> None:
    """By stream, and the connection; a stream of which nothing came stands there too."""
    async with reading(redis) as seen:
        assert seen.metrics()["stream_entries_read_total", A] == 0
        await add(redis, A, 1, 2, 3)
        await eventually(lambda: len(seen.entries[A]) == 3)
        found = seen.metrics()
    assert found["stream_entries_read_total", A] == 3
    assert found["stream_entries_read_total", B] == 0
    assert found["redis_connections_total",] == 1
    assert found["stream_gaps_total", "trimmed", A] == 0
    assert found["stream_gaps_total", "restarted", A] == 0


async def test_what_got_away_is_counted(redis: Redis) -> None:
    """The entries, and how often."""
    await add(redis, A, *range(100))
    await redis.hset(KEY, A, f"{await first_id(redis, A)}/1")
    await redis.xtrim(A, maxlen=10, approximate=False)
    async with reading(redis) as seen:
        await eventually(lambda: len(seen.entries[A]) == 10)
        found = seen.metrics()
    assert found["stream_entries_lost_total", A] == 89
    assert found["stream_gaps_total", "trimmed", A] == 1
    assert found["stream_entries_lost_total", B] == 0


async def test_a_stream_that_started_again_is_counted_as_such(redis: Redis) -> None:
    """How many entries went nobody can know."""
    async with reading(redis) as seen:
        await add(redis, A, 1, 2, 3)
        await eventually(lambda: len(seen.entries[A]) == 3)
        await redis.flushall()
        await eventually(lambda: seen.metrics()["stream_gaps_total", "restarted", A] == 1)
        assert seen.metrics()["stream_entries_lost_total", A] == 0


async def test_the_lag_is_the_age_of_what_still_waits(redis: Redis) -> None:
    """An hour while entries of an hour ago are being read, and nothing once all is read."""
    seconds, _ = await redis.time()
    await redis.hset(KEY, A, START)
    for value in (1, 2):
        await redis.xadd(A, {"data": value}, id=f"{(seconds - 3600) * 1000}-{value}")
    lags: list[float] = []
    seen = Seen()
    seen.on_batch = lambda _: lags.append(seen.metrics()["stream_lag_seconds", A])
    async with reading(redis, seen=seen, count=1):
        await eventually(lambda: len(lags) == 2)
        assert seen.metrics()["stream_lag_seconds", A] == 0
        assert seen.metrics()["stream_lag_seconds", B] == 0
    assert all(3590 < lag < 3610 for lag in lags)


async def test_a_stream_that_was_quiet_for_long_does_not_lag(redis: Redis) -> None:
    """A new entry hasn't waited since the one before it."""
    seconds, _ = await redis.time()
    await redis.hset(KEY, A, START)
    await redis.xadd(A, {"data": 1}, id=f"{(seconds - 3600) * 1000}-1")
    async with reading(redis) as seen:
        await eventually(lambda: seen.entries[A] == data(1))
        reader = seen.reader
        assert reader is not None
        # It looks once a second, and knows then that nothing else lay there.
        await eventually(lambda: reader._unread_since[A] >= seconds)
        # As if the next one had been found waiting just now.
        reader._milestones[A] = ((seconds * 1000, 0), 2)
        assert seen.metrics()["stream_lag_seconds", A] < 60


async def again(attempt: Callable[[], Awaitable[None]], within: float = 10.0) -> None:
    """Repeat *attempt* until it passes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        try:
            return await attempt()
        except (OSError, RedisError, AssertionError):
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_reply_that_is_too_large_is_asked_for_in_smaller_parts(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every entry is handed over, once and in order; then as many are asked for again as before."""
    monkeypatch.setattr(redis_parser, "LARGE_REPLY_BYTES", 0)
    monkeypatch.setattr(redis_parser, "MAX_REPLY_BYTES", 100_000)
    seen = Seen()
    sent = [b"%d" % number + b"x" * 20_000 for number in range(40)]
    async with reading(redis, seen=seen, count=64):
        async with redis.pipeline(transaction=True) as together:
            for data in sent:
                together.xadd(A, {"data": data})
            await together.execute()
        await eventually(lambda: len(seen.entries[A]) >= len(sent))
        more = [b"%d" % number for number in range(60)]
        for data in more:
            await redis.xadd(A, {"data": data})
        await eventually(lambda: len(seen.entries[A]) >= len(sent) + len(more))
    assert seen.entries[A] == sent + more
    assert "a reply of more than 100000 bytes" in seen.downs[0]
    assert seen.lost == 0
