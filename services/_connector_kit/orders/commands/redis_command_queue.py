"""Reads and claims the commands of one connector's streams on one dedicated connection."""

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
# More than can execute at once, so that a read returns entries that no task handles.
PENDING_BATCH = 200
# Bytes that one read of pending entries returns: a command may be as large as Redis allows.
PENDING_BYTES = 16 << 20
# Longer than any handling: a request's validity, the margin after it, and the time of misses.
TAKE_OVER_AFTER_MS = 60_000
LEASE_MS = 10_000


class RedisCommandQueue:
    """Implements `CommandQueue` in Redis.

    *redis* must use a single connection: an entry must be claimed on the connection that delivered
    it, so that the claim can't reach a Redis that has lost data since. *on_state* gets the error of
    a failed call, None once Redis works. *operator*: reads the operator's streams.
    """

    def __init__(  # noqa: PLR0913 - the parts that it uses
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
        """Return the identity and the time of the connected Redis."""
        if self._identity is None:
            self._identity = await self._call(server_identity, self._redis)
        seconds, micro = await self._call(self._redis.time)
        return RedisIdentity(self._identity, _milliseconds(seconds, micro))

    async def prepare(self) -> bool:
        """Create the consumer groups that are missing; True if one was missing."""
        made = False
        for stream in self._streams:
            try:
                # With entries_read Redis can count entries that are deleted before they are read.
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
        """Return the stored data-loss record, None if there is none; WATCH it from now on."""
        key = self._data_loss_key
        _, found = await self._call(self._ask_all, ("WATCH", key), ("GET", key))
        return None if found is None else msgspec.json.decode(found, type=DataLossRecord)

    async def save_data_loss(self, record: DataLossRecord) -> None:
        """Store the data-loss record.

        Raises:
            TransientError: also if the record was lost or changed since `load_data_loss`: writing
                it would hide that.
        """
        self._saved_data_loss = msgspec.json.encode(record)
        write = ("SET", self._data_loss_key, self._saved_data_loss)
        *_, done = await self._call(self._ask_all, ("MULTI",), write, ("EXEC",))
        if done is None:
            raise self._connection_failed(ConnectionError("its data-loss record has just changed"))

    @property
    def _data_loss_key(self) -> str:
        return redis_key(self._connector)

    async def newest_entry(self) -> int:
        """The time of the newest command in Redis milliseconds; 0 if there is none."""
        newest = 0
        for stream in self._streams:
            entries = await self._call(self._redis.xrevrange, stream, count=1)
            if entries:
                newest = max(newest, int(entries[0][0].partition(b"-")[0]))
        return newest

    async def hold_lease(self) -> bool:
        """Take or renew the lease of the active instance; False while another instance has it."""
        key = lease_key(self._connector)
        if await self._call(self._redis.set, key, self._consumer, nx=True, px=self._lease_ms):
            return True
        if await self._call(self._redis.get, key) != self._consumer.encode():
            return False
        await self._call(self._redis.pexpire, key, self._lease_ms)
        return True

    async def own_pending(self) -> Sequence[CommandEntry]:
        """The entries that this consumer read and has not acknowledged, oldest first."""
        return [entry for stream in self._streams for entry in await self._left_in(stream)]

    async def _left_in(self, stream: str) -> list[CommandEntry]:
        """Read pending entries page by page, up to `PENDING_BATCH` or `PENDING_BYTES`."""
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
        """Read entries that no consumer has read; *wait* blocks up to `BLOCK_MS` for the first."""
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
        """Take over entries that other consumers have left pending for too long."""
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
        """Claim the record's client order id for this record, if it is free.

        The claim is one transaction: a FLUSHALL between two of its commands would leave a record
        that the book of record does not list, or hide that Redis lost data.
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
            # If the claim was made it does no harm: it is resolved, not sent.
            raise self._connection_failed(
                ConnectionError("its data-loss record isn't the saved one")
            )
        claim = Claim(None if found is None else load(found), _milliseconds(seconds, micro))
        self._counts.claimed(record, claim, monotonic() - self._read_at)
        return claim

    async def _ask_all(self, *commands: Command) -> list[Any]:
        await self._redis.initialize()  # opens the connection if necessary
        return await ask_all(self._redis.connection, *commands)

    async def _call(self, method: Any, *args: Any, **options: Any) -> Any:
        try:
            return await method(*args, **options)
        except (RedisError, OSError, TimeoutError) as e:
            raise self._connection_failed(e) from e

    def _connection_failed(self, error: Exception) -> TransientError:
        self._identity = None  # the next connection may reach another server
        self._on_state(explain(error))
        return TransientError(explain(error))


def _milliseconds(seconds: int | bytes, micro: int | bytes) -> int:
    """The reply to TIME in milliseconds."""
    return int(seconds) * 1000 + int(micro) // 1000


def _flat(entries: Any) -> Any:
    """Unwrap the entries of one stream: some replies of redis-py nest them once more."""
    return entries[0] if entries and isinstance(entries[0], list) else entries
