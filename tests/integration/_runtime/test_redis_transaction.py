"""Read, decide and write on a real server: as if nobody else were there."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services._runtime.redis_transaction import Change, at_once, reading, transact
from services._runtime.supervise import TransientError


async def test_no_change_is_lost_among_many(redis: Redis) -> None:
    """Twenty tasks count up the same number together."""

    async def count(change: Change) -> int:
        (number,) = change.found
        change.write("SET", "number", int(number or 0) + 1)
        return int(number or 0)

    seen = await asyncio.gather(
        *(transact(redis, ["number"], [("GET", "number")], count) for _ in range(20))
    )
    assert sorted(seen) == list(range(20))
    assert await redis.get("number") == b"20"


async def test_a_second_key_is_watched_too(redis: Redis) -> None:
    """A change to it has the decision made again."""
    tries = 0

    async def decide(change: Change) -> bytes | None:
        nonlocal tries
        tries += 1
        found: bytes | None = change.found[0]
        if tries == 1:
            await redis.set("other", "changed")
        change.write("SET", "number", found or b"nothing")
        return found

    watch, reads = ["number", "other"], [("GET", "other")]
    assert await transact(redis, watch, reads, decide) == b"changed"
    assert (tries, await redis.get("number")) == (2, b"changed")


async def test_more_may_be_read_while_deciding(redis: Redis) -> None:
    """What is to be read next may depend on what was read."""
    await redis.mset({"which": "this", "this": "it"})

    async def decide(change: Change) -> bytes:
        (which,) = change.found
        found: bytes = await change.ask("GET", which)
        return found

    assert await transact(redis, ["which"], [("GET", "which")], decide) == b"it"


async def test_without_writes_no_key_stays_watched(redis: Redis) -> None:
    """The connection goes back as it came: the next one who has it isn't disturbed."""
    writes = 0

    async def look(_: Change) -> None:
        return

    async def decide(change: Change) -> None:
        nonlocal writes
        writes += 1
        await redis.set("watched", writes)
        change.write("SET", "number", writes)

    await transact(redis, ["watched"], [], look)
    await transact(redis, ["another"], [], decide)
    assert (writes, await redis.get("number")) == (1, b"1")


async def test_a_write_to_a_key_of_another_type_is_an_error(redis: Redis) -> None:
    """Told, though Redis has carried out the others."""
    await redis.set("text", "x")

    async def decide(change: Change) -> None:
        change.write("SET", "number", 1)
        change.write("SADD", "text", 1)

    with pytest.raises(TransientError, match="WRONGTYPE"):
        await transact(redis, ["number"], [], decide)
    assert await redis.get("text") == b"x"


async def test_all_of_it_is_written_or_nothing(redis: Redis) -> None:
    """What goes wrong while deciding leaves no trace."""

    async def decide(change: Change) -> None:
        change.write("SET", "number", 1)
        raise TransientError("changed my mind")

    with pytest.raises(TransientError, match="changed my mind"):
        await transact(redis, ["number"], [], decide)
    assert await redis.get("number") is None


async def test_an_error_is_explained_in_one_line(redis: Redis, redis_server: RedisServer) -> None:
    """A server that is full, and one that is gone."""

    async def decide(change: Change) -> None:
        change.write("SET", "number", "1" * 1000)

    await redis.config_set("maxmemory", "1")
    with pytest.raises(TransientError, match="maxmemory"):
        await transact(redis, ["number"], [], decide)
    await redis_server.kill()
    with pytest.raises(TransientError, match="can't be reached"):
        await transact(redis, ["number"], [], decide)
    with pytest.raises(TransientError, match="can't be reached"):
        await reading(redis.get("number"))


async def test_a_server_that_does_not_answer_is_trouble_and_its_late_replies_are_nobodys(
    redis: Redis, redis_server: RedisServer
) -> None:
    """One timeout stands for all replies; the connection isn't used again."""
    await redis.set("number", 1)
    server: Any = redis
    async with open_redis(redis_server.url, "test") as impatient:
        pool: Any = impatient.connection_pool
        pool.connection_kwargs["socket_timeout"] = 0.2
        await server.execute_command("CLIENT", "PAUSE", 500)
        with pytest.raises(TransientError, match="Timeout"):
            await at_once(impatient, ("GET", "other"), ("GET", "number"))
        await server.execute_command("CLIENT", "UNPAUSE")
        assert await at_once(impatient, ("GET", "number")) == [b"1"]
