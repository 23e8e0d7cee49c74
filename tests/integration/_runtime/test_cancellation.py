"""A task that talks to Redis can be cancelled at any moment."""

import asyncio

from redis.asyncio import Redis


async def test_a_cancellation_is_never_swallowed(redis: Redis) -> None:
    """Whichever step of a command it hits, the task ends; the client works on."""

    async def talk() -> None:
        while True:
            await redis.ping()

    for steps in range(150):
        task = asyncio.create_task(talk())
        for _ in range(steps % 30):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5.0)
        assert done, f"still running, cancelled after {steps} steps"
        assert task.cancelled()
    assert await redis.ping()


async def test_a_cancellation_that_comes_while_the_task_runs_is_not_swallowed(
    redis: Redis,
) -> None:
    """As Ctrl-C brings one: not while it waits, but just before."""

    async def talk() -> None:
        await redis.ping()
        task.cancel()
        while True:
            await redis.ping()

    task = asyncio.create_task(talk())
    done, _ = await asyncio.wait([task], timeout=5.0)
    assert done
    assert task.cancelled()
    assert await redis.ping()
