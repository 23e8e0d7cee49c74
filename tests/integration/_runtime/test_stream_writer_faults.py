"""The stream writer loses and repeats no trade while its server is cut off, stopped or killed."""

import asyncio
import random
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually
from tests.support.network.fault_proxy import FaultProxy
from tests.support.ports import quiet_port
from tests.support.redis.stream_writing import (
    TICKER,
    TRADES,
    Writing,
    add_in_passes,
    entries,
    numbered,
    writing,
)


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


async def write_until_killed(server: RedisServer, it: Writing, first: int) -> list[bytes]:
    """Add 1,000 trades and quotes from number *first* on; SIGKILL the server in the middle."""
    data = numbered(range(first, first + 1_000))
    async with asyncio.TaskGroup() as tasks:
        for n, entry in enumerate(data):
            it.trades().add(entry)
            it.quotes().add(entry)
            if n == 500:
                tasks.create_task(server.kill())
            if n % 50 == 0:
                await asyncio.sleep(0)
    return data


async def test_a_redis_killed_and_restarted_has_every_trade_once_and_the_latest_quote(
    tmp_path: Path,
) -> None:
    """SIGKILL in mid-stream, five times; `appendfsync always` keeps all that Redis answered."""
    server = RedisServer(tmp_path / "careful", quiet_port(), "--appendfsync", "always")
    wanted: list[bytes] = []
    try:
        await server.start()
        async with writing(server.url) as it, open_redis(server.url, "look") as redis:
            for round_ in range(5):
                await eventually(lambda: it.up)
                wanted += await write_until_killed(server, it, round_ * 1_000)
                await server.start()
                await eventually(lambda: it.writer.idle)
            assert len(it.reasons) >= 5
            assert await entries(redis) == wanted
            quotes = await entries(redis, TICKER)
    finally:
        await server.stop()
    assert quotes[-1] == wanted[-1]
    position = {entry: n for n, entry in enumerate(wanted)}
    assert quotes == sorted(quotes, key=lambda quote: position[quote])


async def test_a_redis_that_comes_back_empty_gets_what_it_never_answered(
    tmp_path: Path, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was answered is gone with Redis, and that is said; all else is there once."""
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
    assert capsys.readouterr().out.count("redis_lost_entries") == 1


async def test_a_full_redis_loses_nothing_and_repeats_nothing(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Out of memory in mid-stream: what was refused follows when there is room again."""
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
    written = await entries(redis)
    assert sorted(written) == sorted(data)
    assert written[:1_000] == data[:1_000]
    assert written[2_000:] == data[2_000:]  # those of the pipeline that was refused in between


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


async def test_a_redis_that_comes_back_with_its_clock_behind_is_settled_by_its_own_ids(
    tmp_path: Path, redis_server: RedisServer, redis: Redis, proxy: FaultProxy
) -> None:
    """The new stream's ids are below those of the old one, and still tell what arrived."""
    await redis.xadd(TRADES, {"data": "from the future"}, id="9999999999999-0")
    async with writing(proxy.url) as it:
        await eventually(lambda: it.up)
        it.trades().add(b"soon forgotten")
        await eventually(lambda: it.writer.idle)
        await redis_server.kill()
        reborn = RedisServer(tmp_path / "empty", redis_server.port)
        await reborn.start()
        try:
            await eventually(lambda: it.up and it.ups >= 2)
            ups = it.ups
            proxy.cut_replies_after = 0
            for entry in numbered(range(10)):
                it.trades().add(entry)
            await eventually(lambda: it.ups > ups and it.writer.idle)
            async with open_redis(reborn.url, "look") as look:
                assert await entries(look) == numbered(range(10))
        finally:
            await reborn.stop()


async def test_a_quote_that_may_not_have_arrived_gives_way_to_a_newer_one(
    redis: Redis, proxy: FaultProxy
) -> None:
    """The older isn't published any more."""
    async with writing(proxy.url) as it:
        await eventually(lambda: it.up)
        proxy.hold_requests = True
        it.quotes().add(b"older")
        await eventually(lambda: proxy.held)
        proxy.hang_up()
        while it.up:  # noqa: ASYNC110 - it may be up again within a millisecond
            await asyncio.sleep(0)
        it.quotes().add(b"newer")
        await eventually(lambda: it.writer.idle)
        await proxy.deliver_held()
        assert it.quotes().conflated == 1
    assert await entries(redis, TICKER) == [b"newer"]
