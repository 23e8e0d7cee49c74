"""Keeps command streams short without ever losing a command."""

from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from common_models.stream_names import CommandStream
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
    redis: Redis, connector: str, commands: Sequence[str], clock: Clock, *, keep: int = KEEP
) -> None:
    """Trim the command streams again and again; runs until cancelled."""
    while True:
        for command in commands:
            try:
                await trim(redis, connector, command, keep=keep)
            except TransientError as e:
                log.warning("trimming_delayed", command=command, error=str(e))
        await clock.sleep(EVERY)


async def trim(redis: Redis, connector: str, command: str, *, keep: int = KEEP) -> int:
    """Remove what the group has acknowledged, but for the last *keep* entries; how many went.

    A limit of length would remove commands that nobody has read or answered yet.

    Raises:
        TransientError: Redis is in trouble; trimming again is safe.
    """
    client: Any = redis
    stream = str(CommandStream(connector, command))
    removed = 0
    while (beyond := await reading(client.xlen(stream)) - keep) > 0:
        limit = await _first_needed(client, stream, connector)
        if limit is None:
            break
        oldest = await reading(client.xrange(stream, count=min(beyond, STEP) + 1))
        step = await reading(
            client.xtrim(stream, minid=min(limit, oldest[-1][0], key=_moment), approximate=False)
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


def _moment(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)
