"""What all tests share: a real Redis of their own."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.attempts import (
    OPTION,
    attempt,
    makes_attempts,
    pytest_addoption,
    pytest_runtest_call,
)
from tests.support.ports import quiet_port

__all__ = ["attempt", "pytest_addoption", "pytest_runtest_call"]

# How long an example takes says something about the machine's other work, not about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("busy"), max_examples=10)
settings.load_profile("busy")

# These take up to a minute each, most of it waiting.
LONG = {"chaos", "e2e"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the long tests over the first half: not side by side, and none left for the end."""
    if config.getoption(OPTION):
        items[:] = filter(makes_attempts, items)
    long = [item for item in items if LONG & set(item.path.parts)]
    if len(long) == len(items):
        return
    short = [item for item in items if item not in set(long)]
    apart = max(1, len(items) // 2 // max(1, len(long)))
    spread = []
    for start, item in zip(range(0, len(items), apart), long, strict=False):
        spread += [item, *short[start : start + apart]]
    items[:] = [*spread, *short[len(long) * apart :]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A real server of this test alone: it may be stopped, killed and started again."""
    server = RedisServer(tmp_path / "redis", quiet_port())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """A client of `redis_server`."""
    async with open_redis(redis_server.url, "test") as client:
        yield client
