"""Keeps command streams short without ever losing a command."""

from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from common_models.stream_names import CommandStream, OperatorStream
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Clock
from services._runtime.redis_transaction import reading

log = structlog.get_logger()

EVERY = 60.0
# Acknowledged commands that stay, for people to look at.
KEEP = 10_000
# So many entries are looked at for one step of trimming.
STEP = 1000


async def keep_trimmed(
    redis: Redis,
    connector: str,
    streams: Sequence[CommandStream | OperatorStream],
    clock: Clock,
    *,
    keep: int = KEEP,
) -> None:
    """Trim the command streams again and again; runs until cancelled."""
    while True:
        for stream in streams:
            try:
                await trim(redis, connector, str(stream), keep=keep)
            except TransientError as e:
                log.warning("trimming_delayed", stream=str(stream), error=str(e))
        await clock.sleep(EVERY)


async def trim(redis: Redis, connector: str, stream: str, *, keep: int = KEEP) -> int:
    """Remove what the group has acknowledged, but for the last *keep* entries; how many went.

    A limit of length would remove commands that nobody has read or answered yet.

    Raises:
        TransientError: Redis is in trouble; trimming again is safe.
    """
    client: Any = redis
    removed = 0
    while (beyond := await reading(client.xlen(stream)) - keep) > 0:
        limit = await _first_needed(client, stream, connector)
        if limit is None:
            break
        oldest = await reading(client.xrange(stream, count=min(beyond, STEP) + 1))
        step = await reading(
            client.xtrim(stream, minid=min(limit, oldest[-1][0], key=moment), approximate=False)
        )
        if not step:
            break
        removed += step
    return removed


async def _first_needed(client: Any, stream: str, group: str) -> bytes | None:
    """The oldest entry that isn't acknowledged, or else the last one that was read.

    The group's position is read first: what is delivered after that comes behind it, so that a
    command can't be missed between the two looks.
    """
    for found in await reading(client.xinfo_groups(stream)):
        if found["name"] == group.encode():
            position: bytes = found["last-delivered-id"]
            pending = await reading(client.xpending(stream, group))
            return pending["min"] or position
    return None


def moment(entry_id: bytes) -> tuple[int, int]:
    """The two numbers of an entry id: milliseconds, and which of that moment."""
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)
