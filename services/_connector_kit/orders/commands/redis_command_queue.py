"""The command streams of one connector, read and claimed on one dedicated connection."""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from common_models.stream_names import CommandStream, OperatorStream
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.execution.record import Record, dump, load
from services._connector_kit.orders.keys import lease_key, order_key, redis_key, unanswered_key
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import Claim, CommandEntry, DataLossRecord, RedisIdentity
from services._runtime.redis_client import BLOCK_MS, explain, server_identity
from services._runtime.redis_commands import Command, ask_all

BATCH = 10
# More than can be under way at once, so that what was left lying is always among them.
PENDING_BATCH = 200
# A command may be as large as Redis takes: of what lies there no more is read at once.
PENDING_BYTES = 16 << 20
# Longer than any legal handling: the validity of a request, the margin after it and the misses.
TAKE_OVER_AFTER_MS = 60_000
LEASE_MS = 10_000


class RedisCommandQueue:
    """The port `Bus` on a real server.

    *redis* must hold a single connection: what is read on it may be claimed on it only, so that
    a Redis that came back with less than it had can't be taken for the one that was read from.
    *operator*: the commands are those of the operator's streams.
    """

    def __init__(  # noqa: PLR0913 - all that it is put together from
        self,
        redis: Redis,
        connector: str,
        commands: Sequence[str],
        consumer: str,
        *,
        lease_ms: int = LEASE_MS,
        take_over_after_ms: int = TAKE_OVER_AFTER_MS,
        on_state: Callable[[str | None], None] = lambda _: None,
        counts: OrderMetrics | None = None,
        operator: bool = False,
    ) -> None:
        self._operator = operator
        self._counts = counts or OrderMetrics()
        self._read_at = monotonic()
        self._lease_ms = lease_ms
        self._take_over_after_ms = take_over_after_ms
        self._on_state = on_state
        self._redis: Any = redis
        self._connector = connector
        self._consumer = consumer
        kind = OperatorStream if operator else CommandStream
        self._streams = {str(kind(connector, name)): name for name in commands}
        self._identity: str | None = None
        self._saved_data_loss = b""

    async def server(self) -> RedisIdentity:
        """Which Redis this connection leads to, and its time."""
        if self._identity is None:
            self._identity = await self._call(server_identity, self._redis)
        seconds, micro = await self._call(self._redis.time)
        return RedisIdentity(self._identity, _milliseconds(seconds, micro))

    async def prepare(self) -> bool:
        """Make sure that the groups exist; True if one had to be made."""
        made = False
        for stream in self._streams:
            try:
                # Without a count to begin with, Redis couldn't say what is deleted unread at first.
                await self._redis.xgroup_create(
                    stream, self._connector, id="0", mkstream=True, entries_read=0
                )
                made = True
            except ResponseError as e:
                if not str(e).startswith("BUSYGROUP"):
                    raise self._connection_failed(e) from e
            except (RedisError, OSError) as e:
                raise self._connection_failed(e) from e
        self._on_state(None)
        return made

    async def load_data_loss(self) -> DataLossRecord | None:
        """What was remembered last, watched from now on; None where nothing is."""
        key = self._data_loss_key
        _, found = await self._call(self._ask_all, ("WATCH", key), ("GET", key))
        return None if found is None else msgspec.json.decode(found, type=DataLossRecord)

    async def save_data_loss(self, record: DataLossRecord) -> None:
        """Remember which Redis this was.

        Raises:
            TransientError: also where that was forgotten, or changed, since `remembered` read it:
                what is written now would hide it.
        """
        self._saved_data_loss = msgspec.json.encode(record)
        write = ("SET", self._data_loss_key, self._saved_data_loss)
        *_, done = await self._call(self._ask_all, ("MULTI",), write, ("EXEC",))
        if done is None:
            raise self._connection_failed(ConnectionError("what it remembered has just changed"))

    @property
    def _data_loss_key(self) -> str:
        return redis_key(self._connector)

    async def newest_entry(self) -> int:
        """When the newest entry of the command streams came in; 0 where there is none."""
        newest = 0
        for stream in self._streams:
            entries = await self._call(self._redis.xrevrange, stream, count=1)
            if entries:
                newest = max(newest, int(entries[0][0].partition(b"-")[0]))
        return newest

    async def hold_lease(self) -> bool:
        """Become, or stay, the active instance; False while another one is."""
        key = lease_key(self._connector)
        if await self._call(self._redis.set, key, self._consumer, nx=True, px=self._lease_ms):
            return True
        if await self._call(self._redis.get, key) != self._consumer.encode():
            return False
        await self._call(self._redis.pexpire, key, self._lease_ms)
        return True

    async def own_pending(self) -> Sequence[CommandEntry]:
        """What this consumer read and has not acknowledged, oldest first."""
        return [entry for stream in self._streams for entry in await self._left_in(stream)]

    async def _left_in(self, stream: str) -> list[CommandEntry]:
        """A page at a time, until there are enough of them, or enough bytes."""
        found: list[CommandEntry] = []
        position, size = "0", 0
        while len(found) < PENDING_BATCH and size < PENDING_BYTES:
            page = await self._read({stream: position}, redelivered=True)
            found += page
            if len(page) < BATCH:
                break
            position = page[-1].entry_id
            size += sum(len(entry.data) for entry in page)
        return found

    async def new_entries(self, *, wait: bool = True) -> Sequence[CommandEntry]:
        """What nobody read yet; with *wait* it waits up to `BLOCK_MS` for the first."""
        block = BLOCK_MS if wait else None
        return await self._read(dict.fromkeys(self._streams, ">"), block=block)

    async def _read(
        self, positions: dict[str, str], *, block: int | None = None, redelivered: bool = False
    ) -> list[CommandEntry]:
        reply = await self._call(
            self._redis.xreadgroup,
            self._connector,
            self._consumer,
            positions,
            count=BATCH,
            block=block,
        )
        self._read_at = monotonic()
        found = dict(reply) if isinstance(reply, list) else reply
        return [
            entry
            for stream, entries in (found or {}).items()
            for entry in self._entries(stream.decode(), _flat(entries), redelivered)
        ]

    async def take_over(self) -> Sequence[CommandEntry]:
        """What other consumers read and left for too long, now ours."""
        taken: list[CommandEntry] = []
        for stream in self._streams:
            reply = await self._call(
                self._redis.xautoclaim,
                stream,
                self._connector,
                self._consumer,
                self._take_over_after_ms,
                count=BATCH,
            )
            taken += self._entries(stream, reply[1], redelivered=True)
        return taken

    def _entries(
        self, stream: str, entries: Iterable[Any], redelivered: bool
    ) -> list[CommandEntry]:
        name = self._streams[stream]
        return [
            # Only an entry that was deleted while it was pending has no fields.
            CommandEntry(
                name,
                entry_id.decode(),
                (fields or {}).get(b"data", b""),
                redelivered,
                deleted=not fields,
                operator=self._operator,
            )
            for entry_id, fields in entries
        ]

    async def claim(self, record: Record) -> Claim:
        """Take the record's client order id for this record, where nobody has it.

        One transaction: a FLUSHALL between two of its commands would leave a record that the book
        of record doesn't name, or hide that Redis lost data.
        """
        key = order_key(self._connector, record.client_order_id)
        moment = record.entry_id.partition("-")[0]
        *_, done = await self._call(
            self._ask_all,
            ("MULTI",),
            ("ZADD", unanswered_key(self._connector), "NX", moment, record.client_order_id),
            ("SET", key, dump(record), "NX", "GET"),
            ("GET", self._data_loss_key),
            ("TIME",),
            ("EXEC",),
        )
        for reply in done or ():
            if isinstance(reply, RedisError):
                raise self._connection_failed(reply) from reply
        _, found, saved, (seconds, micro) = done or (None, None, None, (0, 0))
        if saved != self._saved_data_loss:
            # A claim that was made all the same does no harm: it is resolved, not sent.
            raise self._connection_failed(
                ConnectionError("it isn't what this connection remembers")
            )
        claim = Claim(None if found is None else load(found), _milliseconds(seconds, micro))
        self._counts.claimed(record, claim, monotonic() - self._read_at)
        return claim

    async def _ask_all(self, *commands: Command) -> list[Any]:
        await self._redis.initialize()  # the one connection, if it isn't there yet
        return await ask_all(self._redis.connection, *commands)

    async def _call(self, method: Any, *args: Any, **options: Any) -> Any:
        try:
            return await method(*args, **options)
        except (RedisError, OSError, TimeoutError) as e:
            raise self._connection_failed(e) from e

    def _connection_failed(self, error: Exception) -> TransientError:
        self._identity = None  # the next connection may lead elsewhere
        self._on_state(explain(error))
        return TransientError(explain(error))


def _milliseconds(seconds: int | bytes, micro: int | bytes) -> int:
    """The reply to TIME."""
    return int(seconds) * 1000 + int(micro) // 1000


def _flat(entries: Any) -> Any:
    """redis-py wraps the entries of one stream once more in some of its reply forms."""
    return entries[0] if entries and isinstance(entries[0], list) else entries
