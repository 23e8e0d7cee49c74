"""Writes market data to Redis: many small XADDs, sent once per event-loop pass.

A producer calls `OutStream.add(bytes)`: no await, no task, no lock. While Redis answers, entries
are sent at once. Otherwise they wait in a bounded buffer:

* `keep_all` streams (trades) wait in order; if the buffer is full, the oldest entries of the
  stream with the most waiting entries are dropped and counted;
* other streams (tickers, books) keep only their latest entry.

No entry is written twice. An entry whose reply was lost may or may not have been written. So after
every reconnect the writer first kills the old connection (a paused server would still read the
bytes in its socket), then reads the stream after the last entry known to be written, and sends
only the missing entries again.

The comparison requires a single writer per stream. Entries keep their order, with one exception: a
server that is full for a moment may refuse an entry and accept later ones that are already sent;
the refused entry then follows them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import hiredis
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._runtime.entry_ids import parse_entry_id
from services._runtime.redis_client import explain
from services._runtime.redis_commands import ask
from services._runtime.stream_writer.buffer_eviction import evict, log_dropped
from services._runtime.stream_writer.write_recovery import (
    NO_ID,
    entries_after,
    newest_id,
    server_run,
    unwritten,
)
from services._runtime.supervise import Retry, TransientError, full_jitter, keep_alive

log = structlog.get_logger()

# Commands sent and not yet answered; beyond this, entries wait in the buffer and quotes conflate.
MAX_IN_FLIGHT = 20_000
RESUME_IN_FLIGHT = MAX_IN_FLIGHT // 4
WRITE_BUFFER_BYTES = 4 << 20
# Full of trades (about 470,000) it takes about 95 MB of memory.
BUFFER_BYTES = 64 << 20
SLACK_SHARE = 1024
# In seconds: without an answer for this long, the connection counts as lost.
REPLY_TIMEOUT = 5.0
MAX_RETRY_WAIT = 2.0
# In seconds: how long a stop waits for buffered entries to be written.
DRAIN_TIMEOUT = 1.0

# Joining prepared pieces once per pass costs half as much as formatting each command.
CACHED_LENGTHS = 4096
_LENGTHS = [b"$%d\r\n" % size for size in range(CACHED_LENGTHS)]

# Errors about one entry or one key; all others are about the server, and may pass.
_ENTRY_ERRORS = frozenset({"ERR", "NOPERM", "WRONGTYPE"})
_ReplyError = hiredis.ReplyError


class OutStream:
    """One stream that a `StreamWriter` appends to."""

    __slots__ = (
        "_prefix",
        "_writer",
        "conflated",
        "dropped",
        "dropped_logged",
        "keep_all",
        "last_id",
        "maxlen",
        "name",
        "refused",
        "unacked",
        "waiting",
    )

    def __init__(self, writer: "StreamWriter", name: str, maxlen: int, *, keep_all: bool) -> None:
        self.name = name
        self.maxlen = maxlen
        self.keep_all = keep_all
        self.waiting: deque[bytes] = deque()
        self.unacked: deque[bytes] = deque()  # sent and not yet answered
        self.last_id = NO_ID  # of the last entry known to be written
        self.dropped = self.dropped_logged = self.conflated = self.refused = 0
        self._writer = writer
        # XADD name MAXLEN ~ n * data, without the value.
        command = ("XADD", name, "MAXLEN", "~", str(maxlen), "*", "data", "")
        packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
        self._prefix = packed.removesuffix(b"$0\r\n\r\n")

    def add(self, data: bytes) -> None:
        """Append `data` as the entry's one field."""
        writer = self._writer
        if writer.open:
            writer.send(self, self._prefix, data)
        elif self.keep_all:
            self.waiting.append(data)
            writer.waiting_bytes += len(data)
            if writer.waiting_bytes > writer.buffer_bytes:
                writer.evict()
        else:
            if self.waiting:
                self.conflated += 1
                writer.waiting_bytes -= len(self.waiting.pop())
            self.waiting.append(data)
            writer.waiting_bytes += len(data)

    def send_waiting(self) -> None:
        """Send waiting entries until the writer is full."""
        writer, prefix, waiting = self._writer, self._prefix, self.waiting
        while waiting and writer.open:
            data = waiting.popleft()
            writer.waiting_bytes -= len(data)
            writer.send(self, prefix, data)


