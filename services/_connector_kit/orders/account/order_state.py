"""The state of one order in Redis, read and written within one transaction."""

from decimal import Decimal

import msgspec

from services._connector_kit.orders.account.order_status import (
    GENERATIONS_APART_MS,
    OrderStatusReport,
    PublishedOrder,
)
from services._connector_kit.orders.execution.identity import is_ours
from services._connector_kit.orders.execution.record import Record, load
from services._connector_kit.orders.keys import (
    KEEP_CLOSED,
    OrderRef,
    accepted_key,
    fills_missing_key,
    first_published_key,
    open_key,
    order_key,
    positions_key,
    published_as_key,
    published_key,
)
from services._connector_kit.orders.ports import VenueOrder
from services._runtime.redis_commands import Command
from services._runtime.redis_transaction import Change

# The largest difference between the venue's clock and our estimate of it.
TIMES_DIFFER_MS = 60_000


class AcceptedOrder(msgspec.Struct, frozen=True):
    """One of our orders that the venue accepted and that has no published status."""

    symbol: str
    client_order_id: str


class OrderState:
    """One order: its last `published` state, and the note made when it was `accepted`.

    `position` is the stored position of its symbol.
    """

    def __init__(
        self, connector: str, order: OrderRef, client_order_id: str | None, change: Change
    ) -> None:
        kept, noted, self._first_record, seconds_and_micro, self.position = change.found
        self._connector = connector
        self._order = order
        self._change = change
        self._reported_as = client_order_id
        self.published = read_published(order, *kept)
        self.accepted = _read_accepted(order, *noted)
        self.milliseconds = int(seconds_and_micro[0]) * 1000
        self._first_published = read_published(order, kept[1]) is not None
        self._first_accepted = _read_accepted(order, noted[1]) is not None

    @staticmethod
    def reads(connector: str, order: OrderRef, client_order_id: str | None) -> list[Command]:
        """The reads of a transaction on an order that is reported with this client order id."""
        return [
            ("MGET", *published_keys(connector, order)),
            ("HMGET", accepted_key(connector), str(order), order.order_id),
            ("GET", order_key(connector, client_order_id or "")),
            ("TIME",),
            ("HGET", positions_key(connector), order.symbol),
        ]

    async def record(self, client_order_id: str | None) -> Record | None:
        """The journal's record of this symbol and client order id; None if the order isn't ours."""
        if client_order_id is None:
            return None
        data = self._first_record
        if client_order_id != self._reported_as:
            data = await self._change.ask("GET", order_key(self._connector, client_order_id))
        record = None if data is None else load(data)
        return record if record and record.order.symbol == self._order.symbol else None

    async def complete(self, report: OrderStatusReport) -> tuple[OrderStatusReport, Record | None]:
        """*report* completed from our own records, and the record if the order is ours.

        Binance gives a cancelled order the client id of the cancel, and an amended one a new one;
        Luno doesn't report the requested quantity of a market order.
        """
        published_as = self.published.client_order_id if self.published else None
        accepted_as = self.accepted.client_order_id if self.accepted else None
        client_order_id = published_as or accepted_as
        record = await self.record(client_order_id)
        if published_as is None and record is not None and not _in_time(report, record):
            client_order_id = None  # the accepted order is of another generation
        if client_order_id is None:
            client_order_id = report.client_order_id
            record = await self.record(client_order_id)
        report = report._replace(client_order_id=client_order_id)
        if record is None or not _in_time(report, record):
            return report, None
        if client_order_id != accepted_as and not _fits(report, record):
            return report, None
        if not report.quantity and record.sent_quantity is not None:
            report = report._replace(quantity=Decimal(record.sent_quantity))
        return report._replace(type=record.order.type), record

    def start_generation(self) -> None:
        """Discard the state of the former order: the venue gave its id to this one."""
        same = (
            self.published is not None
            and self.accepted is not None
            and self.published.client_order_id == self.accepted.client_order_id
        )
        if same:
            self.remove_accepted()
            self.accepted = None
        self.published = None

    def is_history(self, report: OrderStatusReport, record: Record | None) -> bool:
        """True for an unknown order that closed before `KEEP_CLOSED` began."""
        unknown = self.published is None and self.accepted is None and record is None
        oldest = self.milliseconds - KEEP_CLOSED * 1000
        return unknown and report.closed and report.milliseconds < oldest

    def remove_accepted(self) -> None:
        """Delete the note of the acceptance: a status was published."""
        if self.accepted is not None:
            self._change.write("HDEL", accepted_key(self._connector), str(self._order))
        if self._first_accepted:
            self._change.write("HDEL", accepted_key(self._connector), self._order.order_id)

    def remove_open(self) -> None:
        """Remove the order from the open orders."""
        self._change.write("SREM", open_key(self._connector), str(self._order))
        if self._first_published:
            self._change.write("SREM", open_key(self._connector), self._order.order_id)

    def keep(self, now: PublishedOrder, record: Record | None) -> None:
        """Store the published state; once the order has closed, for `KEEP_CLOSED` seconds."""
        write, before = self._change.write, self.published
        # An order without a final answer is kept; its expiry is set by the journal with the answer.
        ends = now.closed and (record is None or record.state == "closed")
        end = ("EX", KEEP_CLOSED) if ends else ()
        key, first_key = published_keys(self._connector, self._order)
        write("SET", key, msgspec.json.encode(now), *end)
        if now.closed:
            self.remove_open()
        else:
            write("SADD", open_key(self._connector), str(self._order))
        if self._first_published:
            write("PEXPIRE", first_key, 0)
            write("SREM", open_key(self._connector), self._order.order_id)
        if now.client_order_id is not None:
            write(
                "SET",
                published_as_key(self._connector, now.client_order_id),
                str(self._order),
                *end,
            )
        if record is not None:
            record_key = order_key(self._connector, record.client_order_id)
            if ends:
                write("PEXPIRE", record_key, KEEP_CLOSED * 1000)
            elif before is not None and before.closed:  # it was lost, and the venue shows it again
                write("PERSIST", record_key)
        if now.closed and now.missing and not now.lost:
            key, since = fills_missing_key(self._connector), self.milliseconds
            write("ZADD", key, "NX", since, str(self._order))
        elif before is not None and before.closed and before.missing:
            write("ZREM", fills_missing_key(self._connector), str(self._order))


