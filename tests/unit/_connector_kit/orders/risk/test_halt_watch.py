"""The halt switch on a real server that loses data, is full, or whose keys are tampered with."""

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from common_models.stream_names import HALT, TRADING
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.keys import beat_key, redis_key
from services._connector_kit.orders.ports import DataLossRecord, Rejection
from services._connector_kit.orders.risk.halt_watch import (
    HALT_WHEN_FULL_FOR,
    LAST_BEATS,
    POLL_INTERVAL,
    READ_TIMEOUT,
    REFUSED_BEATS,
    HaltWatch,
)
from services._connector_kit.world import World
from services._local.redis_server import RedisServer
from services._runtime.halt import NEVER_RESUMED
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.halt import is_halted, resume

NAME = "test_connector"


@dataclass
class HandClock:
    """The port `Clock`; its time passes where the test says so."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """Its time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """It passes at once."""
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0.01)


def watch_of(redis: Redis, world: World = "simulator") -> tuple[HaltWatch, HandClock]:
    """A process's own."""
    clock = HandClock()
    return HaltWatch(redis, NAME, lambda: world, clock), clock


@pytest.fixture
async def watch(redis: Redis) -> HaltWatch:
    """Of a process that has begun: trading is allowed."""
    watch, _ = watch_of(redis)
    await watch.start()
    assert (await watch.reason_after())[1] is None
    return watch


async def remember(redis: Redis) -> None:
    """As the desk does: which Redis this is."""
    async with redis.client() as connection:
        bus = RedisCommandQueue(connection, NAME, ("place_order",), "one")
        await bus.save_data_loss(DataLossRecord((await bus.server()).identity, -1, -1))


async def put_back(server: RedisServer, copy: Path) -> None:
    """An older copy of its data takes the place of what it has."""
    await server.stop()
    shutil.rmtree(server.data_dir)
    shutil.copytree(copy, server.data_dir)
    await server.start()


async def copy_of(server: RedisServer, to: Path) -> Path:
    """Its data as it is now."""
    await server.stop()
    shutil.copytree(server.data_dir, to)
    await server.start()
    return to


# --- the start of a process


@pytest.mark.parametrize("world", ["simulator", "testnet"])
async def test_without_real_money_a_start_allows_trading(redis: Any, world: World) -> None:
    """It says who did."""
    watch, _ = watch_of(redis, world)
    with capture_logs() as logs:
        await watch.start()
    assert (await watch.reason_after())[1] is None
    assert b'"by": "test_connector"' in await redis.get(TRADING)
    assert [log["world"] for log in logs if log["event"] == "trading_allowed"] == [world]


@pytest.mark.parametrize("world", ["simulator", "testnet", "live"])
async def test_a_start_ends_no_halt(redis: Any, world: World) -> None:
    """Whoever halted must resume."""
    await redis.set(HALT, "why")
    watch, _ = watch_of(redis, world)
    await watch.start()
    assert (await watch.reason_after())[1] == "why"
    assert await redis.get(TRADING) is None


async def test_a_start_changes_no_permission_that_is_there(redis: Any) -> None:
    """Two connectors start, one after the other."""
    await redis.set(TRADING, "ann")
    watch, _ = watch_of(redis)
    await watch.start()
    assert (await watch.reason_after())[1] is None
    assert await redis.get(TRADING) == b"ann"


async def test_real_money_waits_for_an_operator_on_a_new_redis(redis: Any) -> None:
    """Nothing is said of lost data: nobody has resumed yet."""
    watch, _ = watch_of(redis, "live")
    await watch.start()
    assert (await watch.reason_after())[1] == NEVER_RESUMED
    await resume(redis)
    assert (await watch.reason_after())[1] is None


async def test_real_money_goes_on_after_a_restart_of_the_connector_alone(redis: Any) -> None:
    """It is the same run of the same Redis."""
    await resume(redis)
    await remember(redis)
    watch, _ = watch_of(redis, "live")
    await watch.start()
    assert (await watch.reason_after())[1] is None


@pytest.mark.parametrize("remembered", [None, b"not JSON", b'{"identity":"another run"}'])
async def test_real_money_waits_for_an_operator_where_redis_is_not_the_one_remembered(
    redis: Any, remembered: bytes | None
) -> None:
    """It may have been restored: what it says of permission may be old."""
    await resume(redis)
    if remembered is not None:
        await redis.set(redis_key(NAME), remembered)
    watch, _ = watch_of(redis, "live")
    await watch.start()
    assert "replaced or restored" in ((await watch.reason_after())[1] or "")
    assert await redis.get(TRADING) is None
    assert b"replaced or restored" in await redis.get(HALT)
    await resume(redis)
    assert (await watch.reason_after())[1] is None


async def test_a_full_redis_does_not_keep_a_connector_from_starting(redis: Any) -> None:
    """It is halted: cancels and market data don't wait for that."""
    await redis.config_set("maxmemory", "1")
    watch, _ = watch_of(redis)
    await watch.start()
    assert (await watch.reason_after())[1] == NEVER_RESUMED


# --- a halt by hand