class StreamWriter(asyncio.Protocol):
    """Appends to streams on one connection of its own, and keeps that connection alive."""

    def __init__(
        self,
        redis: Redis,
        *,
        before_writing: Callable[[], Awaitable[None]] | None = None,
        on_up: Callable[[], None] | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        reply_timeout: float = REPLY_TIMEOUT,
    ) -> None:
        self.open = False  # connected, and not waiting for the socket or for replies
        self.waiting_bytes = 0
        self.buffer_bytes = buffer_bytes
        self.streams: dict[str, OutStream] = {}
        self.written = self.bytes_sent = self.connections = 0
        self._redis = redis
        self._before_writing = before_writing
        self._on_up = on_up
        self._on_retry = on_retry
        self._reply_timeout = reply_timeout
        # The streams of the entries sent, in order; the entries are in `OutStream.unacked`.
        # Tuples of both would be thousands of objects for the garbage collector to track.
        self._in_flight: deque[OutStream] = deque()
        self._out: list[bytes] = []
        self._scheduled = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._paused = False
        self._last_reply = 0.0
        self._last_connection: tuple[bytes, int] | None = None  # server run id, client id

    def stream(self, name: str, maxlen: int, *, keep_all: bool) -> OutStream:
        """The stream *name*, trimmed to about *maxlen* entries."""
        return self.streams.setdefault(name, OutStream(self, name, maxlen, keep_all=keep_all))

    @property
    def idle(self) -> bool:
        """True when everything added was written and answered."""
        unacked = any(stream.unacked for stream in self.streams.values())
        return not (unacked or self.waiting_bytes)

    @property
    def dropped(self) -> int:
        """Entries lost because the buffer was full."""
        return sum(stream.dropped for stream in self.streams.values())

    # --- the hot path

    def send(self, stream: OutStream, prefix: bytes, data: bytes) -> None:
        """Add one XADD to the write of this pass. Only for `OutStream`."""
        size = len(data)
        length = _LENGTHS[size] if size < CACHED_LENGTHS else b"$%d\r\n" % size
        self._out += (prefix, length, data, b"\r\n")
        stream.unacked.append(data)
        in_flight = self._in_flight
        in_flight.append(stream)
        if not self._scheduled:
            self._scheduled = True
            if len(in_flight) == 1:
                self._last_reply = self._loop.time()
            self._loop.call_soon(self._flush)
        if len(in_flight) >= MAX_IN_FLIGHT:
            self.open = False

    def _flush(self) -> None:
        self._scheduled = False
        if self._out and self._transport is not None:
            data = b"".join(self._out)
            self.bytes_sent += len(data)
            self._transport.write(data)
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        """Match replies to sent commands: Redis answers in order."""
        if self._lost.done():
            return
        reader, in_flight = self._reader, self._in_flight
        reader.feed(data)
        gets = reader.gets
        written = 0
        while (reply := gets()) is not False:
            stream = in_flight[0]
            if reply.__class__ is not _ReplyError:
                stream.last_id = reply
                written += 1
            elif not self._entry_refused(stream, str(reply)):
                break
            in_flight.popleft()
            stream.unacked.popleft()
        self.written += written
        self._last_reply = self._loop.time()
        if not self.open:
            self._reopen()

    # --- backpressure

    def evict(self) -> None:
        """The buffer is full: drop waiting entries."""
        # Drop slightly more than needed, so that the next entries need no eviction.
        bytes_needed = self.waiting_bytes - self.buffer_bytes + self.buffer_bytes // SLACK_SHARE
        self.waiting_bytes -= evict(self.streams.values(), bytes_needed)

    def pause_writing(self) -> None:
        """The socket is full (called by the transport)."""
        self._paused = True
        self.open = False

    def resume_writing(self) -> None:
        """The socket accepts data again (called by the transport)."""
        self._paused = False
        self._reopen()

    def _reopen(self) -> None:
        if self._lost.done() or self._paused or len(self._in_flight) > RESUME_IN_FLIGHT:
            return
        self.open = True
        if self.waiting_bytes:
            for stream in self.streams.values():
                stream.send_waiting()

    def _entry_refused(self, stream: OutStream, error: str) -> bool:
        """True if the error is about this entry; an error of the server ends the connection."""
        if error.split(" ", 1)[0] in _ENTRY_ERRORS:
            stream.refused += 1
            if stream.refused == 1:
                log.error("entry_refused", stream=stream.name, error=error)
            return True
        # Full, read-only, loading: it may pass. Later commands in the pipeline may be refused or
        # written, so they are recovered as after a lost connection.
        self._fail(TransientError(f"Redis answered with an error: {error}"))
        return False

    def _requeue(self, stream: OutStream, entries: list[bytes]) -> None:
        """Put *entries* back before the waiting ones; drop a quote if a newer one waits."""
        if entries and stream.waiting and not stream.keep_all:
            stream.conflated += 1
            return
        stream.waiting.extendleft(reversed(entries))
        self.waiting_bytes += sum(map(len, entries))

    # --- the connection

    async def run(self) -> None:
        """Keep the connection alive until cancelled; then write the buffered entries."""
        try:
            await keep_alive(
                self._session,
                name="redis_writer",
                waits=lambda: full_jitter(longest=MAX_RETRY_WAIT),
                on_retry=self._on_retry,
            )
        finally:
            if not self.idle:
                streams = self.streams.values()
                log.warning(
                    "entries_left_unwritten",
                    unanswered=sum(len(stream.unacked) for stream in streams),
                    waiting=sum(len(stream.waiting) for stream in streams),
                )

    async def _session(self) -> None:
        connection = cast(Any, self._redis.connection_pool).make_connection()
        try:
            try:
                await connection.connect()
                await self._recover_writes(connection)
                if self._before_writing:
                    await self._before_writing()
            except (RedisError, OSError, TimeoutError) as e:
                raise TransientError(explain(e)) from e
            await self._write_until_lost(connection)
        finally:
            await connection.disconnect(nowait=True)

    async def _write_until_lost(self, connection: Any) -> None:
        # redis-py has connected, authenticated and selected the database. From here on the writer
        # uses the transport directly: redis-py costs several times as much per command.
        transport = connection._writer.transport  # noqa: SLF001
        if transport.is_closing() or connection._reader.at_eof():  # noqa: SLF001
            raise TransientError("Redis closed the connection")  # no callback would follow
        self._reader = hiredis.Reader()
        self._lost = self._loop.create_future()
        self._transport = transport
        self._paused = False
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        transport.set_protocol(self)
        try:
            if self._on_up:
                self._on_up()
            self.connections += 1
            log.info("redis_writer_connected", waiting_bytes=self.waiting_bytes)
            log_dropped(self.streams.values())
            self._reopen()
            await self._watch_replies()
        except asyncio.CancelledError:
            await self._drain()
            raise
        finally:
            self._close(transport)

    async def _watch_replies(self) -> None:
        """Wait until the connection is lost, or a reply is overdue; raise the cause."""
        while not self._lost.done():
            await asyncio.wait([self._lost], timeout=self._reply_timeout / 5)
            silent = self._loop.time() - self._last_reply
            if self._in_flight and silent > self._reply_timeout:
                self._fail(TransientError(f"Redis left commands unanswered for {silent:.1f} s"))
        self._lost.result()

    async def _drain(self) -> None:
        self._flush()
        deadline = self._loop.time() + DRAIN_TIMEOUT
        while not (self.idle or self._lost.done() or self._loop.time() > deadline):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed (called by the transport)."""
        self._fail(TransientError(f"Redis closed the connection: {exc or 'end of stream'}"))

    def _fail(self, error: TransientError) -> None:
        self.open = False
        if not self._lost.done():
            self._lost.set_exception(error)

    def _close(self, transport: asyncio.Transport) -> None:
        """Discard the connection; unanswered entries are recovered on the next one."""
        self.open = False
        self._transport = None
        transport.set_protocol(asyncio.Protocol())  # late data must not reach the next session
        transport.abort()
        self._out.clear()
        self._in_flight.clear()
        if not self._lost.cancel():
            self._lost.exception()  # retrieved, so that asyncio does not report it

    async def _recover_writes(self, connection: Any) -> None:
        """Find out which entries sent on the last connection were written; requeue the others."""
        run = await server_run(connection)
        last_run, last_client = self._last_connection or (run, 0)
        if last_client and last_run == run:
            # The server may still read bytes from the socket of the old connection.
            await ask(connection, "CLIENT", "KILL", "ID", last_client)
        for stream in self.streams.values():
            if last_run != run and stream.last_id != NO_ID:
                await self._detect_lost_entries(connection, stream)
            if stream.unacked:
                await self._recover_stream(connection, stream)
        self._last_connection = (run, int(await ask(connection, "CLIENT", "ID")))

    async def _detect_lost_entries(self, connection: Any, stream: OutStream) -> None:
        # With `appendfsync everysec`, a killed Redis loses the last writes that it acknowledged.
        newest = await newest_id(connection, stream.name)
        if parse_entry_id(newest) < parse_entry_id(stream.last_id):
            log.error(
                "redis_lost_entries",
                stream=stream.name,
                answered_up_to=stream.last_id.decode(),
                holds_up_to=newest.decode(),
            )
            stream.last_id = newest

    async def _recover_stream(self, connection: Any, stream: OutStream) -> None:
        # Of quotes, only the newest is checked and sent again.
        sent = list(stream.unacked) if stream.keep_all else [stream.unacked[-1]]
        count = MAX_IN_FLIGHT if stream.keep_all else 1
        found, stream.last_id = await entries_after(connection, stream.name, stream.last_id, count)
        missing = unwritten(sent, found, stream.maxlen)
        self.written += len(sent) - len(missing)
        stream.unacked.clear()
        self._requeue(stream, missing)
