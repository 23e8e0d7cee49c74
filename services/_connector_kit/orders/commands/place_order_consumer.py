"""Reads `place_order` and claims the commands in stream order; they execute concurrently."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from common_models import PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.answers import unreadable
from services._connector_kit.orders.commands.data_loss import DataLossDetector
from services._connector_kit.orders.commands.parse import UnreadableError, parse
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    BAD_CLIENT_ORDER_ID,
    Clock,
    CommandEntry,
    CommandQueue,
    Rejection,
)
from services._runtime.failpoints import reach
from services._runtime.supervise import FailureLog

log = structlog.get_logger()

Work = Coroutine[Any, Any, None]
# Bytes; no exchange has a longer client order id or symbol.
MAX_NAME = 255
RATE_LIMITED = Rejection(
    "rate_limited", "the exchange accepts no orders from this connector at the moment"
)


@dataclass(frozen=True, slots=True)
class ConsumerTimings:
    """The consumer's waits and intervals, in seconds."""

    after_error: float = 0.2
    lease: float = 0.5  # between two renewals
    without_lease: float = 1.0
    own_pending: float = 5.0  # between two reads of pending entries
    max_age: float = 10.0  # of a command, by Redis's clock
    max_ahead: float = 1.0  # of Redis's clock, for the id of an entry
    settle: float = 3.0  # after a lost request's validity, until the venue shows its order
    recover_every: float = 30.0  # between two recoveries of the unanswered orders
    held: float = 0.05  # between two checks of the commands held back
    halted: float = 0.2  # between two checks of the halt, while the venue accepts no orders
    # After a data loss or a first start: the venue is queried before a command is sent.
    recovery_window: float = 600.0


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """A command that waits for a condition before its claim; rejected from `until` on."""

    entry: CommandEntry
    command: PlaceOrderCommand
    until: float  # the clock's monotonic seconds

    @property
    def names(self) -> set[str]:
        """A later command with one of these names waits too, to keep the stream order."""
        return {self.command.symbol, self.command.client_order_id}


async def _never() -> None:
    """The default: trading is not halted."""