async def test_a_halt_by_hand_never_expires_and_takes_the_permission_with_it(
    redis: Any, watch: HaltWatch
) -> None:
    """So it holds for a connector that starts later, too."""
    await redis.set(HALT, "why", ex=5)
    await watch.poll()
    assert await redis.ttl(HALT) == -1
    assert await redis.get(TRADING) is None
    await redis.delete(HALT)
    await watch.poll()
    assert (await watch.reason_after())[1] == "why"
    assert await is_halted(redis)


async def test_a_halt_that_expires_before_it_is_made_to_last_holds_where_an_order_met_it(
    redis: Any, watch: HaltWatch
) -> None:
    """What was read for an order counts."""
    await redis.set(HALT, "why", px=1)
    await redis.set(HALT, "why")
    assert (await watch.reason_after())[1] == "why"
    await redis.delete(HALT)
    assert (await watch.reason_after())[1] == "why"


async def test_who_resumes_while_a_halt_is_completed_is_not_undone(
    redis: Any, watch: HaltWatch
) -> None:
    """The permission is deleted only while the halt is there."""
    await redis.set(HALT, "why")
    _, (trading, halt, _) = await watch._read()
    assert (trading is None, halt) == (False, b"why")
    await resume(redis)
    await watch._complete_halt()
    assert not await is_halted(redis)


async def test_halted_reports_a_resume_at_once(
    redis: Any, redis_server: RedisServer, watch: HaltWatch
) -> None:
    """And a halt with the next look; where Redis can't be asked, what was read last counts."""
    await redis.set(HALT, "why")
    assert await watch.halted() is None
    await watch.poll()
    assert await watch.halted() == Rejection("halted", "trading is halted: why")
    await redis_server.stop()
    assert await watch.halted() is not None
    await redis_server.start()
    await resume(redis)
    assert await watch.halted() is None


async def test_a_halt_key_of_another_type_permits_no_order(redis: Any, watch: HaltWatch) -> None:
    """It can't be read: nothing leaves."""
    await redis.rpush(HALT, "a list")
    with pytest.raises(TransientError, match="WRONGTYPE"):
        (await watch.reason_after())[1]


async def test_each_change_is_reported_and_logged_once(redis: Any, watch: HaltWatch) -> None:
    """To whoever asked for it, and in the log."""
    published: list[str | None] = []
    watch.on_change = lambda: published.append(watch.fault.message if watch.fault else None)
    with capture_logs() as logs:
        for halt in ("why", "why", None, None):
            if halt:
                await redis.set(HALT, halt)
            else:
                await resume(redis)
            await watch.poll()
    assert published == ["trading is halted: why", None]
    events = [log["event"] for log in logs]
    assert events == ["trading_halted", "trading_resumed"]


# --- lost data


async def test_an_emptied_redis_is_halted_for_everybody(redis: Any, watch: HaltWatch) -> None:
    """The reason says so, and when."""
    await redis.flushall()
    with capture_logs() as logs:
        await watch.poll()
    reason = (await watch.reason_after())[1] or ""
    assert reason.startswith("Redis lost data (noticed at 20")
    assert (await redis.get(HALT)).decode() == reason
    assert [log["reason"] for log in logs if log["event"] == "halted_by_connector"] == [reason]
    await resume(redis)
    assert (await watch.reason_after())[1] is None
    await watch.poll()
    assert (await watch.reason_after())[1] is None


async def test_a_halt_by_the_connector_keeps_the_reason_that_a_person_gave(
    redis: Any, watch: HaltWatch
) -> None:
    """It came in between."""
    await redis.flushall()
    assert (await watch.reason_after())[1] is not None
    await redis.set(HALT, "why")
    await watch.poll()
    assert await redis.get(HALT) == b"why"


async def test_an_order_notices_lost_data_before_the_next_poll(
    redis: Any, watch: HaltWatch
) -> None:
    """Where the permission is still there, or there again, it counts for nothing."""
    await redis.delete(beat_key(NAME))
    assert ((await watch.reason_after())[1] or "").startswith("Redis lost data")
    await resume(redis)
    assert (await watch.reason_after())[1] is not None  # not in Redis yet
    await watch.poll()
    assert await is_halted(redis)
    await resume(redis)
    assert (await watch.reason_after())[1] is None


@pytest.mark.parametrize("beats", [1, 3])
async def test_an_older_copy_of_redis_is_halted_though_it_allows_trading(
    redis: Any, redis_server: RedisServer, watch: HaltWatch, tmp_path: Path, beats: int
) -> None:
    """Its beat is one that was acknowledged before others."""
    copy = await copy_of(redis_server, tmp_path / "copy")
    for _ in range(beats):
        await watch.poll()
    assert (await watch.reason_after())[1] is None
    await put_back(redis_server, copy)
    assert not await is_halted(redis)
    await watch.poll()
    assert ((await watch.reason_after())[1] or "").startswith("Redis lost data")
    assert await is_halted(redis)


