"""The bot's sign of life, whatever stands in its place."""

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models.stream_names import BOT_HEARTBEAT
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.dead_man_switch import silent_for


@pytest.mark.parametrize("told", [None, b"", b"soon", b"-1", b"9" * 5000, b"1e3", b"\xff", b"\xb2"])
async def test_an_invalid_heartbeat_proves_nothing_about_the_bot(
    redis: Redis, told: bytes | None
) -> None:
    """Nothing is cancelled for it, and nothing breaks."""
    if told is not None:
        await redis.set(BOT_HEARTBEAT, told)
    assert await silent_for(redis) is None


async def test_a_heartbeat_is_as_old_as_it_says(redis: Redis) -> None:
    """By Redis's clock."""
    await redis.set(BOT_HEARTBEAT, round((time.time() - 100) * 1000))
    silent = await silent_for(redis)
    assert silent is not None
    assert 99 < silent < 160


async def test_a_key_of_another_kind_is_trouble(redis: Any) -> None:
    """No proof of a dead bot."""
    await redis.rpush(BOT_HEARTBEAT, "1")
    with pytest.raises(TransientError):
        await silent_for(redis)
