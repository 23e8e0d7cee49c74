"""How Redis is set decides whether orders may leave: on a real server, set while it runs."""

from typing import Any

import pytest
from redis.asyncio import Redis

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Rejection
from services._connector_kit.orders.risk.redis_check import NOT_CHECKED_YET, RedisCheck, fault_of
from services._local.redis_server import RedisServer

FIT = {"maxmemory_policy": "noeviction", "aof_enabled": 1}


async def looked(check: RedisCheck) -> Rejection | None:
    """What a look finds."""
    await check.poll()
    return check.fault


@pytest.mark.parametrize(
    ("setting", "wrong", "right"),
    [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")],
)
async def test_a_wrong_setting_is_reported_with_its_remedy_until_it_is_fixed(
    redis: Redis, setting: str, wrong: str, right: str
) -> None:
    """The remedy in the message is a command that works."""
    check, changes = RedisCheck(redis), []
    check.on_change = lambda: changes.append(check.fault)
    assert check.fault is NOT_CHECKED_YET
    assert await looked(check) is None
    await redis.config_set(setting, wrong)
    fault = await looked(check)
    assert fault is not None
    assert fault.reason_code == "redis_unfit"
    assert f"CONFIG SET {setting} {right}" in fault.message
    await redis.config_set(setting, right)
    assert await looked(check) is None
    assert await looked(check) is None
    assert len(changes) == 3


async def test_each_poll_reads_how_much_memory_redis_uses(redis: Redis) -> None:
    """Of how much, where it has a bound."""
    check = RedisCheck(redis)
    await check.poll()
    assert check.memory_used > 100_000
    assert check.memory_max == 0
    await redis.config_set("maxmemory", 64 << 20)
    await check.poll()
    assert check.memory_used < check.memory_max == 64 << 20


async def test_while_redis_is_away_what_was_found_last_stands(
    redis: Redis, redis_server: RedisServer
) -> None:
    """Nothing is judged by an answer that didn't come."""
    check = RedisCheck(redis)
    await check.poll()
    await redis_server.stop()
    with pytest.raises(TransientError):
        await check.poll()
    assert check.fault is None


@pytest.mark.parametrize("missing", FIT)
def test_redis_is_unfit_if_it_does_not_report_a_setting(missing: str) -> None:
    """A server that hides its settings gets no orders."""
    published: dict[str, Any] = {name: value for name, value in FIT.items() if name != missing}
    assert fault_of(FIT) is None
    assert fault_of(published) is not None