async def test_a_redis_that_restarts_with_all_it_had_is_not_halted(
    redis: Any, redis_server: RedisServer, watch: HaltWatch
) -> None:
    """It is another run, and nothing is lost."""
    await watch.poll()
    await redis_server.stop()
    with pytest.raises(TransientError):
        await watch.poll()
    with pytest.raises(TransientError):
        (await watch.reason_after())[1]
    await redis_server.start()
    await watch.poll()
    assert (await watch.reason_after())[1] is None


async def test_data_that_is_lost_between_reading_and_the_next_beat_halts(
    redis: Any, watch: HaltWatch
) -> None:
    """The beat must rise."""
    beat = int(await redis.get(beat_key(NAME)))
    await redis.set(beat_key(NAME), beat - 1)
    await watch._beat()
    assert (watch.fault and watch.fault.reason_code) == "halted"


async def test_a_beat_that_another_instance_raised_does_not_count_as_data_loss(
    redis: Any, watch: HaltWatch
) -> None:
    """Two instances of a connector share it."""
    other, _ = watch_of(redis)
    await other.start()
    for each in (watch, other, other, watch, watch, other):
        await each.poll()
        assert (await each.reason_after())[1] is None


async def test_a_read_requested_before_a_beat_does_not_count_as_data_loss(
    redis: Any, watch: HaltWatch
) -> None:
    """Orders read while the beat rises."""
    for _ in range(50):
        found = await asyncio.gather(*(watch.reason_after() for _ in range(5)), watch.poll())
        assert found == [([], None)] * 5 + [None]


# --- a full Redis


async def full(redis: Any, watch: HaltWatch, *beats: bool) -> None:
    """Look once a second at a Redis that is full or not."""
    for each in beats:
        await redis.config_set("maxmemory", "1" if each else "0")
        await watch.poll()


async def test_a_redis_that_is_full_for_long_enough_is_halted_and_says_so_once(
    redis: Any,
) -> None:
    """Deleting needs no memory; the reason can't be kept there, and stays with the connector."""
    assert (REFUSED_BEATS - 1) * POLL_INTERVAL == HALT_WHEN_FULL_FOR
    watch, _ = watch_of(redis)
    await watch.start()
    await full(redis, watch, *[True] * (REFUSED_BEATS - 1))
    assert (await watch.reason_after())[1] is None
    assert not watch.full.is_set()
    await full(redis, watch, True)
    assert watch.full.is_set()
    assert ((await watch.reason_after())[1] or "").startswith("Redis is full")
    assert await redis.exists(TRADING, HALT) == 0
    watch.full.clear()
    await full(redis, watch, *[True] * LAST_BEATS)
    assert not watch.full.is_set()
    await full(redis, watch, False)
    assert ((await watch.reason_after())[1] or "").startswith("Redis is full")
    await resume(redis)
    assert (await watch.reason_after())[1] is None
    await full(redis, watch, *[True] * (REFUSED_BEATS - 1))
    assert not watch.full.is_set()
    await full(redis, watch, True)
    assert watch.full.is_set()


async def test_a_redis_that_is_full_for_a_moment_now_and_then_goes_on(redis: Any) -> None:
    """Fewer writes are refused than would be in five seconds one after another."""
    watch, _ = watch_of(redis)
    await watch.start()
    for _ in range(3):
        await full(
            redis, watch, *[True] * (REFUSED_BEATS - 1), *[False] * (LAST_BEATS - REFUSED_BEATS + 1)
        )
    assert (await watch.reason_after())[1] is None


async def test_a_redis_that_has_room_now_and_then_is_full(redis: Any) -> None:
    """A write that is taken doesn't begin the count anew: others are refused meanwhile."""
    watch, _ = watch_of(redis)
    await watch.start()
    await full(redis, watch, *[True, False, False] * (REFUSED_BEATS - 1))
    assert (await watch.reason_after())[1] is None
    await full(redis, watch, True)
    assert ((await watch.reason_after())[1] or "").startswith("Redis is full")
    assert watch.full.is_set()


# --- a Redis in trouble


async def test_it_is_looked_at_every_second_through_any_trouble(
    redis: Any, redis_server: RedisServer
) -> None:
    """At least every 2 s there is a beat."""
    watch, clock = watch_of(redis)
    await watch.start()
    task = asyncio.create_task(watch.keep_polling())
    await redis_server.stop()
    await eventually(lambda: len(clock.waits) >= 5)
    await redis_server.start()
    before = int(await redis.get(beat_key(NAME)))

    async def beats() -> bool:
        return int(await redis.get(beat_key(NAME))) >= before + 3

    await eventually_async(beats)
    task.cancel()
    assert set(clock.waits) == {POLL_INTERVAL}
    assert POLL_INTERVAL <= 1.0


async def test_an_answer_that_takes_too_long_is_not_used(redis_server: RedisServer) -> None:
    """It may be older than a halt."""
    async with (
        open_redis(redis_server.url, "test") as redis,
        open_redis(redis_server.url, "other") as other,
    ):
        watch, _ = watch_of(redis)
        await watch.start()
        client: Any = other
        await client.client_pause(round(READ_TIMEOUT * 2000), all=True)
        with pytest.raises(TransientError, match="no answer within 1 s"):
            (await watch.reason_after())[1]
