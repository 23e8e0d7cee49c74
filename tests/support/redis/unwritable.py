"""Redis servers that answer and take nothing: full, a replica, or with a user who may only read."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from redis.asyncio import Redis


class Unwritable(NamedTuple):
    """How a server comes to be so, how it is mended, and what it says meanwhile."""

    harm: Callable[[Any], Awaitable[Any]]
    mend: Callable[[Any], Awaitable[Any]]
    says: str


async def _replicate(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", "1")  # nobody listens there: it keeps what it has


UNWRITABLE = {
    "full": Unwritable(
        lambda redis: redis.config_set("maxmemory", "1"),
        lambda redis: redis.config_set("maxmemory", "0"),
        "used memory > 'maxmemory'",
    ),
    "replica": Unwritable(
        _replicate, lambda redis: redis.replicaof("NO", "ONE"), "against a read only replica"
    ),
    "half-permitted": Unwritable(
        lambda redis: redis.execute_command("ACL", "SETUSER", "default", "-@write"),
        lambda redis: redis.execute_command("ACL", "SETUSER", "default", "+@all"),
        "no permissions",
    ),
}