class PlaceOrderConsumer:
    """Consumes one connector's `place_order` commands.

    `halted` returns why trading is halted, else None. No command waits through a halt, so that
    none is sent when it ends. The executor checks the halt again right before the POST.
    """

    # Reading waits while so many commands are executing or held back.
    MAX_IN_FLIGHT = 64
    # Unanswered orders of earlier runs that are resolved concurrently.
    MAX_RECOVERIES = 8

    def __init__(
        self,
        queue: CommandQueue,
        executor: OrderExecutor,
        clock: Clock,
        timings: ConsumerTimings | None = None,
        *,
        halted: Callable[[], Awaitable[Rejection | None]] = _never,
    ) -> None:
        self._queue = queue
        self._executor = executor
        self._venue = executor.venue
        self._checks = executor.checks
        self._clock = clock
        self._timings = timings or ConsumerTimings()
        self._halted = halted
        self._data_loss = DataLossDetector(round(self._timings.recovery_window * 1000))
        self._in_flight: set[str] = set()
        self._held: dict[str, WaitingOrder] = {}  # by entry id, in stream order
        self._room = asyncio.Semaphore(self.MAX_IN_FLIGHT)
        # Entry ids of unanswered orders that are being recovered.
        self._recovering: set[str] = set()
        self._recoveries = asyncio.Semaphore(self.MAX_RECOVERIES)
        self._recovered_at = float("-inf")
        # Entries that this process read first and has not started: if an error makes it read them
        # again, no other process can have sent them.
        self._untouched: set[str] = set()
        self._connected = False
        self._leased_at = float("-inf")
        self._settled_at = float("-inf")
        self._pending_polled_at = float("-inf")

    async def run(self) -> None:
        """Serve until cancelled."""
        failures = FailureLog("orders_delayed")
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._round(tasks)
                except TransientError as e:
                    self._connected = False
                    failures.seen(e)
                    await self._clock.sleep(self._timings.after_error)
                else:
                    failures.over()

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        if not self._connected:
            # They are read again: a command must be claimed on the connection that delivered it.
            self._in_flight -= self._held.keys()
            self._held.clear()
            if await self._data_loss.check(self._queue):
                # Redis lost the in-flight claims; claim them again.
                self._in_flight.clear()
            self._settled_at = await self._settling()
            self._connected = True
            self._pending_polled_at = self._recovered_at = float("-inf")
        halted = bool(self._held) and await self._halted() is not None
        entries = self._due(halted=halted)
        due = {entry.entry_id for entry in entries}
        if not entries:
            if not await self._holds_lease():
                self._recovered_at = float("-inf")  # a takeover starts with recovery
                await self._clock.sleep(self._timings.without_lease)
                return
            entries = await self._entries()
        for entry in entries:
            if entry.entry_id in self._in_flight and entry.entry_id not in due:
                continue  # a takeover returns our own entries too
            await self._room.acquire()
            self._in_flight.add(entry.entry_id)
            try:
                await self._handle(entry, tasks)
            except TransientError:
                self._done(entry)
                raise
        await self._clock.sleep(0.0)  # new tasks run before the next read
        await self._recover_unanswered(tasks)

    async def _holds_lease(self) -> bool:
        """Renew the lease every `lease` seconds, so that most commands do not wait for it."""
        now = self._clock.monotonic()
        if now - self._leased_at < self._timings.lease:
            return True
        held = await self._queue.hold_lease()
        self._leased_at = now if held else float("-inf")
        return held

    async def _recover_unanswered(self, tasks: asyncio.TaskGroup) -> None:
        """Resolve every unanswered order that is not executing, whether its entry exists or not.

        Its entry may have been deleted, or its symbol removed from the settings. A record that
        another instance still executes may be resolved too: that never sends, and the record is
        closed once.
        """
        now = self._clock.monotonic()
        if now - self._recovered_at < self._timings.recover_every:
            return
        unanswered = await self._executor.journal.unanswered()
        self._recovered_at = now
        for record in unanswered:
            if record.entry_id not in self._in_flight | self._recovering:
                self._recovering.add(record.entry_id)
                tasks.create_task(self._recover(record))

    async def _recover(self, record: Record) -> None:
        try:
            async with self._recoveries:
                await self._executor.recover(record)
        finally:
            self._recovering.discard(record.entry_id)

    async def _entries(self) -> list[CommandEntry]:
        """The next entries to handle: pending ones first, then new ones."""
        now = self._clock.monotonic()
        if now - self._pending_polled_at >= self._timings.own_pending:
            left = [*await self._queue.own_pending(), *await self._queue.take_over()]
            self._pending_polled_at = now
            left = [entry for entry in left if entry.entry_id not in self._in_flight]
            if left:
                return left
        if len(self._held) >= self.MAX_IN_FLIGHT:
            await self._clock.sleep(self._timings.held)
            return []
        new = list(await self._queue.new_entries(wait=not self._held))
        if new:
            reach("after_read")
        elif self._held:
            await self._clock.sleep(self._timings.held)
        self._untouched.update(entry.entry_id for entry in new)
        return new

    def _due(self, *, halted: bool) -> list[CommandEntry]:
        """The held-back commands whose condition is met or whose wait has ended.

        All of them if trading is halted.
        """
        now, due = self._clock.monotonic(), []
        waiting: set[str] = set()
        for held in self._held.values():
            over = now >= held.until or self._checks.wait_reason(held.command.symbol) is None
            if (halted or over) and waiting.isdisjoint(held.names):
                due.append(held.entry)
            else:
                waiting |= held.names
        return due

    async def _handle(self, entry: CommandEntry, tasks: asyncio.TaskGroup) -> None:
        """Claim one command; its execution runs in its own task."""
        if entry.deleted:
            await self._executor.acknowledge_deleted(entry)
            self._done(entry)
            self._recovered_at = float("-inf")  # its record, if any, is recovered next
            return
        try:
            derived = "x" + entry.entry_id
            command = parse(PlaceOrderCommand, entry.data, {"client_order_id": derived})
        except UnreadableError as e:
            self._start(entry, self._refuse_unreadable(entry, e), tasks)
            return
        if (refusal := too_long(command)) is not None:
            work = self._executor.refuse(command, entry, refusal)
        else:
            was_held = self._held.pop(entry.entry_id, None) is not None
            if not was_held and await self._hold(entry, command):
                self._room.release()
                return
            work = await self._claim(entry, command, was_held=was_held)
        self._start(entry, work, tasks)

    def _start(self, entry: CommandEntry, work: Work, tasks: asyncio.TaskGroup) -> None:
        self._untouched.discard(entry.entry_id)
        task = tasks.create_task(work)
        task.add_done_callback(lambda _: self._done(entry))

    def _done(self, entry: CommandEntry) -> None:
        self._in_flight.discard(entry.entry_id)
        self._room.release()

    def _sendable(self, entry: CommandEntry) -> bool:
        """True if no other process can have sent it."""
        fresh = not entry.redelivered or entry.entry_id in self._untouched
        return fresh and not self._data_loss.predates_data_loss(entry.milliseconds)

    async def _hold(self, entry: CommandEntry, command: PlaceOrderCommand) -> bool:
        """Hold a command back while its order must wait; False if it can be claimed now.

        Other commands continue, except those that must be claimed after it.
        """
        if not self._sendable(entry):
            return False
        names = {command.symbol, command.client_order_id}
        behind = any(not names.isdisjoint(held.names) for held in self._held.values())
        if not behind and self._checks.wait_reason(command.symbol) is None:
            return False
        left = await self._left(entry)
        if left <= 0:
            return False
        until = self._clock.monotonic() + left
        self._held[entry.entry_id] = WaitingOrder(entry, command, until)
        return True

    async def _claim(
        self, entry: CommandEntry, command: PlaceOrderCommand, *, was_held: bool
    ) -> Work:
        """Claim the command's id for this entry; return the work that follows."""
        sendable = self._sendable(entry)
        refusal = None
        if was_held:
            refusal = await self._halted() or self._checks.wait_reason(command.symbol)
        order = self._checks.validate(command)
        if isinstance(order, Rejection) and order.reason_code == BAD_CLIENT_ORDER_ID:
            return self._executor.refuse(command, entry, order)
        if sendable and refusal is None and not isinstance(order, Rejection):
            refusal = await self._wait_for_venue(entry)
            order = self._checks.validate(command)  # the market may have changed during the wait
        if refusal is None and isinstance(order, Rejection):
            refusal = order
        if refusal is not None:
            # Redis may have lost an order with this id: after this wait the venue shows it.
            await self._clock.sleep(self._unsettled())
        record = Record(
            client_order_id=command.client_order_id,
            entry_id=entry.entry_id,
            command=command.model_dump_json(exclude_defaults=True),
            timestamp=self._venue.milliseconds() if self._venue.knows_time() else 0,
            validity=self._venue.validity,
            sendable=sendable,
            sent_quantity=None if isinstance(order, Rejection) else order.quantity,
            sent_price=None if isinstance(order, Rejection) else order.price,
        )
        asked = self._clock.monotonic()
        reach("before_claim")
        claim = await self._queue.claim(record)
        reach("after_claim")
        if claim.found is not None:
            return self._executor.handle_existing_claim(claim.found, entry, command)
        if sendable and refusal is None:
            # By Redis's clock at the claim, plus the time since the claim was requested.
            age = claim.milliseconds - entry.milliseconds
            refusal = self._too_late(age / 1000 + self._clock.monotonic() - asked)
        # Also if it is rejected now: an earlier request for it may have been accepted.
        query_first = self._data_loss.in_recovery_window(entry.milliseconds)
        return self._executor.execute(record, entry, refusal, query_first=query_first)

    def _too_late(self, age: float) -> Rejection | None:
        """Reject a command that is too old, or has an id in the future; *age* is in seconds."""
        if age < -self._timings.max_ahead:
            return Rejection("clock", f"the entry's id is {-age:.1f} s ahead of Redis's clock")
        if age > self._timings.max_age:
            expected = f"expected at most {self._timings.max_age:g} s"
            return Rejection("expired", f"the command is {age:.1f} s old; {expected}")
        return None

    async def _wait_for_venue(self, entry: CommandEntry) -> Rejection | None:
        """Wait until an order may be sent to the venue; a rejection if that takes too long.

        The timestamp is journaled after this wait, so that it does not shorten the validity.
        """
        if (halt := await self._halted()) is not None:
            return halt
        unsettled = self._unsettled()
        if not unsettled and await self._venue.ready(0.0):
            return None
        ready = asyncio.create_task(self._ready(unsettled, await self._left(entry)))
        try:
            while not (await asyncio.wait([ready], timeout=self._timings.halted))[0]:
                if (halt := await self._halted()) is not None:
                    return halt
            return None if ready.result() else RATE_LIMITED
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)

    def _unsettled(self) -> float:
        """Seconds until all requests from before the recovery window have reached the venue."""
        return max(0.0, self._settled_at - self._clock.monotonic())

    async def _ready(self, unsettled: float, left: float) -> bool:
        """Wait *unsettled* seconds and then until an order may be sent; *left* seconds in all."""
        await self._clock.sleep(unsettled)
        return await self._venue.ready(max(0.0, left - unsettled))

    async def _left(self, entry: CommandEntry) -> float:
        """Seconds until a command expires, by Redis's clock."""
        server = await self._queue.server()
        return self._timings.max_age - (server.milliseconds - entry.milliseconds) / 1000

    async def _settling(self) -> float:
        """When all requests whose records were lost have reached the venue, or never will."""
        now = self._clock.monotonic()
        if self._data_loss.recovery_began_at < 0:
            return now
        past = (await self._queue.server()).milliseconds - self._data_loss.recovery_began_at
        longest = self._venue.validity / 1000 + self._timings.settle
        return now + min(longest - past / 1000, longest)

    async def _refuse_unreadable(self, entry: CommandEntry, error: UnreadableError) -> None:
        answer = None
        if isinstance(error.fields.get("client_order_id"), str):
            answer = unreadable(error.fields, entry, str(error), self._venue.milliseconds())
        await self._executor.dead_letter(entry, answer, str(error))


def too_long(command: PlaceOrderCommand) -> Rejection | None:
    """Reject a command whose id or symbol is too long to be stored; None if both fit."""
    for reason_code, name, text in (
        (BAD_CLIENT_ORDER_ID, "client_order_id", command.client_order_id),
        ("unknown_symbol", "symbol", command.symbol),
    ):
        if (size := len(text.encode())) > MAX_NAME:
            expected = f"expected at most {MAX_NAME}"
            return Rejection(reason_code, f"{name} {text[:50]!r}... has {size} bytes; {expected}")
    return None