def published_keys(connector: str, order: OrderRef) -> list[str]:
    """The keys of the published state: of this release, and of the first release."""
    return [published_key(connector, order), first_published_key(connector, order.order_id)]


def read_published(order: OrderRef, *kept: bytes | None) -> PublishedOrder | None:
    """The first of *kept* with the symbol of *order*: the first release's key had no symbol."""
    found = (msgspec.json.decode(data, type=PublishedOrder) for data in kept if data is not None)
    return next((published for published in found if published.symbol == order.symbol), None)


def _read_accepted(order: OrderRef, *noted: bytes | None) -> AcceptedOrder | None:
    """The first of *noted* with the symbol of *order*."""
    found = (msgspec.json.decode(data, type=AcceptedOrder) for data in noted if data is not None)
    return next((accepted for accepted in found if accepted.symbol == order.symbol), None)


def _in_time(report: OrderStatusReport, record: Record) -> bool:
    """False if the order was created at another time than the record's."""
    if record.created and report.created:
        return abs(report.created - record.created) <= GENERATIONS_APART_MS
    latest = record.timestamp + record.validity + TIMES_DIFFER_MS
    return not record.timestamp or report.created <= latest


def _fits(report: OrderStatusReport, record: Record) -> bool:
    """True if the record's command may have created the venue's order."""
    return is_ours(
        VenueOrder(
            report.order_id,
            report.client_order_id or "",
            f"{report.filled:f}",
            symbol=report.symbol,
            side=report.side,
            quantity=f"{report.quantity:f}" if report.quantity else None,
            price=f"{report.price:f}" if report.price else None,
            created=report.created,
        ),
        record,
    )
