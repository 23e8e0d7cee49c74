"""Bots in paper mode on a real Redis, whose connectors are played."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.support.bot.process import Bot, running_bot
from tests.support.bot.stage import Stage


class StartBot(Protocol):
    """What starts a bot."""

    def __call__(self, strategies: str, **settings: str) -> AbstractAsyncContextManager[Bot]:
        """A bot in paper mode with these strategies."""


@pytest.fixture
def stage(redis: Redis) -> Stage:
    """The other side of the streams."""
    return Stage(redis)


@pytest.fixture
async def bots(
    stage: Stage, redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[StartBot]:
    """Starts bots, on markets that are open."""
    runs = iter(range(10))
    await stage.open()

    def start(strategies: str, **settings: str) -> AbstractAsyncContextManager[Bot]:
        given = {"BOT_MODE": "paper", "STRATEGIES": strategies, **settings}
        folder = tmp_path / f"bot-{next(runs)}"
        return running_bot(redis, redis_server.url, folder, **given)

    telling = asyncio.create_task(stage.keep_publishing_status())
    yield start
    telling.cancel()
    await asyncio.wait([telling])
