"""The stream writer against a real server that is cut off, stopped, killed, emptied and filled."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer, free_port
from services._runtime import stream_writer
from services._runtime.redis_client import open_redis
from services._runtime.stream_writer import OutStream, StreamWriter
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, fault_proxy

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
        return self.writer.open

    def trades(self, name: str = TRADES, maxlen: int = MAXLEN) -> OutStream:
        return self.writer.stream(name, maxlen, keep_all=True)

    def quotes(self, name: str = TICKER, maxlen: int = MAXLEN) -> OutStream:
        return self.writer.stream(name, maxlen, keep_all=False)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def writing(url: str, **options: Any) -> AsyncIterator[Writing]:
    """A writer to *url*, running; not stopped before everything is written."""
    async with open_redis(url, "writer") as client:

        def up() -> None:
            it.ups += 1

        def down(reason: str) -> None:
            it.reasons.append(reason)

        writer = StreamWriter(client, on_up=up, on_down=down, **options)
        it = Writing(writer, asyncio.create_task(writer.run()))
        try:
            yield it
        finally:
            await it.stop()


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """A fault proxy in front of `redis_server`."""
    async with fault_proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def quick_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts of at most 50 ms: tests break connections by the dozen."""
    monkeypatch.setattr(stream_writer, "LONGEST_WAIT", 0.05)


async def entries(redis: Redis, name: str = TRADES) -> list[bytes]:
    """The values of the stream's entries; each entry has the one field `data`."""
    found = await redis.xrange(name)
    assert all(list(fields) == [b"data"] for _, fields in found)
    return [fields[b"data"] for _, fields in found]


def numbered(numbers: Iterable[int]) -> list[bytes]:
    return [b'{"trade_id": "%d"}' % n for n in numbers]


async def add_in_passes(stream: OutStream, data: list[bytes], size: int) -> None:
    """Add *data* in several passes of the event loop, *size* entries in each."""
    for start in range(0, len(data), size):
        for entry in data[start : start + size]:
            stream.add(entry)
        await asyncio.sleep(0)


async def test_entries_arrive_in_order_with_one_field(
    redis_server: RedisServer, redis: Redis
) -> None:
    """What is added stands in the stream, in order, as the one field `data`."""
    data = numbered(range(5_000))
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        await add_in_passes(it.trades(), data, 100)
        await eventually(lambda: it.writer.idle)
        assert it.writer.written == len(data)
    assert await entries(redis) == data


async def test_a_stream_is_trimmed_to_about_its_maximum(
    redis_server: RedisServer, redis: Redis
) -> None:
    """MAXLEN ~ keeps at least the maximum, and at most a node of 100 entries more."""
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        await add_in_passes(it.trades(maxlen=200), numbered(range(2_000)), 500)
        await eventually(lambda: it.writer.idle)
    kept = await entries(redis)
    assert 200 <= len(kept) <= 300
    assert kept == numbered(range(2_000 - len(kept), 2_000))


async def test_the_writer_may_start_before_redis(tmp_path: Path) -> None:
    """What is added before there is a Redis waits for it; of a quote only the latest."""
    server = RedisServer(tmp_path / "late", free_port())
    async with writing(server.url) as it:
        for entry in numbered(range(100)):
            it.trades().add(entry)
            it.quotes().add(entry)
        await eventually(lambda: it.reasons)
        assert "can't be reached" in it.reasons[0]
        await server.start()
        try:
            await eventually(lambda: it.writer.idle)
            async with open_redis(server.url, "look") as redis:
                assert await entries(redis) == numbered(range(100))
                assert await entries(redis, TICKER) == numbered([99])
            assert it.quotes().conflated == 99
        finally:
            await server.stop()


