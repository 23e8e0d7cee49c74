"""Connections to Redis that never repeat a command by themselves."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services._runtime.redis_parser import BoundedParser

CONNECT_TIMEOUT = 3.0
# Longer than any BLOCK that is sent: a longer BLOCK would always time out.
SOCKET_TIMEOUT = 5.0
BLOCK_MS = 2000


class _Cancellable:
    """A connection whose sending can be cancelled.

    redis-py sends with `asyncio.wait_for`, which on Python 3.11 swallows a cancellation that comes
    just as the sending ends; the task would then run on for ever. `asyncio.timeout` doesn't.
    """

    socket_timeout: float | None

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        """As in redis-py, with another way to wait."""
        parent: Any = super()
        seconds, self.socket_timeout = self.socket_timeout, None  # then it doesn't `wait_for`
        try:
            async with asyncio.timeout(seconds):
                await parent.send_packed_command(*args, **kwargs)
        except TimeoutError:
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = seconds


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
        driver_info=None,  # CLIENT SETINFO does not exist in Redis 7.0, and no user may call it
        single_connection_client=single,
        parser_class=BoundedParser,
    )
    pool: Any = client.connection_pool
    pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
    try:
        yield client
    finally:
        await client.aclose()


async def server_identity(redis: Any) -> str:
    """The run id and replication id of the server: if they change, Redis may have lost data.

    Raises:
        RedisError, OSError: no answer.
    """
    server, replication = await redis.info("server"), await redis.info("replication")
    return f"{server['run_id']} {replication['master_replid']}"


# Causes of a failed connection, and their remedies.
_HELPS: tuple[tuple[type[BaseException], str], ...] = (
    (
        socket.gaierror,
        "its host can't be resolved (DNS): check REDIS_URL, and this machine's DNS and network",
    ),
    (
        ssl.SSLError,
        "TLS fails: check ssl_ca_certs in REDIS_URL, and that the server speaks TLS there",
    ),
    (ConnectionRefusedError, "nothing listens there: start Redis, or check REDIS_URL"),
    (FileNotFoundError, "there is no such socket: start Redis, or check REDIS_URL"),
    (TimeoutError, "it doesn't answer in time: check REDIS_URL, the network and the firewall"),
    (RedisTimeoutError, "it doesn't answer in time: check REDIS_URL, the network and the firewall"),
)


def explain(error: Exception) -> str:
    """One line for the operator: why Redis did not answer, and the remedy if it is known."""
    if isinstance(error, AuthenticationError):
        return f"Redis refused the password: {error}; check user and password in REDIS_URL"
    if isinstance(error, ResponseError):
        return f"Redis answered with an error: {error}"
    if isinstance(error, RedisError | OSError | TimeoutError):
        said = f"Redis can't be reached: {str(error) or error.__class__.__name__}"
        helps = _helps(error)
        return f"{said.removesuffix('.')}; {helps}" if helps else said
    return repr(error)


def _helps(error: BaseException) -> str | None:
    cause: BaseException | None = error
    while cause is not None:
        for kind, helps in _HELPS:
            if isinstance(cause, kind):
                return helps
        cause = cause.__cause__ or cause.__context__
    return None
