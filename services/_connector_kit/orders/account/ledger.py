"""Keeps the last published state of each order, and publishes each change exactly once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from common_models import OrderStatusUpdateEvent
from common_models.stream_names import EventStream
from services._connector_kit.orders.account.order_state import (
    AcceptedOrder,
    OrderState,
    published_keys,
    read_published,
)
from services._connector_kit.orders.account.order_status import (
    LOST,
    OrderDiff,
    OrderStatusReport,
    PublishedOrder,
    diff,
    ended,
    generation,
)
from services._connector_kit.orders.account.venue import TradeEvidence
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.keys import (
    OrderRef,
    accepted_key,
    fills_missing_key,
    first_published_key,
    open_key,
    positions_key,
    published_as_key,
    published_key,
    trades_mark_key,
)
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.risk.positions import updated_position
from services._runtime.failpoints import reach
from services._runtime.fees import full_fee
from services._runtime.position import day_of
from services._runtime.redis_transaction import Change, reading, transact

log = structlog.get_logger()

# In seconds: how long a closed order is queried for missing fills.
QUERY_FILLS_FOR = 24 * 3600


@dataclass(slots=True)
class _Done:
    """The result of one transaction: the published events, and whether a report was held back.

    `generations`: the venue gave one order id to two orders; when each was created (venue
    milliseconds), the older one first.
    """

    published: list[tuple[PublishedOrder, OrderStatusUpdateEvent]] = field(default_factory=list)
    held: bool = False
    generations: tuple[int, int] | None = None


class Ledger:
    """The last published state of one account's orders, kept in Redis beside the streams.

    Every change reads the published state, and writes the event and the new state in one
    transaction. So the same report publishes nothing a second time, from another instance or after
    a lost reply.
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        exchange: str,
        events_maxlen: int,
        counts: OrderMetrics | None = None,
    ) -> None:
        self._counts = counts or OrderMetrics()
        self._redis: Any = redis
        self._connector = connector
        self._exchange = exchange
        self._maxlen = events_maxlen
        self._statuses = str(EventStream(connector, "order_status"))
        self._open = open_key(connector)
        self._trades_cursor = trades_mark_key(connector)
        self._accepted = accepted_key(connector)
        self._fills_missing = fills_missing_key(connector)
        self._positions = positions_key(connector)
        self._generation_created = 0  # of the venue's newest known one, in milliseconds

    async def publish(self, report: OrderStatusReport, *, again: bool = False) -> bool:
        """Publish what is new in *report*; True if it published something.

        With *again* the order's status is published even if nothing is new.

        Raises:
            TransientError: Redis failed; publishing again is safe.
        """
        return bool((await self._publish_report(report, again=again)).published)

    async def publish_complete(self, report: OrderStatusReport) -> bool:
        """Publish what is new in *report*, unless more fills are missing than before.

        False if more are missing: nothing was published then.

        Raises:
            TransientError: Redis failed; publishing again is safe.
        """
        return not (await self._publish_report(report, whole=True)).held

    async def _publish_report(
        self, report: OrderStatusReport, *, again: bool = False, whole: bool = False
    ) -> _Done:
        order = report.order

        async def decide(change: Change) -> _Done:
            done = _Done()
            state = OrderState(self._connector, order, report.client_order_id, change)
            which = generation(state.published, report)
            if which == "older":
                return done
            if which == "newer":
                await self._start_generation(change, done, state, report)
            known, record = await state.complete(report)
            published = state.published
            found = diff(
                published,
                known,
                self._exchange,
                external=record is None,
                again=again,
                history=state.is_history(known, record),
            )
            missing = found.published.missing if found else 0
            if whole and missing > (published.missing if published else 0):
                done.held = True
                return done
            state.remove_accepted()
            self._write(change, done, state, found, record)
            return done

        return await self._transact(order, report.client_order_id, decide)

    async def _start_generation(
        self, change: Change, done: _Done, state: OrderState, report: OrderStatusReport
    ) -> None:
        """The venue gave the order's id to a new order: publish the end of the former one."""
        published = state.published
        if published is None:
            return
        done.generations = published.created, report.created
        if not published.closed:
            last = ended(report.order_id, published, LOST, report.milliseconds)
            record = await state.record(published.client_order_id)
            found = diff(published, last, self._exchange, external=record is None)
            self._write(change, done, state, found, record)
        state.start_generation()

    async def end(self, order: OrderRef, word: str, milliseconds: int) -> None:
        """The venue no longer shows the order: publish its last status, and stop querying it.

        *word* is `LOST` or `ARCHIVED`; *milliseconds* is the venue's time.

        Raises:
            TransientError: Redis failed; ending it again is safe.
        """

        async def decide(change: Change) -> _Done:
            done, state = _Done(), OrderState(self._connector, order, None, change)
            known = state.published or state.accepted
            record = await state.record(known.client_order_id if known else None)
            state.remove_accepted()
            state.remove_open()
            published = state.published or (_placed(record) if record else None)
            if published is not None and not published.closed:
                last = ended(order.order_id, published, word, milliseconds)
                found = diff(published, last, self._exchange, external=record is None)
                self._write(change, done, state, found, record)
            return done

        await self._transact(order, None, decide)

    async def _transact(
        self,
        order: OrderRef,
        client_order_id: str | None,
        decide: Callable[[Change], Awaitable[_Done]],
    ) -> _Done:
        keys = [*published_keys(self._connector, order), self._positions]
        reads = OrderState.reads(self._connector, order, client_order_id)
        reach("before_tell")
        done = await transact(self._redis, keys, reads, decide)
        reach("after_tell")
        if done.generations is not None and done.generations[0] >= self._generation_created:
            # Log once for all ids that restarted together.
            _, self._generation_created = done.generations
            log.warning("venue_ids_restarted", **order._asdict())
        for now, event in done.published:
            self._counts.status_published(event, closed=now.closed)
        return done

    def _write(
        self,
        change: Change,
        done: _Done,
        state: OrderState,
        found: OrderDiff | None,
        record: Record | None,
    ) -> None:
        """Publish the event, and store the published state."""
        if found is None:
            return
        if found.event is not None:
            self._write_event(change, self._statuses, found.event.model_dump_json())
            done.published.append((found.published, found.event))
        if record is not None:
            self._book(change, state, found.published)
        state.keep(found.published, record)

    def _book(self, change: Change, state: OrderState, now: PublishedOrder) -> None:
        """Add the new fills and fees of one of our orders to the position."""
        day, rate = day_of(state.milliseconds / 1000), full_fee(self._exchange)
        position = updated_position(state.position, state.published, now, day, rate)
        if position is not None:
            change.write("HSET", self._positions, now.symbol, position)

    async def open_orders(self) -> list[tuple[str, PublishedOrder]]:
        """The orders whose last published status is open, by exchange order id."""
        texts = [text.decode() for text in await reading(self._redis.smembers(self._open))]
        keys = [self._key_of(text) for text in texts]
        found = await reading(self._redis.mget(keys)) if keys else ()
        published = [
            (_order_id(text), msgspec.json.decode(data, type=PublishedOrder))
            for text, data in zip(texts, found, strict=True)
            if data
        ]
        self._counts.open = {OrderRef(order.symbol, order_id) for order_id, order in published}
        return published

    async def accepted(self) -> dict[OrderRef, str]:
        """The accepted orders without a published status, and their client order ids."""
        found = await reading(self._redis.hgetall(self._accepted))
        accepted = {}
        for text, data in found.items():
            order = msgspec.json.decode(data, type=AcceptedOrder)
            accepted[OrderRef(order.symbol, _order_id(text.decode()))] = order.client_order_id
        return accepted

    async def published(self, order: OrderRef) -> PublishedOrder | None:
        """The last published state of an order; None if nothing was published."""
        return read_published(
            order, *await reading(self._redis.mget(published_keys(self._connector, order)))
        )

    async def published_as(self, symbol: str, client_order_id: str) -> OrderRef | None:
        """The order that was published last with this symbol and client order id."""
        found = await reading(self._redis.get(published_as_key(self._connector, client_order_id)))
        text = (found or b"").decode()
        order = OrderRef.parse(text) or OrderRef(symbol, text)
        published = await self.published(order) if found and order.symbol == symbol else None
        return order if published and published.client_order_id == client_order_id else None

    async def fills_missing(self) -> list[OrderRef]:
        """The orders that closed less than a day ago with fewer published fills than filled."""
        seconds, _ = await reading(self._redis.time())
        oldest = (seconds - QUERY_FILLS_FOR) * 1000
        await reading(self._redis.zremrangebyscore(self._fills_missing, "-inf", f"({oldest}"))
        found = await reading(self._redis.zrange(self._fills_missing, 0, -1))
        return [order for text in found if (order := OrderRef.parse(text.decode()))]

    async def unpublished(self, trades: Sequence[TradeEvidence]) -> list[TradeEvidence]:
        """Those of *trades* that no published state includes."""
        if not trades:
            return []
        keys = [key for trade in trades for key in published_keys(self._connector, trade.order)]
        found = await reading(self._redis.mget(keys))
        published = [
            read_published(trade.order, *both)
            for trade, both in zip(trades, zip(found[::2], found[1::2], strict=True), strict=True)
        ]
        return [
            trade
            for trade, known in zip(trades, published, strict=True)
            if known is None or not trade.is_in(known)
        ]

    async def trades_cursor(self) -> str | None:
        """The cursor up to which trades are reconciled; None before the first reconciliation."""
        found = await reading(self._redis.get(self._trades_cursor))
        return None if found is None else str(found.decode())

    async def set_trades_cursor(self, trades_cursor: str) -> None:
        """Store the cursor up to which trades are reconciled."""
        await reading(self._redis.set(self._trades_cursor, trades_cursor))

    def _key_of(self, text: str) -> str:
        """The key of the published state of an order, given its text in the set of open orders."""
        order = OrderRef.parse(text)
        if order is None:
            return first_published_key(self._connector, text)
        return published_key(self._connector, order)

    def _write_event(self, change: Change, stream: str, data: str) -> None:
        change.write("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)


def _placed(record: Record) -> PublishedOrder:
    """An order of which only the command is known, as if it had been published as open."""
    order = record.order
    quantity = Decimal(record.sent_quantity or str(order.quantity))
    zero = Decimal(0)
    return PublishedOrder(
        record.client_order_id, order.symbol, "open", quantity, zero, zero, {}, side=order.side
    )


def _order_id(text: str) -> str:
    """The order id in an order's text; the first release wrote it without the symbol."""
    return text.rpartition(" ")[2]
