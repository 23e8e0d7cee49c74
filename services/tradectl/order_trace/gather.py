"""Finds every stream entry about one order, from the ticks that caused it to its last fill."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import (
    TIMER,
    CommandStream,
    DeadLetterStream,
    EventStream,
    OperatorStream,
    state_key,
)
from services.tradectl.reading import StreamEntry, entries, entries_with_field, entry_at
from services.tradectl.sending import selected_connectors

DECISIONS = str(EventStream("bot", "decision"))
CAUSE = re.compile(r"(\S+) (\d+-\d+)")


@dataclass
class OrderEntries:
    """All entries about one client order id at one connector."""

    connector: str
    causes: list[StreamEntry] = field(default_factory=list)  # oldest first
    missing_causes: list[str] = field(
        default_factory=list
    )  # causes that are no longer in their streams
    decisions: list[StreamEntry] = field(default_factory=list)
    commands: list[StreamEntry] = field(default_factory=list)
    dead_letters: list[StreamEntry] = field(default_factory=list)
    records: list[StreamEntry] = field(default_factory=list)  # the connectors' journals
    after: list[StreamEntry] = field(
        default_factory=list
    )  # answers, statuses, cancels and their answers

    @property
    def is_empty(self) -> bool:
        """True if no stream mentions the order."""
        return not (
            self.decisions or self.commands or self.dead_letters or self.records or self.after
        )


async def gather(redis: Redis, order: str, exchange: str | None) -> list[OrderEntries]:
    """The entries about *order* at every connector, or at that of *exchange*; empty ones left out.

    The same client order id at another exchange is another order.

    Raises:
        CommandError: the connector of *exchange* was never on this Redis (NO).
    """
    decisions = await entries_with_field(redis, DECISIONS, "decision_id", order)
    names = await selected_connectors(redis, exchange)
    at = {name: [d for d in decisions if _connector(d) == name] for name in names}
    found = [await _at(redis, name, order, at[name]) for name in names]
    return [each for each in found if not each.is_empty]


def _connector(decision: StreamEntry) -> str:
    return f"{decision.fields.get('exchange')}_connector"


async def _at(redis: Redis, name: str, order: str, decisions: list[StreamEntry]) -> OrderEntries:
    """The entries about an order at one connector."""

    async def about(stream: object) -> list[StreamEntry]:
        return await entries_with_field(redis, str(stream), "client_order_id", order)

    found = OrderEntries(name, decisions=decisions)
    found.commands = await about(CommandStream(name, "place_order"))
    found.dead_letters = await _dead_letters(
        redis, str(DeadLetterStream(name, "place_order")), order
    )
    found.records = await _record(redis, name, order)
    found.after = await about(EventStream(name, "order_response"))
    found.after += await about(EventStream(name, "order_status"))
    for stream in (
        CommandStream(name, "cancel_order"),
        OperatorStream(name, "cancel_order"),
        CommandStream(name, "query_order"),
    ):
        requests = await _requests_about(redis, str(stream), order, found)
        found.after += requests + await _responses_to(redis, name, requests)
    found.after.sort(key=lambda entry: entry.sort_key)
    await _follow_causes(redis, found)
    return found


async def _dead_letters(redis: Redis, stream: str, order: str) -> list[StreamEntry]:
    """The dead letters whose content has the id."""
    return [
        entry
        async for entry in entries(redis, stream)
        if f'"{order}"' in str(entry.fields.get("content"))
    ]


async def _record(redis: Redis, name: str, order: str) -> list[StreamEntry]:
    """The journal record; its time is the timestamp that its request was signed with."""
    key = state_key(name, f"order:{order}")
    data: Any = await redis.get(key)
    if data is None:
        return []
    signed_at = StreamEntry(key, "0-0", data).fields.get("timestamp", 0)
    return [StreamEntry(key, f"{signed_at}-0", data)]


async def _requests_about(
    redis: Redis, stream: str, order: str, found: OrderEntries
) -> list[StreamEntry]:
    """Commands about the order, by its client order id or the exchange's order id."""
    requests = await entries_with_field(redis, stream, "client_order_id", order)
    order_ids = {entry.fields.get("order_id") for entry in found.after} - {None}
    for order_id in order_ids:
        requests += await entries_with_field(redis, stream, "order_id", str(order_id))
    return list({entry.id: entry for entry in requests}.values())


async def _responses_to(
    redis: Redis, name: str, requests: Iterable[StreamEntry]
) -> list[StreamEntry]:
    stream = str(EventStream(name, "command_response"))
    found = []
    for command in requests:
        # A command without a request id has one derived from its entry id.
        request_id = command.fields.get("client_request_id") or f"x{command.id}"
        found += await entries_with_field(redis, stream, "client_request_id", request_id)
    return found


async def _follow_causes(redis: Redis, found: OrderEntries) -> None:
    """Add the indicator values and ticks that led to the decision."""
    seen: set[str] = set()
    ahead = [cause for decision in found.decisions[:1] for cause in _causes(decision)]
    while ahead:
        cause = ahead.pop()
        named = CAUSE.fullmatch(cause)
        if cause in seen or named is None:
            continue
        seen.add(cause)
        if named[1] == TIMER:  # no stream
            found.missing_causes.append(cause)
            continue
        entry = await entry_at(redis, named[1], named[2])
        if entry is None:
            found.missing_causes.append(cause)
        else:
            found.causes.append(entry)
            ahead += _causes(entry)
    found.causes.sort(key=lambda entry: entry.sort_key)


def _causes(entry: StreamEntry) -> list[str]:
    causes = entry.fields.get("caused_by") or []
    return [str(each) for each in (causes if isinstance(causes, list) else [causes])]
