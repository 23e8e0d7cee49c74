"""Read, decide and write on a real server: as if nobody else were there."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_transaction import reading, transact
from services._runtime.supervise import TransientError


async def test_no_change_is_lost_among_many(redis: Redis) -> None:
    """Twenty tasks count up the same number together."""

    async def count(pipe: Any) -> int:
        found = int(await pipe.get("number") or 0)
        pipe.multi()
        pipe.set("number", found + 1)
        return found

    seen = await asyncio.gather(*(transact(redis, "number", count) for _ in range(20)))
    assert sorted(seen) == list(range(20))
    assert await redis.get("number") == b"20"


async def test_a_second_key_is_watched_too(redis: Redis) -> None:
    """A change to it has the decision made again."""
    tries = 0

    async def change(pipe: Any) -> bytes | None:
        nonlocal tries
        tries += 1
        found: bytes | None = await pipe.get("other")
        if tries == 1:
            await redis.set("other", "changed")
        pipe.multi()
        pipe.set("number", found or b"nothing")
        return found

    assert await transact(redis, "number", change, also=("other",)) == b"changed"
    assert (tries, await redis.get("number")) == (2, b"changed")


async def test_all_of_it_is_written_or_nothing(redis: Redis) -> None:
    """What goes wrong while deciding leaves no trace."""

    async def change(pipe: Any) -> None:
        pipe.multi()
        pipe.set("number", 1)
        raise TransientError("changed my mind")

    with pytest.raises(TransientError, match="changed my mind"):
        await transact(redis, "number", change)
    assert await redis.get("number") is None


async def test_trouble_is_told_in_one_line(redis: Redis, redis_server: RedisServer) -> None:
    """A server that is full, and one that is gone."""

    async def change(pipe: Any) -> None:
        pipe.multi()
        pipe.set("number", "1" * 1000)

    await redis.config_set("maxmemory", "1")
    with pytest.raises(TransientError, match="maxmemory"):
        await transact(redis, "number", change)
    await redis_server.kill()
    with pytest.raises(TransientError, match="can't be reached"):
        await transact(redis, "number", change)
    with pytest.raises(TransientError, match="can't be reached"):
        await reading(redis.get("number"))
