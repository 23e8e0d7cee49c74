"""Reads streams: their names, their entries, and the model of each entry."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis

from common_models import (
    AccountBalanceEvent,
    CancelAllOrdersCommand,
    CancelOrderCommand,
    CommandResponseEvent,
    ConnectorStatusEvent,
    DecisionEvent,
    IndicatorValue,
    OrderBook,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    PlaceOrderCommand,
    PortfolioEvent,
    QueryOrderCommand,
    RequestBalanceCommand,
    Ticker,
    Trade,
)
from common_models.stream_names import (
    CommandStream,
    DeadLetterStream,
    EventStream,
    IndicatorStream,
    MarketStream,
    OperatorStream,
    StreamName,
    StreamNameError,
    parse,
)
from services._runtime.entry_ids import EntryId, entry_milliseconds, parse_entry_id

PAGE = 1000
# Entries per stream in one XREAD of many streams: order books are large.
READ_COUNT = 200

MARKET_DATA: dict[str, type[BaseModel]] = {
    "ticker": Ticker,
    "orderbook": OrderBook,
    "trades": Trade,
}
COMMANDS: dict[str, type[BaseModel]] = {
    "place_order": PlaceOrderCommand,
    "cancel_order": CancelOrderCommand,
    "cancel_all_orders": CancelAllOrdersCommand,
    "query_order": QueryOrderCommand,
    "request_balance": RequestBalanceCommand,
}
EVENTS: dict[str, type[BaseModel]] = {
    "order_response": OrderResponseEvent,
    "order_status": OrderStatusUpdateEvent,
    "account_balance": AccountBalanceEvent,
    "command_response": CommandResponseEvent,
    "connector_status": ConnectorStatusEvent,
    "decision": DecisionEvent,
    "portfolio": PortfolioEvent,
}


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry of a stream: the stream, the entry id, and the bytes of its field `data`."""

    stream: str
    id: str
    data: bytes

    @property
    def milliseconds(self) -> int:
        """When Redis received it, in Unix milliseconds by Redis's clock."""
        return entry_milliseconds(self.id)

    @property
    def sort_key(self) -> EntryId:
        """Sorts entries of several streams by the time at which Redis received them."""
        return parse_entry_id(self.id)

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in `data`; empty if it is not a JSON object."""
        try:
            found = msgspec.json.decode(self.data)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def validation_error(self) -> str | None:
        """The first error against the stream's model; None if valid, or if there is no model."""
        model = model_of(self.stream)
        if model is None:
            return None
        try:
            model.model_validate_json(self.data)
        except ValidationError as e:
            first = e.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return f"{where}: {first['msg']}" if where else str(first["msg"])
        return None


def utc_time(milliseconds: float) -> datetime:
    """Unix milliseconds as a time in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def parse_name(stream: str) -> StreamName | None:
    """The parsed name of a stream; None if it is not of the contract's form."""
    try:
        return parse(stream)
    except StreamNameError:
        return None


def model_of(stream: str) -> type[BaseModel] | None:
    """The model of the stream's entries; None if the contract names none."""
    match parse_name(stream):
        case MarketStream(data_type=data_type):
            return MARKET_DATA[data_type]
        case CommandStream(command=command) | OperatorStream(command=command):
            return COMMANDS.get(command)
        case EventStream(event=event):
            return EVENTS.get(event)
        case IndicatorStream():
            return IndicatorValue
        case _:
            return None


async def streams(redis: Redis, pattern: str = "*") -> list[str]:
    """The names of all streams that match the glob *pattern*, sorted."""
    found = [key.decode() async for key in redis.scan_iter(pattern, count=PAGE, _type="stream")]
    return sorted(set(found))


async def connectors(redis: Redis) -> list[str]:
    """The names of the connectors that have streams here, e.g. `binance_connector`, sorted."""
    names = [parse_name(stream) for stream in await streams(redis, "*_connector:*")]
    found = {
        name.connector
        for name in names
        if isinstance(name, CommandStream | OperatorStream | DeadLetterStream)
    }
    return sorted(found | {name.service for name in names if isinstance(name, EventStream)})