@pytest.mark.parametrize("seed", range(4))
async def test_a_connection_cut_anywhere_costs_no_trade_and_repeats_none(
    seed: int, redis_server: RedisServer, redis: Redis, proxy: FaultProxy
) -> None:
    """Requests or replies cut after any number of bytes: each trade is there once, in order."""
    rng = random.Random(seed)
    wanted: list[bytes] = []
    async with writing(proxy.url) as it:
        trades = it.trades()
        for _ in range(25):
            await eventually(lambda: it.up)
            cuts = proxy.cuts
            # A reply is some 22 bytes, a request some 120: both cuts fall all over the burst.
            if rng.random() < 0.5:
                proxy.cut_requests_after = rng.randrange(60 * 120)
            else:
                proxy.cut_replies_after = rng.randrange(60 * 22)
            # Few different values, so that equal neighbours are common.
            data = numbered(rng.randrange(4) for _ in range(100))
            wanted += data
            await add_in_passes(trades, data, rng.randrange(1, 40))
            await eventually(lambda cuts=cuts: proxy.cuts > cuts and it.writer.idle)  # type: ignore[misc]
        assert it.writer.written == len(wanted)
    assert await entries(redis) == wanted


async def test_a_connection_lost_while_settling_is_settled_by_the_next(
    redis_server: RedisServer, redis: Redis, proxy: FaultProxy
) -> None:
    """The settling itself may be cut, several times in a row, at any byte of its replies."""
    wanted: dict[str, list[bytes]] = {f"binance:PAIR{n}:trades": [] for n in range(5)}
    async with writing(proxy.url) as it:
        for round_ in range(30):
            await eventually(lambda: it.up)
            proxy.cut_replies_after = 100
            new = numbered(range(round_ * 10, round_ * 10 + 10))
            for name in wanted:
                wanted[name] += new
                for entry in new:
                    it.trades(name).add(entry)
            await eventually(lambda: proxy.cut_replies_after is None)
            for again in range(3):
                # The handshake takes some 30 bytes, INFO some 700, an XREVRANGE some 400.
                proxy.cut_replies_after = 30 + again * 600 + round_ * 40
                await eventually(lambda: proxy.cut_replies_after is None or it.writer.idle)
            proxy.cut_replies_after = None
            await eventually(lambda: it.writer.idle)
    for name, data in wanted.items():
        assert await entries(redis, name) == data


async def test_bytes_that_arrive_after_the_settling_change_nothing(
    redis_server: RedisServer, redis: Redis, proxy: FaultProxy
) -> None:
    """What an old connection still had on its way is not read once a new one has settled."""
    data = numbered(range(500))
    async with writing(proxy.url) as it:
        await eventually(lambda: it.up)
        proxy.hold_requests = True
        await add_in_passes(it.trades(), data, 50)
        await eventually(lambda: len(proxy.held) > len(data) * 100)
        proxy.hang_up()
        await eventually(lambda: it.ups == 2 and it.writer.idle)
        assert await proxy.deliver_held() == b""
    assert await entries(redis) == data


async def test_a_redis_that_was_stopped_for_a_while_repeats_and_loses_nothing(
    redis_server: RedisServer, redis: Redis
) -> None:
    """SIGSTOP for longer than the reply timeout, with thousands of trades in its socket."""
    assert redis_server.process is not None
    data = numbered(range(6_000))
    async with writing(redis_server.url, reply_timeout=0.3) as it:
        await eventually(lambda: it.up)
        await add_in_passes(it.trades(), data[:1_000], 100)
        redis_server.process.send_signal(signal.SIGSTOP)
        try:
            await add_in_passes(it.trades(), data[1_000:5_000], 100)
            await eventually(lambda: it.reasons)
            assert "unanswered" in it.reasons[0]
            await add_in_passes(it.trades(), data[5_000:], 100)
        finally:
            redis_server.process.send_signal(signal.SIGCONT)
        await eventually(lambda: it.writer.idle)
        assert it.writer.written == len(data)
    assert await entries(redis) == data


