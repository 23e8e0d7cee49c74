"""What was published of orders, and publishing what is new: each once."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from common_models.stream_names import EventStream
from services._connector_kit.orders.bookkeeping import News, Report, Told, news
from services._connector_kit.orders.counts import OrderCounts
from services._connector_kit.orders.keys import (
    KEEP_CLOSED,
    OrderRef,
    accepted_key,
    first_told_key,
    open_key,
    order_key,
    told_as_key,
    told_key,
    trades_mark_key,
)
from services._connector_kit.orders.record import load
from services._runtime.failpoints import reach
from services._runtime.redis_transaction import Change, reading, transact


class Accepted(msgspec.Struct, frozen=True):
    """An order of ours that the venue took, and of which nothing was told yet."""

    symbol: str
    client_order_id: str


class Trace(NamedTuple):
    """A sign that an order traded: a trade's id, or where there is none how much is filled."""

    symbol: str
    order_id: str
    trade_id: str | None
    filled: Decimal

    @property
    def order(self) -> OrderRef:
        """Which order it is of."""
        return OrderRef(self.symbol, self.order_id)

    def in_(self, told: Told) -> bool:
        """True where what was told has it already."""
        if self.trade_id is not None:
            return self.trade_id in told.trade_ids
        return told.closed and told.filled >= self.filled


