"""Reads many streams from where it stopped last time, and says so when entries got away.

One connection, one XREAD over all streams, blocking. A position is the last entry handed over
and how many entries its stream had been given by then. Redis counts the entries ever added to
a stream, so comparing the two counts tells exactly how many were trimmed before they were
read, whenever that happened.
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

# Entries of one stream in one reply.
READ_COUNT = 500
# After a reply that didn't come, or was too large, so many times fewer.
COUNT_REDUCTION = 8
# How often the streams are looked at for entries that got away, in seconds.
CHECK_INTERVAL = 1.0
SAVE_INTERVAL = 1.0
# A stop waits this long for the last save.
LAST_SAVE_TIMEOUT = 1.0
MAX_RETRY_WAIT = 2.0
GAP_REASONS = ("trimmed", "restarted")


@dataclass(frozen=True, slots=True)
class Batch:
    """New entries of one stream in order: `(entry id, bytes of the field "data")`.

    A missing field reads as `b""`. `age` is how many seconds ago, by Redis's clock, the last of
    them was written where that was before the reader connected; else 0.
    """

    stream: str
    entries: list[tuple[str, bytes]]
    age: float


class StreamReader:
    """Hands over what arrives on *streams*, and keeps its positions in the hash *saved_in*.

    Every entry is handed over at least once: positions are saved after the entries are
    handled, every second and at the stop. Without *saves* that is left to who handles them, who
    can write `positions` in one transaction with what came of the entries: between two awaits the
    two are always of the same moment.
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
        # For each stream, an id ahead of us and how many entries had been added up to it.
        self._milestones: dict[str, tuple[EntryId, int]] = {}
        self._last_at_connect: dict[str, EntryId] = {}
        self._time_at_connect = 0.0  # Redis's, in seconds
        self._connected_at = 0.0  # the loop's
        # For each stream, a time by Redis's clock before which nothing unread was written.
        self._unread_since: dict[str, float] = {}
        # For the metrics.
        self._read_count = dict.fromkeys(self._streams, 0)
        self._lost_count = dict.fromkeys(self._streams, 0)
        self._gap_count = Counter({(s, reason): 0 for s in self._streams for reason in GAP_REASONS})
        self._connections = 0

    async def run(self, handle: Callable[[Batch], None]) -> None:
        """Read until cancelled; *handle* gets each batch, and must not take long."""
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
                    if len(entries) == asked:  # catching up: let others run too
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
        """How old an entry is that lay there before we came; by Redis's clock, as its id is."""
        if parse_entry_id(last) > self._last_at_connect[stream]:
            return 0.0
        return max(0.0, self.redis_time() - entry_milliseconds(last) / 1000)

    def _count_up_to_last(self, stream: str, ids: list[str]) -> int | None:
        """How many entries the stream had been given up to the last of *ids*.

        Passing a milestone shows whether entries vanished on the way there.
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

    # --- looking for entries that got away

    async def _record_initial_state(self, connection: Any) -> None:
        """Find the places to start from, and remember what lay there before we came."""
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
        """Nothing is left to read, so our count must be the stream's."""
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

    # --- what can be said of it

    def redis_time(self) -> float:
        """Redis's clock, in seconds, as it went on since the reader connected."""
        elapsed = asyncio.get_running_loop().time() - self._connected_at
        return self._time_at_connect + elapsed

    @property
    def lag(self) -> float | None:
        """How long what is to be read next may have waited, in seconds; None before it reads."""
        if not self._time_at_connect:
            return None
        return max(map(self._lag, self._streams), default=0.0)

    def _lag(self, stream: str) -> float:
        """How long what is to be read next may have waited, in seconds; 0 where nothing is.

        Looked at once a second: an entry that came since then isn't known of yet.
        """
        if stream not in self._milestones:
            return 0.0
        last = entry_milliseconds(self.positions[stream].id) / 1000
        return max(0.0, self.redis_time() - max(last, self._unread_since.get(stream, 0.0)))

    def metrics(self) -> Iterator[Metric]:
        """What was read, what got away before it was read, and how far behind it is."""
        yield counters("stream_entries_read", "Entries handed over.", ["stream"], self._read_count)
        yield counters(
            "stream_entries_lost",
            "Entries that were trimmed before they were read, as far as they can be counted.",
            ["stream"],
            self._lost_count,
        )
        yield counters(
            "stream_gaps",
            "How often entries got away: trimmed, or all of them as Redis restarted without them.",
            ["stream", "reason"],
            self._gap_count,
        )
        yield gauges(
            "stream_lag_seconds",
            "How long what is to be read next may have waited in Redis; 0 where nothing waits.",
            ["stream"],
            {stream: self._lag(stream) for stream in self._streams},
        )
        yield CounterMetricFamily(
            "redis_connections",
            "How often the reader of the streams was connected to Redis.",
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
                    want="an entry id, e.g. 1700000000000-0",
                )
        self._loaded = True
        self._saved = dict(self.positions)
        if self.positions:
            log.info("reading_from_saved", streams=list(self.positions), key=self._saved_in)

    async def save(self) -> None:
        """Write the positions that changed.

        Raises:
            RedisError | OSError: Redis didn't take them.
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
    """Wait for Redis; what goes wrong there may pass."""
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
