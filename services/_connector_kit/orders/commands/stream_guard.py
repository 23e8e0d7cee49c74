"""Watches the command streams, which a client with write access could block or empty.

* An entry with an id in the future forces later ids to be higher; after the largest possible id
  Redis accepts no further entry.
* XADD with MAXLEN deletes entries that may not have been read.

A blocked stream is repaired within two seconds. Deleted entries can't be restored; they are logged
and counted.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from common_models.stream_names import CommandStream, DeadLetterStream, OperatorStream
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.stream_trimming import KEEP, moment
from services._connector_kit.orders.execution.redis_journal import encode_dead_letter
from services._connector_kit.orders.keys import deleted_key
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import Clock, CommandEntry
from services._runtime.redis_commands import Command
from services._runtime.redis_transaction import Change, reading, snapshot, transact
from services._runtime.supervise import FailureLog

log = structlog.get_logger()

INTERVAL = 1.0
# Milliseconds that an id may be ahead of Redis's clock, as clocks are adjusted.
AHEAD_MS = 5000
DEAD_LETTERS_MAXLEN = 10_000

Stream = CommandStream | OperatorStream


class StreamGuard:
    """Checks all command streams of one connector; its group has the connector's name."""

    def __init__(
        self,
        redis: Redis,
        connector: str,
        streams: Sequence[Stream],
        clock: Clock,
        counts: OrderMetrics,
        *,
        keep: int = KEEP,
    ) -> None:
        self._redis: Any = redis
        self._connector = connector
        self._streams = streams
        self._clock = clock
        self._counts = counts
        self._keep = keep
        self._deleted_key = deleted_key(connector)

    async def run(self) -> None:
        """Check the streams every `INTERVAL` seconds until cancelled."""
        failures = FailureLog("command_stream_check_delayed")
        while True:
            try:
                await self.check()
            except TransientError as e:
                failures.seen(e)
            else:
                failures.over()
            await self._clock.sleep(INTERVAL)

    async def check(self) -> None:
        """Repair blocked streams and report deleted entries.

        Raises:
            TransientError: Redis failed; a repeat is safe.
        """
        # XINFO STREAM is avoided: it returns the first and the last entry, however large they are.
        reads: list[Command] = [("TIME",), ("HGETALL", self._deleted_key)]
        for stream in self._streams:
            reads += [("XINFO", "GROUPS", str(stream)), ("XLEN", str(stream))]
        (seconds, _), kept, *found = await snapshot(self._redis, reads)
        reported = dict(zip(kept[::2], kept[1::2], strict=True))
        for stream, groups, length in zip(self._streams, found[::2], found[1::2], strict=True):
            group = _group(groups, self._connector)
            if group is None:
                continue  # it is created when the stream is read
            if moment(group["last-delivered-id"])[0] > int(seconds) * 1000 + AHEAD_MS:
                await self._repair(stream)
            elif group["entries-read"] is not None and group["lag"] is not None:
                deleted = group["entries-read"] + group["lag"] - length
                before = int(reported.get(str(stream).encode(), 0))
                await self._report(stream, deleted, before, length, group["lag"])

    async def _repair(self, stream: Stream) -> None:
        """Empty the stream, all of which was delivered, and restart its ids at the current time.

        Pending entries are executed and answered as they were read. XDEL can't be used: Redis
        keeps the highest id that it deleted, and accepts no lower id in the stream.
        """
        name = str(stream)

        async def decide(change: Change) -> tuple[int, int] | None:
            groups, newest, (seconds, micro) = change.found
            group = _group(groups, self._connector)
            now = int(seconds) * 1000 + int(micro) // 1000
            delivered = moment(group["last-delivered-id"]) if group else (0, 0)
            if delivered[0] <= now + AHEAD_MS:
                return None  # another instance repaired it
            if newest and moment(newest[0][0]) > delivered:
                return None  # it will be delivered in a moment
            first = f"{now + AHEAD_MS + 1}-0"
            for entry_id, fields in await change.ask("XRANGE", name, first, "+", "COUNT", 1):
                entry = CommandEntry(
                    stream.command, entry_id.decode(), _data(fields), redelivered=True
                )
                text = encode_dead_letter(
                    entry, f"its id is {delivered[0] - now} ms ahead of Redis's clock"
                )
                dead_letters = str(DeadLetterStream(self._connector, stream.command))
                change.write(
                    "XADD", dead_letters, "MAXLEN", "~", DEAD_LETTERS_MAXLEN, "*", "data", text
                )
            # XDEL was used by another client, or by us for a large entry.
            info = _fields(await change.ask("XINFO", "STREAM", name))
            last = "-".join(map(str, max((now, 0), moment(info["max-deleted-entry-id"]))))
            change.write("XTRIM", name, "MAXLEN", "=", 0)
            change.write("XSETID", name, last, "ENTRIESADDED", 0)
            change.write("XGROUP", "SETID", name, self._connector, last, "ENTRIESREAD", 0)
            change.write("HDEL", self._deleted_key, name)
            return delivered

        reads = [("XINFO", "GROUPS", name), ("XREVRANGE", name, "+", "-", "COUNT", 1), ("TIME",)]
        blocked = await transact(self._redis, [name], reads, decide)
        if blocked is not None:
            self._counts.tampered[stream.command, "future_id"] += 1
            last_id = "-".join(map(str, blocked))
            log.error("command_id_in_the_future", stream=name, last_id=last_id)

    async def _report(
        self, stream: Stream, deleted: int, before: int, length: int, lag: int
    ) -> None:
        """Report entries deleted by other clients; our own trimming leaves `KEEP` entries."""
        if deleted == before:
            return
        if deleted > before and length < self._keep:
            unread = max(0, lag - length)
            self._counts.tampered[stream.command, "deleted"] += deleted - before
            log.error(
                "commands_deleted",
                stream=str(stream),
                entries=deleted - before,
                unread_at_least=unread,
            )
        await reading(self._redis.hset(self._deleted_key, str(stream), deleted))


def _group(groups: Any, name: str) -> dict[str, Any] | None:
    """The group in the reply to XINFO GROUPS; None if the group or the stream is missing."""
    if not isinstance(groups, list):
        return None
    for group in map(_fields, groups):
        if group["name"] == name.encode():
            return group
    return None


def _fields(flat: list[Any]) -> dict[str, Any]:
    """Convert Redis's alternating names and values to a dict."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _data(fields: list[bytes]) -> bytes:
    """The field `data` of an entry as Redis sends it."""
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    return found.get(b"data", b"")
