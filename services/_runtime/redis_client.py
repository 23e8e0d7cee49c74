"""Connections to Redis that never repeat a command behind our back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

CONNECT_TIMEOUT = 3.0
# Longer than any BLOCK we send: a BLOCK that outlasts it is a loop of hidden time-outs.
SOCKET_TIMEOUT = 5.0
BLOCK_MS = 2000


class _Cancellable:
    """A connection that notices being cancelled while it sends.

    redis-py sends with `asyncio.wait_for`, which on Python 3.11 may swallow a cancellation that
    comes just as the sending ends; the task would then run on for ever.
    """

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        """As redis-py does it, but a cancellation that came meanwhile is raised."""
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        parent: Any = super()
        await parent.send_packed_command(*args, **kwargs)
        if task and task.cancelling() > before:
            connection: Any = self
            await connection.disconnect(nowait=True)  # the reply would be taken for another's
            raise asyncio.CancelledError


@asynccontextmanager
async def open_redis(url: str, name: str, *, single: bool = False) -> AsyncIterator[Redis]:
    """A client with retries off: redis-py's default repeats XADD and loses XREADGROUP batches.

    *name* is what `CLIENT LIST` shows. Replies are bytes. With *single* all commands go over one
    connection, one after the other.
    """
    client: Redis = Redis.from_url(
        url,
        client_name=name,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        health_check_interval=0,
        protocol=2,
        driver_info=None,  # CLIENT SETINFO is no command of Redis 7.0, and no user is allowed it
        single_connection_client=single,
    )
    pool: Any = client.connection_pool
    pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
    try:
        yield client
    finally:
        await client.aclose()


def explain(error: Exception) -> str:
    """One line for a person about why Redis didn't answer."""
    if isinstance(error, AuthenticationError):
        return f"Redis refused the password: {error}"
    if isinstance(error, ResponseError):
        return f"Redis answered with an error: {error}"
    if isinstance(error, RedisError | OSError | TimeoutError):
        return f"Redis can't be reached: {str(error) or error.__class__.__name__}"
    return repr(error)
