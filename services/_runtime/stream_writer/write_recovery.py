"""After a lost connection: how much of what was sent on it did Redis take?"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from services._runtime.redis_commands import ask

NO_ID = b"0-0"  # before every entry


async def server_run(connection: Any) -> bytes:
    """Which run of which server this is: another one after each restart."""
    info = await ask(connection, "INFO", "server")
    return next((line for line in info.splitlines() if line.startswith(b"run_id:")), b"")


async def entries_after(
    connection: Any, stream: str, last_id: bytes, count: int
) -> tuple[list[bytes], bytes]:
    """The `data` of the newest entries after *last_id*, at most *count*, oldest first.

    Beside them the id of the newest: *last_id* where there are none.
    """
    try:
        entries = await ask(connection, "XREVRANGE", stream, "+", b"(" + last_id, "COUNT", count)
    except ResponseError as e:
        if not str(e).startswith("WRONGTYPE"):
            raise
        entries = []  # a key of another type took nothing of ours; the next try is refused
    newest = entries[0][0] if entries else last_id
    return [fields[1] for _, fields in reversed(entries)], newest


async def newest_id(connection: Any, stream: str) -> bytes:
    """The id of the stream's last entry, `0-0` where there is none."""
    entries = await ask(connection, "XREVRANGE", stream, "+", "-", "COUNT", 1)
    newest: bytes = entries[0][0] if entries else NO_ID
    return newest


def unwritten(sent: Sequence[bytes], found: Sequence[bytes], maxlen: int) -> list[bytes]:
    """What of *sent* is not in the stream, in order.

    *sent* went out unanswered on one connection; *found* is what the stream holds after the last
    answered entry, oldest first. Entries that aren't ours are ignored. Redis may have refused
    some of *sent*, so what was found can have holes; but when *maxlen* or more were found, those
    that are missing in front of them were written and trimmed away.
    """
    ours = frozenset(sent)
    arrived = deque(entry for entry in found if entry in ours)
    if arrived and len(found) >= maxlen:
        newest = len(sent) - 1 - sent[::-1].index(arrived[-1])
        return list(sent[newest + 1 :])
    missing = []
    for entry in sent:
        if arrived and entry == arrived[0]:
            arrived.popleft()
        else:
            missing.append(entry)
    return missing
