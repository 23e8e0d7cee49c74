"""Reads market streams from Redis, and saves values, state and position in one transaction.

A market's position, state and values are written in one MULTI, which is executed only if the saved
position is still the one that was read. So each value is published once, after kills and retries,
and even if two hosts run by mistake.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from common_models import IndicatorProgress
from common_models.stream_names import INDICATOR_PROGRESS, state_key
from services._runtime.entry_ids import START
from services._runtime.redis_client import BLOCK_MS, explain
from services._runtime.redis_commands import Command, ask, ask_all
from services._runtime.redis_transaction import Change, transact
from services._runtime.stream_position import (
    NO_STREAM,
    StreamPosition,
    StreamState,
    entry_data,
)
from services._runtime.supervise import TransientError
from services.indicators.candles import Candle
from services.indicators.market import (
    IndicatorMarket,
    IndicatorOutput,
    Line,
    SavedLine,
    SavedMarket,
)

log = structlog.get_logger()

READ_COUNT = 500
BEAT = state_key("indicator_host", "beat")


def market_key(stream: str) -> str:
    """The hash that holds the position in *stream*, and the state of each of its lines."""
    return state_key("indicator_host", stream)


def candles_key(stream: str, line: str) -> str:
    """The list of a line's last candles, oldest first."""
    return f"{market_key(stream)}:{line}"


