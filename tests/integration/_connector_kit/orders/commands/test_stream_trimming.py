"""Command streams stay short, and no command is ever trimmed away."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from common_models.stream_names import CommandStream
from services._connector_kit.clock import SystemClock
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands import stream_trimming
from services._connector_kit.orders.commands.stream_trimming import keep_trimmed, trim
from services._local.redis_server import RedisServer
from tests.support.eventually import eventually_async

NAME = "luno_connector"
STREAM = f"{NAME}:commands:place_order"


async def filled(redis: Redis, sent: int, read: int, pending: set[int]) -> list[bytes]:
    """A stream of *sent* commands, of which *read* were read and all but *pending* acknowledged."""
    client: Any = redis
    await client.delete(STREAM)
    await client.xgroup_create(STREAM, NAME, id="0", mkstream=True)
    # Within one millisecond: their numbers have one digit, then two.
    ids = [await client.xadd(STREAM, {"data": str(i)}, id=f"5-{i + 1}") for i in range(sent)]
    if read:
        await client.xreadgroup(NAME, "one", {STREAM: ">"}, count=read)
    done = [entry_id for i, entry_id in enumerate(ids[:read]) if i not in pending]
    if done:
        await client.xack(STREAM, NAME, *done)
    return ids


async def left(redis: Redis) -> list[bytes]:
    """The ids that are still there."""
    client: Any = redis
    return [entry_id for entry_id, _ in await client.xrange(STREAM)]


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), keep=st.integers(0, 20), step=st.integers(1, 7))
async def test_only_what_is_acknowledged_and_old_goes(
    redis: Redis, data: st.DataObject, keep: int, step: int
) -> None:
    """What nobody read or answered stays, and so do the last entries."""
    sent = data.draw(st.integers(0, 40))
    read = data.draw(st.integers(0, sent))
    pending = data.draw(st.sets(st.integers(0, 39), max_size=3))
    ids = await filled(redis, sent, read, pending)
    unanswered = [i for i in range(read) if i in pending]
    # The last entry that was read may stay: it is where the group stands.
    first_needed = min([*unanswered, max(read - 1, 0)])
    gone = max(0, min(first_needed, sent - keep))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_trimming, "STEP", step)
        assert await trim(redis, NAME, STREAM, keep=keep) == gone
    assert await left(redis) == ids[gone:]


async def test_a_stream_or_a_group_that_isnt_there_is_left_alone(redis: Redis) -> None:
    """Without its group nothing is known to be acknowledged."""
    client: Any = redis
    assert await trim(redis, NAME, STREAM, keep=0) == 0
    await client.xadd(STREAM, {"data": "a"})
    assert await trim(redis, NAME, STREAM, keep=0) == 0
    await client.xgroup_create(STREAM, "somebody else", id="$")
    assert await trim(redis, NAME, STREAM, keep=0) == 0
    assert len(await left(redis)) == 1


async def test_it_goes_on_whatever_happens_to_redis(
    redis: Redis, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so often, and again after Redis was away."""
    monkeypatch.setattr(stream_trimming, "INTERVAL", 0.02)
    task = asyncio.create_task(
        keep_trimmed(
            redis,
            NAME,
            [CommandStream(NAME, "cancel_order"), CommandStream(NAME, "place_order")],
            SystemClock(),
            keep=2,
        )
    )
    ids = await filled(redis, 10, 10, set())

    async def trimmed() -> bool:
        return await left(redis) == ids[-2:]

    await eventually_async(trimmed)
    await redis_server.kill()
    with pytest.raises(TransientError):
        await trim(redis, NAME, STREAM)
    await redis_server.start()
    ids = await filled(redis, 10, 10, set())
    await eventually_async(trimmed)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