async def entries(redis: Redis, stream: str, start: str = "-") -> AsyncIterator[StreamEntry]:
    """All entries from the id *start* on, oldest first; `(` before the id excludes it."""
    client: Any = redis
    while True:
        page = await client.xrange(stream, min=start, count=PAGE)
        for entry in _entries(stream, page):
            yield entry
        if len(page) < PAGE:
            return
        start = "(" + page[-1][0].decode()


@dataclass
class Follower:
    """Reads each stream from where the last call stopped."""

    _starts: dict[str, str] = field(default_factory=dict)

    async def new(self, redis: Redis, stream: str) -> AsyncIterator[StreamEntry]:
        """The entries that were not read yet, oldest first."""
        async for entry in entries(redis, stream, self._starts.get(stream, "-")):
            self._starts[stream] = f"({entry.id}"
            yield entry


async def newest_first(
    redis: Redis, stream: str, page_size: int = PAGE
) -> AsyncIterator[StreamEntry]:
    """All entries, newest first."""
    client: Any = redis
    end = "+"
    while True:
        page = await client.xrevrange(stream, max=end, count=page_size)
        for entry in _entries(stream, page):
            yield entry
        if len(page) < page_size:
            return
        end = "(" + page[-1][0].decode()


async def newest(redis: Redis, stream: str) -> StreamEntry | None:
    """The newest entry; None if the stream is empty."""
    async for entry in newest_first(redis, stream, 1):
        return entry
    return None


async def entry_at(redis: Redis, stream: str, entry_id: str) -> StreamEntry | None:
    """One entry by its id; None if it does not exist."""
    client: Any = redis
    found = list(_entries(stream, await client.xrange(stream, min=entry_id, max=entry_id)))
    return found[0] if found else None


async def read_new(
    redis: Redis, positions: dict[str, str], block_ms: int | None
) -> list[StreamEntry]:
    """Entries after *positions*, which it updates; blocks up to *block_ms* for the first."""
    client: Any = redis
    reply = await client.xread(positions, count=READ_COUNT, block=block_ms) or []
    found = [
        entry
        for stream, page in (reply.items() if isinstance(reply, dict) else reply)
        for entry in _entries(stream.decode(), page)
    ]
    for entry in found:
        positions[entry.stream] = entry.id
    return found


async def last_ids(redis: Redis, names: Iterable[str]) -> dict[str, str]:
    """The id of each stream's last entry, `0-0` if it is empty."""
    last = {name: await newest(redis, name) for name in names}
    return {name: "0-0" if entry is None else entry.id for name, entry in last.items()}


async def entries_with_field(redis: Redis, stream: str, name: str, value: str) -> list[StreamEntry]:
    """The entries whose field *name* is *value*, oldest first."""
    # Searching for the bytes first avoids decoding every entry.
    spelled = {json.dumps(value, ensure_ascii=ascii_only).encode() for ascii_only in (True, False)}
    return [
        entry
        async for entry in entries(redis, stream)
        if any(each in entry.data for each in spelled) and entry.fields.get(name) == value
    ]


async def is_trimmed(redis: Redis, stream: str) -> bool:
    """Whether entries were removed from the stream."""
    if not await redis.exists(stream):
        return False
    info = await redis.xinfo_stream(stream)
    return bool(info["entries-added"] > info["length"])


async def redis_time(redis: Redis) -> float:
    """Redis's clock, in milliseconds."""
    seconds, micro = await redis.time()
    return float(seconds * 1000 + micro / 1000)


def _entries(stream: str, page: Any) -> Iterable[StreamEntry]:
    for entry_id, fields in page:
        yield StreamEntry(stream, entry_id.decode(), (fields or {}).get(b"data", b""))
