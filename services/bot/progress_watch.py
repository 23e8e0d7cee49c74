"""How far indicators are from their first values, as the indicator host says: read again and again.

It only makes reasons clearer: nothing is decided on it.
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
    """Read it until cancelled; *feeds* by stream. Where there is none it ends at once."""
    if not feeds:
        return
    while True:
        try:
            (found,) = await snapshot(redis, [("HMGET", INDICATOR_PROGRESS, *feeds)])
        except TransientError:  # the journal, on the same Redis, tells of it
            found = None
        for number, feed in enumerate(feeds.values()):
            feed.progress = _progress(found[number]) if isinstance(found, list) else None
        await asyncio.sleep(READ_EVERY)


def _progress(data: object) -> IndicatorProgress | None:
    try:
        return read(IndicatorProgress, data) if isinstance(data, bytes) else None
    except MessageError:
        return None
