"""The journal of orders and their answers in Redis; each change is one transaction."""

from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic, time_ns
from typing import Any, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from common_models import OrderResponseEvent
from common_models.stream_names import CommandStream, DeadLetterStream, EventStream
from services._connector_kit.orders.account.order_state import AcceptedOrder
from services._connector_kit.orders.account.order_status import PublishedOrder
from services._connector_kit.orders.execution.record import Record, dump, load
from services._connector_kit.orders.keys import (
    KEEP_CLOSED,
    OrderRef,
    accepted_key,
    answered_key,
    deleted_key,
    first_published_key,
    late_orders_key,
    order_key,
    published_as_key,
    published_key,
    sending_key,
    unanswered_key,
)
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import CommandEntry, VenueOrder
from services._runtime.redis_transaction import Change, at_once, reading, transact

T = TypeVar("T")
log = structlog.get_logger()

WATCH_LATE_ORDERS = 24 * 3600
UNANSWERED_PAGE = 500
KEEP_ANSWERED = 24 * 3600
# Seconds that the record of an order rejected before it was sent is kept. After MAX_REFUSALS
# rejections in a minute, records and answers are kept only as long as another instance needs them.
KEEP_REFUSED = 24 * 3600
MAX_REFUSALS = 600
KEEP_SURPLUS_RECORD = 60
KEEP_SURPLUS_ANSWERED = 600
# An answered command of up to so many bytes stays in its stream for inspection.
MAX_KEPT = 4096
# Milliseconds: an id this far ahead of this machine's clock was set by a client, not by Redis.
AHEAD_MS = 60_000


