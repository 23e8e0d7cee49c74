"""Trims the command streams without losing an unanswered command."""

from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from common_models.stream_names import CommandStream, OperatorStream
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Clock
from services._runtime.redis_transaction import reading

log = structlog.get_logger()

INTERVAL = 60.0
# Acknowledged commands that are kept for inspection.
KEEP = 10_000
# Entries that one step reads and trims at most.
STEP = 1000


async def keep_trimmed(
    redis: Redis,
    connector: str,
    streams: Sequence[CommandStream | OperatorStream],
    clock: Clock,
    *,
    keep: int = KEEP,
) -> None:
    """Trim the command streams every `INTERVAL` seconds; runs until cancelled."""
    while True:
        for stream in streams:
            try:
                await trim(redis, connector, str(stream), keep=keep)
            except TransientError as e:
                log.warning("trimming_delayed", stream=str(stream), error=str(e))
        await clock.sleep(INTERVAL)


async def trim(redis: Redis, connector: str, stream: str, *, keep: int = KEEP) -> int:
    """Remove acknowledged entries except the last *keep*; return how many were removed.

    A length limit (MAXLEN) would remove commands that are not read or answered yet.

    Raises:
        TransientError: Redis failed; a repeat is safe.
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
    """The id of the oldest unacknowledged entry, else of the last delivered one.

    The group's position is read first: entries delivered afterwards have higher ids, so that no
    command is missed between the two reads.
    """
    for found in await reading(client.xinfo_groups(stream)):
        if found["name"] == group.encode():
            position: bytes = found["last-delivered-id"]
            pending = await reading(client.xpending(stream, group))
            return pending["min"] or position
    return None


def moment(entry_id: bytes) -> tuple[int, int]:
    """The two numbers of an entry id: milliseconds and sequence number."""
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)
