"""The orders' journal and the answers, each change one transaction."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from common_models import OrderResponseEvent, OrderStatusUpdateEvent
from common_models.stream_names import CommandStream, DeadLetterStream, EventStream, state_key
from services._connector_kit.orders.ledger import Accepted, accepted_key
from services._connector_kit.orders.ports import Entry, VenueOrder
from services._connector_kit.orders.record import Record, dump, load
from services._connector_kit.orders.redis_bus import order_key
from services._runtime.redis_transaction import reading, transact

T = TypeVar("T")
log = structlog.get_logger()

KEEP_CLOSED = 7 * 24 * 3600
WATCH_GHOSTS = 24 * 3600
KEEP_ANSWERED = 24 * 3600


class RedisJournal:
    """The port `Journal` on a real server. `exchange` is the name that events carry."""

    def __init__(
        self,
        redis: Redis,
        connector: str,
        exchange: str,
        events_maxlen: int,
        *,
        on_accepted: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_accepted = on_accepted
        self._redis: Any = redis
        self._connector = connector
        self._exchange = exchange
        self._maxlen = events_maxlen
        self._responses = str(EventStream(connector, "order_response"))
        self._command_responses = str(EventStream(connector, "command_response"))
        self._statuses = str(EventStream(connector, "order_status"))
        self._ghosts = state_key(connector, "ghosts")
        self._accepted = accepted_key(connector)

    async def get(self, client_order_id: str) -> Record | None:
        """The record of that id."""
        found = await reading(self._redis.get(self._key(client_order_id)))
        return None if found is None else load(found)

    async def orders_waiting(self) -> bool:
        """True while `place_order` commands are not yet answered."""
        stream = str(CommandStream(self._connector, "place_order"))
        groups: Any = await reading(self._redis.xinfo_groups(stream))
        return any(group["pending"] or group["lag"] for group in groups)

    async def unclear(self, record: Record, entry: Entry, answer: OrderResponseEvent) -> None:
        """Publish `unknown`, once, and note it in the record."""
        del entry  # it stays pending: the final answer acknowledges it
        key = self._key(record.client_order_id)

        async def change(pipe: Any) -> None:
            known = await pipe.get(key)
            pipe.multi()
            now = record if known is None else load(known)
            if now.state == "taken" and now.entry_id == record.entry_id:
                self._publish(pipe, self._responses, answer.model_dump_json())
                pipe.set(key, dump(now.marked_unknown()))

        await transact(self._redis, key, change)

    async def close(self, record: Record, entry: Entry) -> Record:
        """Publish the record's answer, keep the record, acknowledge the entry: all or nothing."""
        key, answered = self._key(record.client_order_id), self._answered_key(entry)

        async def change(pipe: Any) -> Record:
            known, was_answered = await pipe.mget(key, answered)
            pipe.multi()
            now = record if known is None else load(known)
            if now.entry_id != record.entry_id:
                return now
            if known is None or now.state != "closed":
                now = record
                if was_answered is None:
                    self._publish(pipe, self._responses, record.answer or "")
                    pipe.set(answered, "", ex=KEEP_ANSWERED)
                pipe.set(key, dump(record), ex=KEEP_CLOSED)
                answer = OrderResponseEvent.model_validate_json(record.answer or "")
                if answer.order_id is not None:
                    self._note_accepted(pipe, answer.order_id, record)
                if record.provisional:
                    pipe.zadd(self._ghosts, {record.client_order_id: record.timestamp})
            self._acknowledge(pipe, entry)
            return now

        kept = await transact(self._redis, key, change, also=(answered,))
        self._on_accepted()
        return kept

    async def answer(self, entry: Entry, answer: bytes | None, dead_letter: str | None) -> None:
        """Answer an entry that has no record of its own, once, and acknowledge it."""
        key = self._answered_key(entry)

        async def change(pipe: Any) -> None:
            was_answered = await pipe.get(key)
            pipe.multi()
            if was_answered is None:
                if dead_letter is not None:
                    stream = str(DeadLetterStream(self._connector, entry.command))
                    self._publish(pipe, stream, _letter(entry, dead_letter))
                if answer is not None:
                    placing = entry.command == "place_order"
                    stream = self._responses if placing else self._command_responses
                    self._publish(pipe, stream, answer)
                if answer is not None or dead_letter is not None:
                    pipe.set(key, "", ex=KEEP_ANSWERED)
            self._acknowledge(pipe, entry)

        await transact(self._redis, key, change)

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """A ghost appeared: publish its status and put the corrected record in place, once."""
        key = self._key(record.client_order_id)
        command = record.order
        filled = float(order.filled_quantity)
        report = OrderStatusUpdateEvent(
            order_id=order.order_id,
            client_order_id=record.client_order_id,
            symbol=command.symbol,
            status="open" if not filled else "partially_filled",
            filled_quantity=filled,
            remaining_quantity=max(0.0, float(record.sent_quantity or command.quantity) - filled),
            exchange=self._exchange,
        )

        async def change(pipe: Any) -> None:
            known = await pipe.get(key)
            pipe.multi()
            now = None if known is None else load(known)
            if now is not None and now.provisional:
                self._publish(pipe, self._statuses, report.model_dump_json())
                pipe.set(key, dump(record), ex=KEEP_CLOSED)
                pipe.zrem(self._ghosts, record.client_order_id)
                self._note_accepted(pipe, order.order_id, record)

        await transact(self._redis, key, change)
        self._on_accepted()

    async def provisional(self) -> Sequence[Record]:
        """The records that were closed as not found less than a day ago."""
        seconds, _ = await reading(self._redis.time())
        oldest = (seconds - WATCH_GHOSTS) * 1000
        await reading(self._redis.zremrangebyscore(self._ghosts, "-inf", f"({oldest}"))
        ids = await reading(self._redis.zrange(self._ghosts, 0, -1))
        if not ids:
            return []
        found = await reading(self._redis.mget([self._key(i.decode()) for i in ids]))
        return [record for data in found if data and (record := load(data)).provisional]

    def _key(self, client_order_id: str) -> str:
        return order_key(self._connector, client_order_id)

    def _answered_key(self, entry: Entry) -> str:
        """Exists once an entry has its final answer."""
        return state_key(self._connector, f"answered:{entry.command}:{entry.entry_id}")

    def _note_accepted(self, pipe: Any, order_id: str, record: Record) -> None:
        """The venue has it: whoever tells orders will ask for it."""
        noted = Accepted(record.order.symbol, record.client_order_id)
        pipe.hset(self._accepted, order_id, msgspec.json.encode(noted))

    def _publish(self, pipe: Any, stream: str, data: str | bytes) -> None:
        pipe.xadd(stream, {"data": data}, maxlen=self._maxlen, approximate=True)

    def _acknowledge(self, pipe: Any, entry: Entry) -> None:
        pipe.xack(
            str(CommandStream(self._connector, entry.command)), self._connector, entry.entry_id
        )


def _letter(entry: Entry, error: str) -> bytes:
    """A dead letter: what is wrong, and the entry whole; bytes that are no text as base64."""
    try:
        content, encoding = entry.data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        content, encoding = b64encode(entry.data).decode("ascii"), "base64"
    letter = {
        "entry_id": entry.entry_id,
        "error": error,
        "encoding": encoding,
        "content": content,
    }
    return msgspec.json.encode(letter)
