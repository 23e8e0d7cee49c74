"""Polls how far each indicator is from its first value, as the indicator host publishes it.

This only makes reasons clearer; no decision depends on it.
"""

import asyncio
from collections.abc import Mapping

from redis.asyncio import Redis

from common_models import IndicatorProgress
from common_models.stream_names import INDICATOR_PROGRESS
from services._runtime.redis_transaction import snapshot
from services._runtime.supervise import TransientError
from services.bot.indicator_feed import IndicatorFeed
from services.bot.validation import MessageError, read

READ_EVERY = 2.0


async def keep_reading(redis: Redis, feeds: Mapping[str, IndicatorFeed]) -> None:
    """Poll until cancelled; *feeds* by stream. Without feeds it returns at once."""
    if not feeds:
        return
    while True:
        try:
            (found,) = await snapshot(redis, [("HMGET", INDICATOR_PROGRESS, *feeds)])
        except TransientError:  # the journal, on the same Redis, logs it
            found = None
        for number, feed in enumerate(feeds.values()):
            feed.progress = _progress(found[number]) if isinstance(found, list) else None
        await asyncio.sleep(READ_EVERY)


def _progress(data: object) -> IndicatorProgress | None:
    try:
        return read(IndicatorProgress, data) if isinstance(data, bytes) else None
    except MessageError:
        return None
