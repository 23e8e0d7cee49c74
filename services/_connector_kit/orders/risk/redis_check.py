"""Whether this Redis may be trusted with orders: one that evicts or forgets must not be."""

from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Clock, Rejection
from services._runtime.redis_transaction import reading

log = structlog.get_logger()

# Its settings may be changed while it runs; in seconds.
POLL_INTERVAL = 15.0

NOT_CHECKED_YET = Rejection("redis_unfit", "it isn't known yet how Redis is set")


def _nothing() -> None:
    """No callback is set."""


class RedisCheck:
    """How Redis is set, looked at again and again.

    `fault` says why no new order may leave; None: nothing is wrong. `on_change` is called when it
    changes.
    """

    def __init__(self, redis: Redis) -> None:
        self.fault: Rejection | None = NOT_CHECKED_YET
        self.memory_used = self.memory_max = 0  # bytes; no bound: 0
        self.on_change: Callable[[], None] = _nothing
        self._redis: Any = redis

    async def poll(self) -> None:
        """Look once.

        Raises:
            TransientError: Redis is in trouble; what was found last still stands.
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
        """Look every now and then; runs until cancelled."""
        while True:
            await clock.sleep(POLL_INTERVAL)
            try:
                await self.poll()
            except TransientError as e:
                log.debug("redis_check_failed", error=str(e))


def fault_of(info: dict[str, Any]) -> Rejection | None:
    """What is wrong with a Redis of which `INFO memory persistence` says this, and the remedy."""
    policy, appends = info.get("maxmemory_policy"), info.get("aof_enabled")
    if policy != "noeviction":
        return Rejection(
            "redis_unfit",
            f"a full Redis may throw orders away: maxmemory-policy is {policy}; want noeviction "
            "(CONFIG SET maxmemory-policy noeviction, and the same in its configuration)",
        )
    if appends != 1:
        return Rejection(
            "redis_unfit",
            "a Redis that restarts would have forgotten orders: it keeps no append-only file; "
            "want appendonly yes (CONFIG SET appendonly yes, and the same in its configuration)",
        )
    return None
