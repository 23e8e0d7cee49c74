"""Rejects orders while Redis may evict keys or lose data at a restart."""

from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Clock, Rejection
from services._runtime.redis_transaction import reading

log = structlog.get_logger()

# In seconds. The settings of Redis may change while it runs.
POLL_INTERVAL = 15.0

NOT_CHECKED_YET = Rejection("redis_unfit", "the settings of Redis haven't been read yet")


def _nothing() -> None:
    """Default callback; does nothing."""


class RedisCheck:
    """Polls the settings of Redis.

    `fault` is the rejection of new orders; None if the settings are right. `on_change` is called
    when it changes.
    """

    def __init__(self, redis: Redis) -> None:
        self.fault: Rejection | None = NOT_CHECKED_YET
        self.memory_used = self.memory_max = 0  # bytes; 0 if unlimited
        self.on_change: Callable[[], None] = _nothing
        self._redis: Any = redis

    async def poll(self) -> None:
        """Read the settings once.

        Raises:
            TransientError: Redis failed; `fault` keeps its value.
        """
        info = await reading(self._redis.info("memory", "persistence"))
        self.memory_used, self.memory_max = info.get("used_memory", 0), info.get("maxmemory", 0)
        found = fault_of(info)
        before, self.fault = self.fault, found
        if found == before:
            return
        if found is not None:
            log.error("redis_unfit", reason=found.message, meaning="no new order is sent")
        elif before is not NOT_CHECKED_YET:
            log.info("redis_fit")
        self.on_change()

    async def keep_polling(self, clock: Clock) -> None:
        """Poll every `POLL_INTERVAL` seconds, until cancelled."""
        while True:
            await clock.sleep(POLL_INTERVAL)
            try:
                await self.poll()
            except TransientError as e:
                log.debug("redis_check_failed", error=str(e))


def fault_of(info: dict[str, Any]) -> Rejection | None:
    """The wrong setting in the reply to `INFO memory persistence`, with the remedy; or None."""
    policy, appends = info.get("maxmemory_policy"), info.get("aof_enabled")
    if policy != "noeviction":
        return Rejection(
            "redis_unfit",
            f"a full Redis may evict orders: maxmemory-policy is {policy}; expected noeviction "
            "(CONFIG SET maxmemory-policy noeviction, and the same in its configuration)",
        )
    if appends != 1:
        return Rejection(
            "redis_unfit",
            "Redis would lose orders at a restart: it keeps no append-only file; "
            "expected appendonly yes "
            "(CONFIG SET appendonly yes, and the same in its configuration)",
        )
    return None