class RedisJournal:
    """Implements `OrderJournal` in Redis.

    `on_accepted` is called after an order was stored whose status must be published.
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        events_maxlen: int,
        *,
        on_accepted: Callable[[], None] = lambda: None,
        counts: OrderMetrics | None = None,
    ) -> None:
        self._on_accepted = on_accepted
        self._counts = counts or OrderMetrics()
        self._redis: Any = redis
        self._connector = connector
        self._maxlen = events_maxlen
        self._responses = str(EventStream(connector, "order_response"))
        self._command_responses = str(EventStream(connector, "command_response"))
        self._late_orders = late_orders_key(connector)
        self._accepted = accepted_key(connector)
        self._unanswered = unanswered_key(connector)
        self._sending = sending_key(connector)
        self._refusals: deque[float] = deque(maxlen=MAX_REFUSALS)

    async def get(self, client_order_id: str) -> Record | None:
        """Return the record of that client order id, None if there is none."""
        found = await reading(self._redis.get(self._key(client_order_id)))
        return None if found is None else load(found)

    async def unanswered(self) -> Sequence[Record]:
        """Return all records without a final answer, oldest first; remove other ids."""
        ids = [i.decode() for i in await reading(self._redis.zrange(self._unanswered, 0, -1))]
        records = []
        for first in range(0, len(ids), UNANSWERED_PAGE):
            page = ids[first : first + UNANSWERED_PAGE]
            found = await reading(self._redis.mget([self._key(i) for i in page]))
            for client_order_id, data in zip(page, found, strict=True):
                if data is not None and (record := load(data)).state != "closed":
                    records.append(record)
                else:
                    await self._remove_stale(client_order_id)
        return records

    async def _remove_stale(self, client_order_id: str) -> None:
        """Remove an id from the book of record if its record is closed or was never written."""
        key = self._key(client_order_id)

        async def decide(change: Change) -> None:
            data, moment, (seconds, _) = change.found
            if data is not None:
                stale = load(data).state == "closed"
            else:  # its claim may be in progress
                stale = moment is not None and float(moment) < (int(seconds) - 60) * 1000
            if stale:
                change.write("ZREM", self._unanswered, client_order_id)
                change.write("ZREM", self._sending, client_order_id)

        reads = [("GET", key), ("ZSCORE", self._unanswered, client_order_id), ("TIME",)]
        await transact(self._redis, [key], reads, decide)

    async def newest_entry(self, entry: CommandEntry) -> int:
        """When the newest entry of *entry*'s stream was added, in Redis milliseconds; 0 if none.

        At most Redis's current time: an id in the future does not limit the ids after a repair.
        """
        stream = entry.stream(self._connector)
        newest, (seconds, microseconds) = await at_once(
            self._redis, ("XREVRANGE", stream, "+", "-", "COUNT", 1), ("TIME",)
        )
        now = int(seconds) * 1000 + int(microseconds) // 1000
        return min(now, int(newest[0][0].partition(b"-")[0])) if newest else 0

    async def orders_waiting(self) -> bool:
        """True while a `place_order` command is not answered."""
        stream = str(CommandStream(self._connector, "place_order"))
        groups: Any = await reading(self._redis.xinfo_groups(stream))
        # After a deletion Redis may not know the lag: nil. An empty lag is always 0.
        return any(group["pending"] or group["lag"] != 0 for group in groups)

    async def publish_unknown(
        self, record: Record, entry: CommandEntry, answer: OrderResponseEvent
    ) -> None:
        """Publish `unknown` once, and mark the record.

        Nothing is published for an entry that has its final answer: another entry claimed its id
        first, and this one after Redis lost that claim. *entry* stays pending until its final
        answer.
        """
        key, answered = self._key(record.client_order_id), self._answered_key(entry)

        async def decide(change: Change) -> None:
            ((known, was_answered),) = change.found
            now = record if known is None else load(known)
            if now.state == "taken" and now.entry_id == record.entry_id:
                if was_answered is None:
                    self._publish(change, self._responses, answer.model_dump_json())
                change.write("SET", key, dump(now.marked_unknown()))
                moment = record.entry_id.partition("-")[0]
                change.write("ZADD", self._unanswered, "NX", moment, record.client_order_id)

        await transact(self._redis, [key, answered], [("MGET", key, answered)], decide)
        self._counts.unknown_published(record)

    async def close(self, record: Record, entry: CommandEntry) -> Record:
        """Publish the record's answer, store the record, acknowledge the entry: all or nothing."""
        key, answered = self._key(record.client_order_id), self._answered_key(entry)
        order = _order(record)
        published_at = published_key(self._connector, order or OrderRef("", ""))
        surplus = order is None and not record.provisional and self._surplus_refusal()

        async def decide(change: Change) -> Record:
            (known, was_answered), published = change.found
            now = record if known is None else load(known)
            if now.entry_id != record.entry_id:
                return now
            if known is None or now.state != "closed":
                now = record
                if was_answered is None:
                    self._publish(change, self._responses, record.answer or "")
                    kept_for = KEEP_SURPLUS_ANSWERED if surplus else KEEP_ANSWERED
                    change.write("SET", answered, "", "EX", kept_for)
                self._keep(change, record, order, published, surplus=surplus)
                if record.provisional:
                    change.write(
                        "ZADD", self._late_orders, record.timestamp, record.client_order_id
                    )
            change.write("ZREM", self._unanswered, record.client_order_id)
            change.write("ZREM", self._sending, record.client_order_id)
            self._acknowledge(change, entry)
            return now

        reads = [("MGET", key, answered), ("GET", published_at)]
        kept = await transact(self._redis, [key, answered], reads, decide)
        self._counts.closed(entry.entry_id)
        if record.answer and kept.answer == record.answer:  # else another instance answered it
            self._counts.answered(entry, record.answer)
        if order is not None:
            self._on_accepted()
        return kept

    async def answer(
        self, entry: CommandEntry, answer: bytes | None, dead_letter: str | None
    ) -> None:
        """Answer an entry without a record once, and acknowledge it."""
        key = self._answered_key(entry)
        surplus = answer is not None and self._surplus_refusal()

        async def decide(change: Change) -> None:
            (was_answered,) = change.found
            if was_answered is None:
                if dead_letter is not None:
                    stream = str(DeadLetterStream(self._connector, entry.command))
                    self._publish(change, stream, encode_dead_letter(entry, dead_letter))
                if answer is not None:
                    is_order = entry.command == "place_order"
                    stream = self._responses if is_order else self._command_responses
                    self._publish(change, stream, answer)
                if answer is not None or dead_letter is not None:
                    kept_for = KEEP_SURPLUS_ANSWERED if surplus else KEEP_ANSWERED
                    change.write("SET", key, "", "EX", kept_for)
            self._acknowledge(change, entry)

        await transact(self._redis, [key], [("GET", key)], decide)
        if dead_letter is not None:
            self._counts.dead_letters[entry.command] += 1
        if answer:
            self._counts.answered(entry, answer)

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """Replace a provisional record by the corrected one, and request its order's status."""
        key = self._key(record.client_order_id)
        ref = OrderRef(record.order.symbol, order.order_id)

        async def decide(change: Change) -> None:
            known, published = change.found
            now = None if known is None else load(known)
            if now is not None and now.provisional:
                self._keep(change, record, ref, published)
                change.write("ZREM", self._late_orders, record.client_order_id)

        reads = [("GET", key), ("GET", published_key(self._connector, ref))]
        await transact(self._redis, [key], reads, decide)
        self._counts.late_orders += 1
        self._on_accepted()

    async def published_order(self, client_order_id: str) -> VenueOrder | None:
        """Return the order as the account's events published it; None if they have not."""
        found = await reading(self._redis.get(published_as_key(self._connector, client_order_id)))
        if found is None:
            return None
        text = found.decode()
        order = OrderRef.parse(text)
        key = (
            published_key(self._connector, order)
            if order
            else first_published_key(self._connector, text)
        )
        data = await reading(self._redis.get(key))
        last_published = None if data is None else msgspec.json.decode(data, type=PublishedOrder)
        if last_published is None or last_published.client_order_id != client_order_id:
            return None  # the venue has given its order id to another order
        return VenueOrder(
            order.order_id if order else text,
            client_order_id,
            f"{last_published.filled:f}",
            symbol=last_published.symbol,
            side=last_published.side,
            quantity=f"{last_published.quantity:f}" if last_published.quantity else None,
            price=f"{last_published.price:f}" if last_published.price else None,
            created=last_published.created,
        )

    async def provisional(self) -> Sequence[Record]:
        """Return the records that were closed as not found less than a day ago."""
        seconds, _ = await reading(self._redis.time())
        oldest = (seconds - WATCH_LATE_ORDERS) * 1000
        await reading(self._redis.zremrangebyscore(self._late_orders, "-inf", f"({oldest}"))
        ids = await reading(self._redis.zrange(self._late_orders, 0, -1))
        if not ids:
            return []
        found = await reading(self._redis.mget([self._key(i.decode()) for i in ids]))
        return [record for data in found if data and (record := load(data)).provisional]

    def _key(self, client_order_id: str) -> str:
        return order_key(self._connector, client_order_id)

    def _answered_key(self, entry: CommandEntry) -> str:
        """The key that exists once an entry has its final answer."""
        command = f"operator:{entry.command}" if entry.operator else entry.command
        return answered_key(self._connector, command, entry.entry_id)

    def _surplus_refusal(self) -> bool:
        """Count a rejection; True if there were `MAX_REFUSALS` in the minute before it."""
        now, most = monotonic(), self._refusals.maxlen
        surplus = len(self._refusals) == most and self._refusals[0] > now - 60
        self._refusals.append(now)
        return surplus

    def _keep(
        self,
        change: Change,
        record: Record,
        order: OrderRef | None,
        published: bytes | None,
        *,
        surplus: bool = False,
    ) -> None:
        """Write a closed record; *published* is the ledger's JSON of its order, None if absent.

        The record expires `KEEP_CLOSED` seconds after the order's terminal status was published;
        while the order is open it has no expiry, and the ledger sets one later. The record of an
        order that was rejected before it was sent expires after `KEEP_REFUSED` seconds; in a flood
        of rejections (*surplus*) as soon as no other instance can be handling the entry.
        """
        last_published = (
            None if published is None else msgspec.json.decode(published, type=PublishedOrder)
        )
        if last_published is not None and last_published.client_order_id != record.client_order_id:
            last_published = None  # the venue has given its order id to another order
        is_over = order is None or (last_published is not None and last_published.closed)
        kept_for = KEEP_CLOSED
        if record.unsent:
            kept_for = KEEP_SURPLUS_RECORD if surplus else KEEP_REFUSED
        life = ("EX", kept_for) if is_over else ()
        change.write("SET", self._key(record.client_order_id), dump(record), *life)
        if order is not None and last_published is None:
            self._note_accepted(change, order, record)
        elif order is not None and is_over:  # the ledger left the expiry to this answer
            as_key = published_as_key(self._connector, record.client_order_id)
            for name in (published_key(self._connector, order), as_key):
                change.write("PEXPIRE", name, KEEP_CLOSED * 1000)

    def _note_accepted(self, change: Change, order: OrderRef, record: Record) -> None:
        """Note an accepted order without a published status; the account will query it."""
        noted = AcceptedOrder(order.symbol, record.client_order_id)
        change.write("HSET", self._accepted, str(order), msgspec.json.encode(noted))

    def _publish(self, change: Change, stream: str, data: str | bytes) -> None:
        change.write("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)

    def _acknowledge(self, change: Change, entry: CommandEntry) -> None:
        stream = entry.stream(self._connector)
        change.write("XACK", stream, self._connector, entry.entry_id)
        # StreamGuard removes an entry with an id in the future: after XDEL of such an id Redis
        # accepts no lower id in the stream.
        if len(entry.data) > MAX_KEPT and entry.milliseconds < time_ns() // 1_000_000 + AHEAD_MS:
            change.write("XDEL", stream, entry.entry_id)
            change.write("HINCRBY", deleted_key(self._connector), stream, 1)


class _Answer(msgspec.Struct):
    order_id: str | None = None


def _order(record: Record) -> OrderRef | None:
    """The order that the record's answer names; None if it names none."""
    order_id = msgspec.json.decode(record.answer or "{}", type=_Answer).order_id
    return None if order_id is None else OrderRef(record.order.symbol, order_id)


def encode_dead_letter(entry: CommandEntry, error: str) -> bytes:
    """Encode a dead letter: the error and the whole entry; bytes that are not UTF-8 as base64."""
    try:
        content, encoding = entry.data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        content, encoding = b64encode(entry.data).decode("ascii"), "base64"
    fields = {
        "entry_id": entry.entry_id,
        "error": error,
        "encoding": encoding,
        "content": content,
    }
    return msgspec.json.encode(fields)
