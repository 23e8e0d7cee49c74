"""After a lost connection: which of the entries sent on it were written?"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from services._runtime.redis_commands import ask

NO_ID = b"0-0"  # before every entry


async def server_run(connection: Any) -> bytes:
    """The run id of the server, which changes at each restart."""
    info = await ask(connection, "INFO", "server")
    return next((line for line in info.splitlines() if line.startswith(b"run_id:")), b"")


async def entries_after(
    connection: Any, stream: str, last_id: bytes, count: int
) -> tuple[list[bytes], bytes]:
    """The `data` of at most *count* newest entries after *last_id*, oldest first.

    The second value is the id of the newest one; *last_id* if there are none.
    """
    try:
        entries = await ask(connection, "XREVRANGE", stream, "+", b"(" + last_id, "COUNT", count)
    except ResponseError as e:
        if not str(e).startswith("WRONGTYPE"):
            raise
        entries = []  # not a stream: nothing was written, and the next write is refused
    newest = entries[0][0] if entries else last_id
    return [fields[1] for _, fields in reversed(entries)], newest


async def newest_id(connection: Any, stream: str) -> bytes:
    """The id of the stream's last entry; `0-0` if it is empty."""
    entries = await ask(connection, "XREVRANGE", stream, "+", "-", "COUNT", 1)
    newest: bytes = entries[0][0] if entries else NO_ID
    return newest


def unwritten(sent: Sequence[bytes], found: Sequence[bytes], maxlen: int) -> list[bytes]:
    """The entries of *sent* that are not in the stream, in order.

    *sent*: the unanswered entries of one connection. *found*: the entries of the stream after the
    last answered one, oldest first; those of other writers are ignored. Redis may have refused
    some of *sent*, so *found* may have gaps. If *found* has *maxlen* entries or more, entries
    missing before the first one were written and trimmed.
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
