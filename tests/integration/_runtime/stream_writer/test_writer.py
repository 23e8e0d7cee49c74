"""What a stream writer does with entries, settings and stops, on a real server."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services._runtime.stream_writer import writer
from tests.support.eventually import eventually
from tests.support.network.fault_proxy import FaultProxy
from tests.support.ports import quiet_port
from tests.support.redis.stream_writing import (
    TICKER,
    TRADES,
    add_in_passes,
    entries,
    numbered,
    writing,
)


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
    server = RedisServer(tmp_path / "late", quiet_port())
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
    server = RedisServer(tmp_path / "late", quiet_port())
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
    data = numbered(range(5_000))
    async with writing(redis_server.url) as it:
        await eventually(lambda: it.up)
        for entry in data:
            it.trades().add(entry)
        await it.stop()
        assert it.task.cancelled()
        assert it.writer.idle
    assert await entries(redis) == data


async def test_a_stop_leaves_asyncio_nothing_to_complain_of(redis_server: RedisServer) -> None:
    """The connection's end comes after the stop; nobody waits for it then."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    async def live_and_stop() -> None:
        async with writing(redis_server.url) as it:
            await eventually(lambda: it.up)

    await live_and_stop()
    await asyncio.sleep(0)
    gc.collect()
    assert faults == []


async def test_more_than_fits_in_flight_waits_and_follows_in_order(
    redis_server: RedisServer, redis: Redis
) -> None:
    """A burst beyond what may be in flight conflates quotes and keeps every trade."""
    count = writer.MAX_IN_FLIGHT + 5_000
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
    async with writing(f"redis://127.0.0.1:{quiet_port()}/0") as it:
        it.trades().add(b"left")
        await eventually(lambda: it.reasons)
        await it.stop()
        assert it.task.cancelled()
    assert "entries_left_unwritten" in capsys.readouterr().out


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
    raw: Any = redis

    async def before_writing() -> None:
        nonlocal calls
        calls += 1
        assert await redis.xlen(TRADES) == 0
        if calls < 3:
            await raw.execute_command("NOSUCHCOMMAND")

    async with writing(redis_server.url, before_writing=before_writing) as it:
        it.trades().add(b"after")
        await eventually(lambda: it.writer.idle)
        assert (calls, it.ups) == (3, 1)
    assert await entries(redis) == [b"after"]


async def test_a_connection_that_ends_before_it_is_taken_over_is_never_called_up(
    proxy: FaultProxy, redis: Redis
) -> None:
    """Its end came while the callback ran; nobody would tell us of it again."""
    calls = 0

    async def before_writing() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            proxy.hang_up()
            await redis.ping()  # time for the end to arrive
            await redis.ping()

    async with writing(proxy.url, before_writing=before_writing) as it:
        await eventually(lambda: it.up and calls == 2)
        assert it.ups == 1