class Store:
    """Reads on a connection of its own; see `open_store`."""

    def __init__(self, redis: Redis, connection: Any, maxlen: int) -> None:
        self._redis = redis
        self._connection = connection
        self._maxlen = maxlen
        self._seen: dict[str, bytes | None] = {}  # the position that is saved of each stream

    async def _as_one(self, *commands: Command) -> list[Any]:
        """Run commands in one MULTI, and return their replies."""
        try:
            *_, replies = await ask_all(self._connection, ("MULTI",), *commands, ("EXEC",))
        except (RedisError, OSError) as e:  # a TimeoutError is an OSError
            raise TransientError(explain(e)) from e
        found: list[Any] = replies
        return found

    async def load(self, market: IndicatorMarket) -> SavedMarket | None:
        """The saved state of a market; None if it is missing or invalid.

        Raises:
            TransientError: Redis failed.
        """
        key = market_key(market.stream)
        lists: list[Command] = [
            ("LRANGE", candles_key(market.stream, line), 0, -1) for line in market.lines
        ]
        flat, *candles = await self._as_one(("HGETALL", key), *lists)
        for reply in (flat, *candles):
            if isinstance(reply, ResponseError):
                raise TransientError(f"{key}: {explain(reply)}")
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        self._seen[market.stream] = fields.get(b"position")
        try:
            return _saved(fields, dict(zip(market.lines, candles, strict=True)))
        except (msgspec.DecodeError, ValueError) as e:
            log.warning("state_unreadable", key=key, error=str(e), action="started again")
            return None

    async def beat(self) -> None:
        """Write a heartbeat: in a quiet market nothing else shows that Redis accepts writes.

        Raises:
            TransientError: Redis failed.
        """
        try:
            await ask(self._connection, "HSET", BEAT, "at", round(time.time() * 1000))
        except (RedisError, OSError) as e:
            raise TransientError(explain(e)) from e

    async def news(self, positions: Mapping[str, StreamPosition | None]) -> list[str]:
        """The streams with entries after these positions; empty if none arrives within `BLOCK_MS`.

        Raises:
            TransientError: Redis failed.
        """
        ids = [position.id if position else START for position in positions.values()]
        command = ("XREAD", "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS")
        try:
            found = await ask(self._connection, *command, *positions, *ids)
        except (RedisError, OSError) as e:
            raise TransientError(explain(e)) from e
        return [name.decode() for name, _ in found or ()]

    async def read(
        self, stream: str, position: StreamPosition | None
    ) -> tuple[StreamState, list[tuple[str, bytes]]]:
        """The state of *stream*, and its first entries after *position*, at most `READ_COUNT`.

        Raises:
            TransientError: Redis failed, or *stream* is not a stream.
        """
        after = f"({position.id}" if position else "-"
        info, entries = await self._as_one(
            ("XINFO", "STREAM", stream), ("XRANGE", stream, after, "+", "COUNT", READ_COUNT)
        )
        if isinstance(entries, ResponseError):
            raise TransientError(f"{stream}: {explain(entries)}")
        state = NO_STREAM if isinstance(info, ResponseError) else StreamState.parse(info)
        return state, [(identifier.decode(), entry_data(fields)) for identifier, fields in entries]

    async def save_progress(self, markets: Iterable[IndicatorMarket]) -> None:
        """Write the progress of the indicators of all *markets*, and delete that of others.

        Raises:
            TransientError: Redis failed.
        """
        progress = [(each, each.progress(all_of_it=True)) for each in markets]
        words = _words({name: each for _, found in progress for name, each in found.items()})
        commands: list[Command] = [("DEL", INDICATOR_PROGRESS)]
        if words:
            commands.append(("HSET", INDICATOR_PROGRESS, *words))
        for reply in await self._as_one(*commands):
            if isinstance(reply, ResponseError):
                raise TransientError(f"{INDICATOR_PROGRESS}: {explain(reply)}")
        for market, found in progress:
            market.progress_written(found)

    async def save(
        self, market: IndicatorMarket, position: StreamPosition, outputs: Sequence[IndicatorOutput]
    ) -> None:
        """Write outputs, state and position in one transaction; then move the market to *position*.

        The market must have been loaded before.

        Raises:
            TransientError: Redis failed, and may or may not have written all of it; or another
                process has saved this market.
        """
        key = market_key(market.stream)
        progress = market.progress()

        async def decide(change: Change) -> None:
            if change.found[0] != self._seen[market.stream]:
                raise TransientError(
                    f"{key} was changed by another process: is there another indicator host?"
                )
            for stream, data in outputs:
                change.write("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)
            change.write("HSET", key, *_fields(market, position))
            if progress:
                change.write("HSET", INDICATOR_PROGRESS, *_words(progress))
            for name, line in market.lines.items():
                for command in _candles(candles_key(market.stream, name), line):
                    change.write(*command)

        await transact(self._redis, [key], [("HGET", key, "position")], decide)
        self._seen[market.stream] = str(position).encode()
        market.position = position
        market.progress_written(progress)
        market.saved()


@asynccontextmanager
async def open_store(redis: Redis, maxlen: int) -> AsyncIterator[Store]:
    """A store whose output streams keep about *maxlen* entries.

    Raises:
        TransientError: Redis can't be reached.
    """
    pool: Any = redis.connection_pool
    connection = pool.make_connection()
    try:
        try:
            await connection.connect()
        except (RedisError, OSError) as e:
            raise TransientError(explain(e)) from e
        yield Store(redis, connection, maxlen)
    finally:
        await connection.disconnect(nowait=True)


def _words(progress: Mapping[str, IndicatorProgress]) -> list[str]:
    return [word for name, each in progress.items() for word in (name, each.model_dump_json())]


def _fields(market: IndicatorMarket, position: StreamPosition) -> list[str | bytes]:
    fields: list[str | bytes] = ["position", str(position), "trade_id", market.trade_id or ""]
    for name, line in market.lines.items():
        fields += [name, msgspec.json.encode(line.saved(position.id))]
    return fields


def _candles(key: str, line: Line) -> list[Command]:
    commands: list[Command] = [("DEL", key)] if line.cleared else []
    if line.new:
        kept = line.new[-line.series.keep :]
        commands.append(("RPUSH", key, *map(msgspec.json.encode, kept)))
        commands.append(("LTRIM", key, -line.series.keep, -1))
    return commands


def _saved(fields: Mapping[bytes, bytes], candles: Mapping[str, list[bytes]]) -> SavedMarket | None:
    if b"position" not in fields:
        return None
    return SavedMarket(
        StreamPosition.parse(fields[b"position"].decode()),
        fields.get(b"trade_id", b"").decode() or None,
        {
            name: (
                msgspec.json.decode(fields[name.encode()], type=SavedLine),
                [msgspec.json.decode(each, type=Candle) for each in found],
            )
            for name, found in candles.items()
            if name.encode() in fields
        },
    )