class Ledger:
    """The published truth about one account, kept in Redis beside the streams.

    Every change reads what was told, and writes event and memory in one transaction: telling the
    same again, from a second instance or after a lost reply, publishes nothing.
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        exchange: str,
        events_maxlen: int,
        counts: OrderCounts | None = None,
    ) -> None:
        self._counts = counts or OrderCounts()
        self._redis: Any = redis
        self._connector = connector
        self._exchange = exchange
        self._maxlen = events_maxlen
        self._statuses = str(EventStream(connector, "order_status"))
        self._open = open_key(connector)
        self._mark = trades_mark_key(connector)
        self._accepted = accepted_key(connector)

    async def tell(self, report: Report, *, again: bool = False) -> bool:
        """Publish what *report* says beyond what was told; True where there was something.

        With *again* the order's status is published where there is nothing new, too.

        Raises:
            TransientError: Redis is in trouble; telling again is safe.
        """
        order = OrderRef(report.symbol, report.order_id)
        keys = self._told_keys(order)

        async def decide(change: Change) -> News | None:
            told = _read_told(order, *change.found[0])
            known, ours = await self._known(change, told, report)
            if change.found[1][0] is not None:
                change.write("HDEL", self._accepted, str(order))
            if _read_accepted(order, change.found[1][1]) is not None:
                change.write("HDEL", self._accepted, order.order_id)
            found = news(told, known, self._exchange, external=not ours, again=again)
            if found is not None:
                self._publish(change, self._statuses, found.event.model_dump_json())
                self._keep(change, order, found.told)
            return found

        reads = [
            ("MGET", *keys),
            ("HMGET", self._accepted, str(order), order.order_id),
            ("GET", order_key(self._connector, report.client_order_id or "")),
        ]
        reach("before_tell")
        found = await transact(self._redis, keys, reads, decide)
        reach("after_tell")
        if found is None:
            return False
        # Luno gives a fill no time, and an order one only when it is made and when it closes.
        timed = bool(report.fills) or report.closed
        self._counts.told(found.event, closed=found.told.closed, timed=timed)
        return True

    def _keep(self, change: Change, order: OrderRef, told: Told) -> None:
        """Remember what was told, and that its client order id is an order's."""
        key, first_key = self._told_keys(order)
        life = ("EX", KEEP_CLOSED) if told.closed else ()
        change.write("SET", key, msgspec.json.encode(told), *life)
        change.write("SREM" if told.closed else "SADD", self._open, str(order))
        if _read_told(order, change.found[0][1]) is not None:
            change.write("PEXPIRE", first_key, 0)
            change.write("SREM", self._open, order.order_id)
        if told.client_order_id is not None:
            told_as = told_as_key(self._connector, told.client_order_id)
            change.write("SET", told_as, str(order), "EX", KEEP_CLOSED)

    async def _known(
        self, change: Change, told: Told | None, report: Report
    ) -> tuple[Report, bool]:
        """*report* with what our own records add to it, and whether the order is ours.

        Binance gives a cancelled order the client id of the cancel, Luno doesn't say how much a
        market order asked for.
        """
        _, noted, data = change.found
        accepted = _read_accepted(report.order, *noted)
        client_order_id = (
            (told and told.client_order_id)
            or (accepted and accepted.client_order_id)
            or report.client_order_id
        )
        if client_order_id != report.client_order_id:
            report = report._replace(client_order_id=client_order_id)
            data = await change.ask("GET", order_key(self._connector, client_order_id or ""))
        if data is None:
            return report, False
        sent = load(data).sent_quantity
        if not report.quantity and sent is not None:
            report = report._replace(quantity=Decimal(sent))
        return report, True

    async def open_orders(self) -> list[tuple[str, Told]]:
        """The orders that were told as open, by exchange order id."""
        texts = [text.decode() for text in await reading(self._redis.smembers(self._open))]
        keys = [self._key_of(text) for text in texts]
        found = await reading(self._redis.mget(keys)) if keys else ()
        told = [
            (_order_id(text), msgspec.json.decode(data, type=Told))
            for text, data in zip(texts, found, strict=True)
            if data
        ]
        self._counts.open = {OrderRef(order.symbol, order_id) for order_id, order in told}
        return told

    async def accepted(self) -> set[OrderRef]:
        """The orders that were accepted and of which nothing was told yet."""
        found = await reading(self._redis.hgetall(self._accepted))
        return {
            OrderRef(msgspec.json.decode(data, type=Accepted).symbol, _order_id(text.decode()))
            for text, data in found.items()
        }

    async def published(self, order: OrderRef) -> Told | None:
        """What was published of an order; None where nothing was."""
        return _read_told(order, *await reading(self._redis.mget(self._told_keys(order))))

    async def published_as(self, symbol: str, client_order_id: str) -> OrderRef | None:
        """The order that was published last with that symbol and client order id."""
        found = await reading(self._redis.get(told_as_key(self._connector, client_order_id)))
        text = (found or b"").decode()
        order = OrderRef.parse(text) or OrderRef(symbol, text)
        told = await self.published(order) if found and order.symbol == symbol else None
        return order if told and told.client_order_id == client_order_id else None

    async def forget(self, order: OrderRef) -> None:
        """The venue has no such order (a testnet that was reset): stop asking for it."""
        await reading(self._redis.srem(self._open, str(order), order.order_id))
        await reading(self._redis.hdel(self._accepted, str(order), order.order_id))

    async def untold(self, traces: Sequence[Trace]) -> list[Trace]:
        """Those of *traces* that nothing was told of yet."""
        if not traces:
            return []
        keys = [key for trace in traces for key in self._told_keys(trace.order)]
        found = await reading(self._redis.mget(keys))
        told = [
            _read_told(trace.order, *both)
            for trace, both in zip(traces, zip(found[::2], found[1::2], strict=True), strict=True)
        ]
        return [
            trace
            for trace, known in zip(traces, told, strict=True)
            if known is None or not trace.in_(known)
        ]

    async def mark(self) -> str | None:
        """Up to where the account's trades were compared; None where they never were."""
        found = await reading(self._redis.get(self._mark))
        return None if found is None else str(found.decode())

    async def set_mark(self, mark: str) -> None:
        """The account's trades were compared up to there."""
        await reading(self._redis.set(self._mark, mark))

    def _told_keys(self, order: OrderRef) -> list[str]:
        """Where what was told of it is kept, and where the first release kept it."""
        return [
            told_key(self._connector, order),
            first_told_key(self._connector, order.order_id),
        ]

    def _key_of(self, text: str) -> str:
        """Where what was told is kept of an order as the set of open orders names it."""
        order = OrderRef.parse(text)
        if order is None:
            return first_told_key(self._connector, text)
        return told_key(self._connector, order)

    def _publish(self, change: Change, stream: str, data: str) -> None:
        change.write("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)


def _order_id(text: str) -> str:
    """The order id in an order's text, which the first release wrote without the symbol."""
    return text.rpartition(" ")[2]


def _read_told(order: OrderRef, *kept: bytes | None) -> Told | None:
    """The first of *kept* that is of *order*: the first release kept one for all symbols."""
    found = (msgspec.json.decode(data, type=Told) for data in kept if data is not None)
    return next((told for told in found if told.symbol == order.symbol), None)


def _read_accepted(order: OrderRef, *noted: bytes | None) -> Accepted | None:
    """The same of what was noted when it was accepted."""
    found = (msgspec.json.decode(data, type=Accepted) for data in noted if data is not None)
    return next((accepted for accepted in found if accepted.symbol == order.symbol), None)
