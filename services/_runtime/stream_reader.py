"""Reads many streams from the saved positions, and reports entries that were lost before that.

One connection, one blocking XREAD over all streams. A position is the last entry passed to the
handler and the number of entries added to its stream up to then. Redis counts the entries ever
added to a stream, so the difference of the two counts is exactly the number of entries that were
trimmed before they were read.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services._runtime.entry_ids import START, EntryId, entry_milliseconds, parse_entry_id
from services._runtime.metrics import counters, gauges
from services._runtime.redis_client import BLOCK_MS, explain
from services._runtime.stream_position import (
    NO_STREAM,
    StreamGap,
    StreamPosition,
    StreamState,
    entry_data,
    resume_from,
)
from services._runtime.supervise import FailureLog, Retry, TransientError, full_jitter, keep_alive

log = structlog.get_logger()

# The maximum number of entries of one stream in one reply.
READ_COUNT = 500
# The factor by which fewer entries are requested after a reply that failed or was too large.
COUNT_REDUCTION = 8
# Seconds between two checks for lost entries.
CHECK_INTERVAL = 1.0
SAVE_INTERVAL = 1.0
# In seconds: how long a stop waits for the last save.
LAST_SAVE_TIMEOUT = 1.0
MAX_RETRY_WAIT = 2.0
GAP_REASONS = ("trimmed", "restarted")


@dataclass(frozen=True, slots=True)
class Batch:
    """New entries of one stream in order: `(entry id, bytes of the field "data")`.

    A missing field reads as `b""`. `age`: the age of the last entry in seconds, by Redis's clock,
    if it was written before the reader connected; else 0.
    """

    stream: str
    entries: list[tuple[str, bytes]]
    age: float


class StreamReader:
    """Passes new entries of *streams* to a handler, and saves positions in the hash *saved_in*.

    Every entry is passed at least once: positions are saved after the entries are handled, every
    second and at the stop. Without *saves* the handler saves `positions`, e.g. in one transaction
    with its own results: between two awaits, `positions` matches the entries handled.
    """

    def __init__(
        self,
        redis: Redis,
        streams: Iterable[str],
        saved_in: str,
        *,
        on_up: Callable[[], None] | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        on_gap: Callable[[StreamGap], None] | None = None,
        count: int = READ_COUNT,
        saves: bool = True,
    ) -> None:
        self.positions: dict[str, StreamPosition] = {}
        self._redis = redis
        self._streams = tuple(streams)
        self._saved_in = saved_in
        self._on_up = on_up
        self._on_retry = on_retry
        self._on_gap = on_gap
        self._count = self._current_count = count
        self._saves = saves
        self._loaded = False
        self._saved: dict[str, StreamPosition] = {}
        # For each stream, an id ahead of the position, and the number of entries added up to it.
        self._milestones: dict[str, tuple[EntryId, int]] = {}
        self._last_at_connect: dict[str, EntryId] = {}
        self._time_at_connect = 0.0  # Redis's, in seconds
        self._connected_at = 0.0  # the loop's
        # For each stream, a time by Redis's clock: unread entries are not older.
        self._unread_since: dict[str, float] = {}
        # For the metrics.
        self._read_count = dict.fromkeys(self._streams, 0)
        self._lost_count = dict.fromkeys(self._streams, 0)
        self._gap_count = Counter({(s, reason): 0 for s in self._streams for reason in GAP_REASONS})
        self._connections = 0

    async def run(self, handle: Callable[[Batch], None]) -> None:
        """Read until cancelled; *handle* receives each batch, and must return quickly."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    keep_alive(
                        lambda: self._session(handle),
                        name="stream_reader",
                        waits=lambda: full_jitter(longest=MAX_RETRY_WAIT),
                        on_retry=self._on_retry,
                    )
                )
                if self._saves:
                    tasks.create_task(self._save_periodically())
        finally:
            if self._saves:
                await self._save_last()

    # --- reading

    async def _session(self, handle: Callable[[Batch], None]) -> None:
        loop = asyncio.get_running_loop()
        connection = cast(Any, self._redis.connection_pool).make_connection()
        try:
            await _transient_errors(connection.connect())
            self._connections += 1
            await self._load(connection)
            await self._record_initial_state(connection)
            checked_at = loop.time()
            if self._on_up:
                self._on_up()
            while True:
                if loop.time() - checked_at >= CHECK_INTERVAL:
                    await self._check(connection)
                    checked_at = loop.time()
                asked = self._current_count
                for name, entries in await self._read(connection):
                    self._hand_over(name.decode(), entries, handle)
                    if len(entries) == asked:  # catching up: let other tasks run
                        await asyncio.sleep(0)
        finally:
            await connection.disconnect(nowait=True)

    async def _read(self, connection: Any) -> list[Any]:
        ids = [self.positions[stream].id for stream in self._streams]
        command = ("XREAD", "COUNT", self._current_count, "BLOCK", BLOCK_MS, "STREAMS")
        try:
            reply = await _ask(connection, *command, *self._streams, *ids)
        except TransientError:
            self._current_count = max(
                1, self._current_count // COUNT_REDUCTION
            )  # perhaps it was too large
            raise
        self._current_count = min(self._count, self._current_count * 2)
        return reply or []

    def _hand_over(self, stream: str, raw: list[Any], handle: Callable[[Batch], None]) -> None:
        entries = [(raw_id.decode(), entry_data(fields)) for raw_id, fields in raw]
        last = entries[-1][0]
        handle(Batch(stream, entries, self._age(stream, last)))
        count = self._count_up_to_last(stream, [identifier for identifier, _ in entries])
        self.positions[stream] = StreamPosition(last, count)
        self._read_count[stream] += len(entries)

    def _age(self, stream: str, last: str) -> float:
        """The age in seconds of an entry written before this reader connected; else 0."""
        if parse_entry_id(last) > self._last_at_connect[stream]:
            return 0.0
        return max(0.0, self.redis_time() - entry_milliseconds(last) / 1000)

    def _count_up_to_last(self, stream: str, ids: list[str]) -> int | None:
        """How many entries were added to the stream up to the last of *ids*; None: unknown.

        At a milestone the true count is known, which reveals entries lost before it.
        """
        position = self.positions[stream]
        count = None if position.count is None else position.count + len(ids)
        milestone = self._milestones.get(stream)
        if milestone is None or parse_entry_id(ids[-1]) < milestone[0]:
            return count
        del self._milestones[stream]
        beyond = sum(parse_entry_id(identifier) > milestone[0] for identifier in ids)
        true_count = milestone[1] + beyond
        if count is not None and true_count > count:
            self._report(StreamGap(stream, "trimmed", position.id, ids[0], true_count - count))
        return true_count

    # --- detection of lost entries

    async def _record_initial_state(self, connection: Any) -> None:
        """Choose the positions to start from, and record the state of the streams at connect."""
        seconds, microseconds = await _ask(connection, "TIME")
        self._time_at_connect = int(seconds) + int(microseconds) / 1e6
        self._connected_at = asyncio.get_running_loop().time()
        self._milestones.clear()
        states = await self._check(connection)
        self._last_at_connect = {
            stream: parse_entry_id(state.last) for stream, state in states.items()
        }

    async def _check(self, connection: Any) -> Mapping[str, StreamState]:
        states = await _states(connection, self._streams)
        started = [stream for stream in self._streams if stream not in self.positions]
        for stream, state in states.items():
            position, gap = resume_from(stream, self.positions.get(stream), state)
            self.positions[stream] = position
            if gap is not None:
                self._milestones.pop(stream, None)
                self._report(gap)
            if parse_entry_id(position.id) < parse_entry_id(state.last):
                self._milestones.setdefault(stream, (parse_entry_id(state.last), state.added))
                first = entry_milliseconds(state.first or START) / 1000
                self._unread_since[stream] = max(self._unread_since.get(stream, 0.0), first)
            else:
                self._set_count_at_end(stream, state)
        if started:
            log.info("reading_from_newest", streams=started, reason="no saved position")
        return states

    def _set_count_at_end(self, stream: str, state: StreamState) -> None:
        """All entries are read, so the position's count must equal the stream's."""
        position = self.positions[stream]
        self._milestones.pop(stream, None)
        self._unread_since[stream] = self.redis_time()
        self.positions[stream] = replace(position, count=state.added)
        if position.count is not None and state.added > position.count:
            lost = state.added - position.count
            self._report(StreamGap(stream, "trimmed", position.id, state.first, lost))

    def _report(self, gap: StreamGap) -> None:
        log.warning(
            "stream_gap",
            stream=gap.stream,
            reason=gap.reason,
            after=gap.after,
            first=gap.first,
            lost=gap.lost,
        )
        self._gap_count[gap.stream, gap.reason] += 1
        self._lost_count[gap.stream] += gap.lost or 0
        if self._on_gap:
            self._on_gap(gap)

    # --- state and metrics

    def redis_time(self) -> float:
        """Redis's clock in Unix seconds: its time at connect plus the time elapsed since."""
        elapsed = asyncio.get_running_loop().time() - self._connected_at
        return self._time_at_connect + elapsed

    @property
    def lag(self) -> float | None:
        """The maximum age in seconds of unread entries; None before the first connection."""
        if not self._time_at_connect:
            return None
        return max(map(self._lag, self._streams), default=0.0)

    def _lag(self, stream: str) -> float:
        """The maximum age in seconds of unread entries of *stream*; 0 if all are read.

        Updated once a second: later entries are not included yet.
        """
        if stream not in self._milestones:
            return 0.0
        last = entry_milliseconds(self.positions[stream].id) / 1000
        return max(0.0, self.redis_time() - max(last, self._unread_since.get(stream, 0.0)))

    def metrics(self) -> Iterator[Metric]:
        """Entries read, entries lost, gaps and lag, for Prometheus."""
        yield counters(
            "stream_entries_read", "Entries passed to the handler.", ["stream"], self._read_count
        )
        yield counters(
            "stream_entries_lost",
            "Entries trimmed before they were read, if their number is known.",
            ["stream"],
            self._lost_count,
        )
        yield counters(
            "stream_gaps",
            "How often entries were lost: trimmed, or all of them by a restart of Redis.",
            ["stream", "reason"],
            self._gap_count,
        )
        yield gauges(
            "stream_lag_seconds",
            "Maximum age of unread entries in Redis; 0 if all are read.",
            ["stream"],
            {stream: self._lag(stream) for stream in self._streams},
        )
        yield CounterMetricFamily(
            "redis_connections",
            "How often the stream reader connected to Redis.",
            value=self._connections,
        )

    # --- positions

    async def _load(self, connection: Any) -> None:
        if self._loaded:
            return
        flat = await _ask(connection, "HGETALL", self._saved_in)
        saved = {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True)}
        for stream in self._streams:
            if stream not in saved:
                continue
            try:
                self.positions[stream] = StreamPosition.parse(saved[stream])
            except ValueError:
                log.warning(
                    "saved_position_unreadable",
                    key=self._saved_in,
                    stream=stream,
                    value=saved[stream][:50],
                    expected="an entry id, e.g. 1700000000000-0",
                )
        self._loaded = True
        self._saved = dict(self.positions)
        if self.positions:
            log.info("reading_from_saved", streams=list(self.positions), key=self._saved_in)

    async def save(self) -> None:
        """Save the positions that changed.

        Raises:
            RedisError, OSError: Redis did not save them.
        """
        positions = dict(self.positions)
        changed = {s: str(p) for s, p in positions.items() if self._saved.get(s) != p}
        if changed:
            await cast(Any, self._redis).hset(self._saved_in, mapping=changed)
            self._saved = positions

    async def _save_periodically(self) -> None:
        failures = FailureLog("positions_not_saved", key=self._saved_in)
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            try:
                await self.save()
            except (RedisError, OSError) as e:
                failures.seen(TransientError(explain(e)))
            else:
                failures.over()

    async def _save_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_SAVE_TIMEOUT):
                await self.save()
        except (RedisError, OSError) as e:  # a TimeoutError is an OSError
            log.warning("positions_not_saved", key=self._saved_in, error=explain(e))


async def _transient_errors(waiting: Any) -> Any:
    """Await a reply of Redis; its errors become `TransientError`."""
    try:
        return await waiting
    except (RedisError, OSError) as e:
        raise TransientError(explain(e)) from e


async def _ask(connection: Any, *command: str | int) -> Any:
    await _transient_errors(connection.send_command(*command))
    return await _transient_errors(connection.read_response())


async def _states(connection: Any, streams: tuple[str, ...]) -> dict[str, StreamState]:
    commands = connection.pack_commands([("XINFO", "STREAM", stream) for stream in streams])
    await _transient_errors(connection.send_packed_command(commands))
    return {stream: await _state(connection, stream) for stream in streams}


async def _state(connection: Any, stream: str) -> StreamState:
    try:
        flat = await connection.read_response()
    except ResponseError as e:
        if "no such key" in str(e):
            return NO_STREAM
        raise TransientError(f"{stream}: {explain(e)}") from e
    except (RedisError, OSError) as e:
        raise TransientError(explain(e)) from e
    return StreamState.parse(flat)