async def test_a_redis_killed_and_restarted_has_every_trade_once_and_the_latest_quote(
    redis_server: RedisServer, redis: Redis
) -> None:
    """SIGKILL in mid-stream, five times, the append-only file kept."""
    wanted: list[bytes] = []
    async with writing(redis_server.url) as it:
        for round_ in range(5):
            await eventually(lambda: it.up)
            for part in range(20):
                new = numbered(range(round_ * 1_000 + part * 50, round_ * 1_000 + part * 50 + 50))
                wanted += new
                for entry in new:
                    it.trades().add(entry)
                    it.quotes().add(entry)
                if part == 10:
                    killed = asyncio.create_task(redis_server.kill())
                await asyncio.sleep(0)
            await killed
            await redis_server.start()
            await eventually(lambda: it.writer.idle)
        assert len(it.reasons) >= 5
    assert await entries(redis) == wanted
    quotes = await entries(redis, TICKER)
    assert quotes[-1] == wanted[-1]
    order = {entry: n for n, entry in enumerate(wanted)}
    assert [order[quote] for quote in quotes] == sorted(order[quote] for quote in quotes)


async def test_a_redis_that_comes_back_empty_gets_what_it_never_answered(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """The stream is made anew: what was answered is gone with Redis, all else is there once."""
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        await add_in_passes(it.trades(), numbered(range(100)), 10)
        await eventually(lambda: it.writer.idle)
        await redis_server.kill()
        await eventually(lambda: it.reasons)
        for entry in numbered(range(100, 200)):
            it.trades().add(entry)
        reborn = RedisServer(tmp_path / "empty", redis_server.port)
        await reborn.start()
        try:
            await eventually(lambda: it.writer.idle)
            async with open_redis(reborn.url, "look") as redis:
                assert await entries(redis) == numbered(range(100, 200))
        finally:
            await reborn.stop()


async def test_a_full_redis_loses_nothing_and_repeats_nothing(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Out of memory in mid-stream: trades wait, and follow in order when there is room again."""
    data = numbered(range(3_000))
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        await add_in_passes(it.trades(), data[:1_000], 100)
        await redis.config_set("maxmemory", "1mb")
        await add_in_passes(it.trades(), data[1_000:2_000], 100)
        await eventually(lambda: it.reasons)
        assert "OOM" in it.reasons[0]
        await add_in_passes(it.trades(), data[2_000:], 100)
        await redis.config_set("maxmemory", "0")
        await eventually(lambda: it.writer.idle)
        assert it.writer.written == len(data)
        assert it.trades().refused == 0
    assert await entries(redis) == data


async def test_an_older_quote_never_follows_a_newer_one_when_redis_was_full(
    redis_server: RedisServer, redis: Redis
) -> None:
    """What was refused in a full Redis is overtaken by the latest quote, not published after it."""
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        await redis.config_set("maxmemory", "1mb")
        for entry in numbered(range(100)):
            it.quotes().add(entry)
        await eventually(lambda: it.reasons)
        await redis.config_set("maxmemory", "0")
        await eventually(lambda: it.writer.idle)
        it.quotes().add(b"last")
        await eventually(lambda: it.writer.idle)
    assert await entries(redis, TICKER) == [*numbered([99]), b"last"]


async def test_a_key_of_another_type_costs_its_own_entries_only(
    redis_server: RedisServer, redis: Redis, proxy: FaultProxy
) -> None:
    """Entries for such a key are counted as refused; other streams flow, also after a cut."""
    await redis.set(TICKER, "no stream")
    async with writing(proxy.url) as it:
        await eventually(lambda: it.up)
        for entry in numbered(range(10)):
            it.trades(TICKER).add(entry)
            it.trades().add(entry)
        await eventually(lambda: it.writer.idle)
        assert it.trades(TICKER).refused == 10
        assert it.writer.written == 10
        proxy.cut_replies_after = 1
        for entry in numbered(range(10, 20)):
            it.trades(TICKER).add(entry)
            it.trades().add(entry)
        await eventually(lambda: it.ups == 2 and it.writer.idle)
        assert it.trades(TICKER).refused == 20
        assert it.writer.written == 20
    assert await entries(redis) == numbered(range(20))


async def test_a_full_buffer_drops_quotes_first_then_the_oldest_of_the_stream(
    tmp_path: Path,
) -> None:
    """What didn't fit is counted, and what waits is the newest."""
    server = RedisServer(tmp_path / "late", free_port())
    size = len(b"trade 000")
    async with writing(server.url, buffer_bytes=100 * size) as it:
        trades, quotes = it.trades(), it.quotes()
        quotes.add(b"quote 000")
        for n in range(99):
            trades.add(b"trade %03d" % n)
        assert it.writer.dropped == 0
        trades.add(b"trade 099")
        assert (quotes.dropped, trades.dropped) == (1, 0)
        for n in range(100, 150):
            trades.add(b"trade %03d" % n)
        assert (quotes.dropped, trades.dropped) == (1, 50)
        assert it.writer.dropped == 51
        await server.start()
        try:
            await eventually(lambda: it.writer.idle)
            async with open_redis(server.url, "look") as redis:
                assert await entries(redis) == [b"trade %03d" % n for n in range(50, 150)]
                assert await entries(redis, TICKER) == []
        finally:
            await server.stop()


async def test_a_stop_writes_what_was_added(redis_server: RedisServer, redis: Redis) -> None:
    """Cancelling the writer right after a burst leaves the whole burst in Redis."""
    data = numbered(range(50_000))
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        for entry in data:
            it.trades().add(entry)
        await it.stop()
        assert it.task.cancelled()
        assert it.writer.idle
    assert await entries(redis) == data


async def test_more_than_fits_in_flight_waits_and_follows_in_order(
    redis_server: RedisServer, redis: Redis
) -> None:
    """A burst beyond what may be in flight conflates quotes and keeps every trade."""
    count = stream_writer.MOST_IN_FLIGHT + 5_000
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        for entry in numbered(range(count)):
            it.trades().add(entry)
        for entry in numbered(range(100)):
            it.quotes().add(entry)
        assert not it.up
        await eventually(lambda: it.up and it.writer.idle)
        assert it.quotes().conflated == 99
    assert await entries(redis) == numbered(range(count))
    assert await entries(redis, TICKER) == numbered([99])


async def test_a_stop_without_redis_ends_at_once_and_counts_what_it_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be drained into a Redis that isn't there; that is said, not hidden."""
    async with writing(f"redis://127.0.0.1:{free_port()}/0") as it:
        it.trades().add(b"left")
        await eventually(lambda: it.reasons)
        await it.stop()
        assert it.task.cancelled()
    assert "left_unwritten" in capsys.readouterr().out


async def test_a_wrong_password_is_reported_and_tried_again(
    redis_server: RedisServer, redis: Redis
) -> None:
    """The reason speaks of the password and never shows it; once it is right all is written."""
    await redis.config_set("requirepass", "sesame")
    async with writing(f"redis://:wrong-one@127.0.0.1:{redis_server.port}/0") as it:
        it.trades().add(b"kept")
        await eventually(lambda: len(it.reasons) >= 3)
        assert "password" in it.reasons[0]
        assert "wrong-one" not in "".join(it.reasons)
        await redis.config_set("requirepass", "wrong-one")
        await eventually(lambda: it.writer.idle)
    assert await entries(redis) == [b"kept"]


async def test_password_and_database_of_the_url_are_honoured(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Entries go to the database that the URL names, with the password that it holds."""
    await redis.config_set("requirepass", "s%same")
    url = f"redis://:s%25same@127.0.0.1:{redis_server.port}"
    async with writing(f"{url}/3") as it:
        it.trades().add(b"here")
        await eventually(lambda: it.writer.idle)
    async with open_redis(f"{url}/3", "look") as three, open_redis(f"{url}/0", "look") as zero:
        assert await entries(three) == [b"here"]
        assert await entries(zero) == []


async def test_nothing_is_written_before_the_callback_allows_it(
    redis_server: RedisServer, redis: Redis
) -> None:
    """`before_writing` runs on each new connection, and an error of Redis in it is tried again."""
    calls = 0

    async def before_writing() -> None:
        nonlocal calls
        calls += 1
        assert await redis.xlen(TRADES) == 0
        if calls < 3:
            await redis.execute_command("NOSUCHCOMMAND")

    async with writing(redis_server.url, before_writing=before_writing) as it:
        it.trades().add(b"after")
        await eventually(lambda: it.writer.idle)
        assert (calls, it.ups) == (3, 1)
    assert await entries(redis) == [b"after"]
