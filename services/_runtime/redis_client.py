"""Connections to Redis that never repeat a command behind our back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

CONNECT_TIMEOUT = 3.0
# Longer than any BLOCK we send: a BLOCK that outlasts it is a loop of hidden time-outs.
SOCKET_TIMEOUT = 5.0
BLOCK_MS = 2000


@asynccontextmanager
async def open_redis(url: str, name: str) -> AsyncIterator[Redis]:
    """A client with retries off: redis-py's default repeats XADD and loses XREADGROUP batches.

    *name* is what `CLIENT LIST` shows. Replies are bytes.
    """
    client: Redis = Redis.from_url(
        url,
        client_name=name,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        health_check_interval=0,
        protocol=2,
    )
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
