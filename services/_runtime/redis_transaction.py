"""Read, decide and write in one go: an optimistic transaction on Redis."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from services._runtime.redis_client import explain
from services._runtime.supervise import TransientError

T = TypeVar("T")


async def transact(
    redis: Redis, key: str, change: Callable[[Any], Awaitable[T]], *, also: Sequence[str] = ()
) -> T:
    """Run *change* on a pipeline that watches *key*, then execute what it queued as one MULTI.

    *change* reads what it needs, calls `multi()`, and queues what it writes; it is run again where
    somebody else changed *key*, or one of *also*, meanwhile. With plain MULTI and WATCH, not a
    script: access lists judge each command by its own key.

    Raises:
        TransientError: Redis is in trouble, and it is not known whether anything was written.
    """
    client: Any = redis
    while True:
        try:
            async with client.pipeline(transaction=True) as pipe:
                await pipe.watch(key, *also)
                result = await change(pipe)
                await pipe.execute()
                return result
        except WatchError:
            continue
        except (RedisError, OSError, TimeoutError) as e:
            raise TransientError(explain(e)) from e


async def reading(reply: Awaitable[T]) -> T:
    """The reply of a command that changes nothing.

    Raises:
        TransientError: Redis is in trouble.
    """
    try:
        return await reply
    except (RedisError, OSError, TimeoutError) as e:
        raise TransientError(explain(e)) from e
