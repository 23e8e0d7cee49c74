"""The order core's ports in memory, in the loop's virtual time: for tests of its every step."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from zlib import crc32

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.place_order_consumer import (
    ConsumerTimings,
    PlaceOrderConsumer,
)
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    Claim,
    CommandEntry,
    DataLossRecord,
    PlaceOutcome,
    RedisIdentity,
    Rejection,
    RoundedOrder,
    VenueAcceptance,
    VenueOrder,
)
from tests.support.orders.commands import command
from tests.support.virtual_time import LoopClock, run_virtually

# Redis's and the venue's clock at virtual second 0, in milliseconds.
START = 1_700_000_000_000
NOT_OURS = VenueOrder("6", "order-1", "0", "BTC/USDT", "sell", "limit", "7", "100")


def seconds() -> float:
    """Virtual seconds since the test began."""
    return asyncio.get_running_loop().time()


def milliseconds() -> int:
    """The same as the clock of Redis and of the venue."""
    return START + round(seconds() * 1000)


def order_of(record: Record) -> VenueOrder:
    """The venue's order as *record* sent it."""
    order = record.order
    return VenueOrder(
        f"venue-{record.client_order_id}",
        record.client_order_id,
        "0",
        *(order.symbol, order.side, order.type, record.sent_quantity, record.sent_price),
        created=record.timestamp,
    )


class MemoryVenue:
    """The ports `ExecutionVenue` and `PreTradeChecks`: a test sets its answers; calls are kept."""

    validity = 5000

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self.placed: list[Record] = []
        self.orders: dict[str, VenueOrder] = {}
        self.listed: dict[str, VenueOrder] = {}  # that only a search finds
        self.found_from = 0.0  # until then only a search finds its orders
        self.searched_from = 0.0
        self.silent_until = 0.0  # queries get no answer, or `fault`
        self.fault: Exception = TransientError("no answer")
        self.outcome: PlaceOutcome | None = None
        self.place_takes = 0.0
        self.ready_from = 0.0
        self.time_known_from = 0.0
        self.lacking: dict[str, Rejection] = {}
        self.refusals: list[tuple[float, Rejection]] = []
        self.unfit: Rejection | None = None

    def milliseconds(self) -> int:
        """Its clock."""
        return milliseconds()

    def knows_time(self) -> bool:
        """From `time_known_from` on."""
        return seconds() >= self.time_known_from

    def wait_reason(self, symbol: str) -> Rejection | None:
        """What orders of that symbol wait for."""
        return self.lacking.get(symbol)

    async def ready(self, within: float) -> bool:
        """From `ready_from` on."""
        await asyncio.sleep(max(0.0, min(within, self.ready_from - seconds())))
        return seconds() >= self.ready_from

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """As it is, or `unfit`."""
        price = None if command.price is None else f"{command.price:g}"
        return self.unfit or RoundedOrder(f"{command.quantity:g}", price)

    async def check(self, record: Record) -> Rejection | None:
        """The first of `refusals` whose time has come."""
        self._called("check")
        return next((why for at, why in self.refusals if at <= seconds()), None)

    async def place(self, record: Record) -> PlaceOutcome:
        """`outcome`, or the order is placed."""
        self._called("place")
        self.placed.append(record)
        await asyncio.sleep(self.place_takes)
        if self.outcome is not None:
            return self.outcome
        self.orders[record.client_order_id] = order_of(record)
        return VenueAcceptance(order_of(record))

    async def find(self, record: Record) -> VenueOrder | None:
        """What it has under the id."""
        self._called("find")
        return self._answer(record, self.found_from)

    async def search(self, record: Record) -> VenueOrder | None:
        """The same in its lists."""
        self._called("search")
        found = self._answer(record, self.searched_from)
        return self.listed.get(record.client_order_id, found)

    def times(self, name: str) -> list[float]:
        """When it was asked that."""
        return [at for called, at in self.calls if called == name]

    def _answer(self, record: Record, shown_from: float) -> VenueOrder | None:
        if seconds() < self.silent_until:
            raise self.fault
        return self.orders.get(record.client_order_id) if seconds() >= shown_from else None

    def _called(self, name: str) -> None:
        self.calls.append((name, seconds()))


class MemoryJournal:
    """The port `Journal`: what was published, when, and of which entry."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.pending: dict[str, CommandEntry] = {}
        self.published: list[tuple[float, OrderResponseEvent]] = []
        self.corrected: list[tuple[Record, VenueOrder]] = []
        self.dead_letters: list[tuple[CommandEntry, str]] = []
        self.orders: dict[str, VenueOrder] = {}  # as the account's events reported them
        self.unknown_calls = 0
        self.walks: list[float] = []
        self.failures = 0  # so many calls fail
        self._answered: set[str] = set()

    @property
    def statuses(self) -> list[str]:
        """What was said, in order."""
        return [event.status for _, event in self.published]

    @property
    def reasons(self) -> list[str | None]:
        """Why."""
        return [event.reason_code for _, event in self.published]

    async def get(self, client_order_id: str) -> Record | None:
        """The record of that id."""
        self._may_fail()
        return self.records.get(client_order_id)

    async def unanswered(self) -> Sequence[Record]:
        """Those that aren't closed."""
        self._may_fail()
        self.walks.append(seconds())
        return [record for record in self.records.values() if record.state != "closed"]

    async def publish_unknown(
        self, record: Record, entry: CommandEntry, answer: OrderResponseEvent
    ) -> None:
        """Publish `unknown`, once."""
        self._may_fail()
        self.unknown_calls += 1
        now = self.records.setdefault(record.client_order_id, record)
        if now.state == "taken" and now.entry_id == record.entry_id:
            self.published.append((seconds(), answer))
            self.records[record.client_order_id] = now.marked_unknown()

    async def close(self, record: Record, entry: CommandEntry) -> Record:
        """Publish the answer, once."""
        self._may_fail()
        now = self.records.get(record.client_order_id, record)
        if now.entry_id != record.entry_id:
            return now
        if now.state != "closed":
            self.records[record.client_order_id] = now = record
            if entry.entry_id not in self._answered:
                self._answered.add(entry.entry_id)
                self._publish(record.answer or "")
        self.pending.pop(entry.entry_id, None)
        return now

    async def answer(
        self, entry: CommandEntry, answer: bytes | None, dead_letter: str | None
    ) -> None:
        """Publish the answer of an entry without a record, once."""
        self._may_fail()
        if entry.entry_id not in self._answered:
            if dead_letter is not None:
                self.dead_letters.append((entry, dead_letter))
            if answer is not None:
                self._answered.add(entry.entry_id)
                self._publish(answer)
        self.pending.pop(entry.entry_id, None)

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """Replace a provisional record."""
        self._may_fail()
        if self.records[record.client_order_id].provisional:
            self.records[record.client_order_id] = record
            self.corrected.append((record, order))

    async def published_order(self, client_order_id: str) -> VenueOrder | None:
        """What the account's events reported."""
        self._may_fail()
        return self.orders.get(client_order_id)

    async def provisional(self) -> Sequence[Record]:
        """The records that are."""
        self._may_fail()
        return [record for record in self.records.values() if record.provisional]

    def _publish(self, answer: str | bytes) -> None:
        self.published.append((seconds(), OrderResponseEvent.model_validate_json(answer)))

    def _may_fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise TransientError("Redis is in trouble")


class MemoryQueue:
    """The port `Bus` beside a `MemoryJournal`; *queued* are the entries that nobody read yet."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.queued: list[CommandEntry] = []
        self.others: list[CommandEntry] = []  # what another consumer left for too long
        self.claims: list[tuple[float, Record]] = []
        self.identity = "redis-1"
        self.kept: DataLossRecord | None = DataLossRecord("redis-1", -1, -1)
        self.created_groups = False
        self.newest = 0
        self.ahead = 0  # milliseconds that its clock is ahead of the venue's
        self.claim_takes = 0.0
        self.failures: dict[str, int] = {}  # so many calls of that name fail
        self.reads_lost = 0  # so many replies with new entries are lost on the way
        self.active: Callable[[float], bool] = lambda _: True
        self._journal = journal

    async def server(self) -> RedisIdentity:
        """Which one, and its time."""
        return RedisIdentity(self.identity, milliseconds() + self.ahead)

    async def prepare(self) -> bool:
        """Once `created_groups`."""
        self._may_fail("prepare")
        made, self.created_groups = self.created_groups, False
        return made

    async def load_data_loss(self) -> DataLossRecord | None:
        """What was remembered last."""
        return self.kept

    async def save_data_loss(self, what: DataLossRecord) -> None:
        """Remember it."""
        self.kept = what

    async def newest_entry(self) -> int:
        """As set."""
        return self.newest

    async def hold_lease(self) -> bool:
        """As set."""
        return self.active(seconds())

    async def own_pending(self) -> Sequence[CommandEntry]:
        """What was read and not acknowledged."""
        return list(self._journal.pending.values())

    async def take_over(self) -> Sequence[CommandEntry]:
        """What others left, once."""
        taken, self.others = self.others, []
        self._journal.pending |= {entry.entry_id: entry for entry in taken}
        return taken

    async def new_entries(self, *, wait: bool = True) -> Sequence[CommandEntry]:
        """Up to ten; waits for the first, up to two seconds."""
        until = seconds() + (2.0 if wait else 0.0)
        while not self.queued and seconds() < until:
            await asyncio.sleep(0.1)
            self._may_fail("new_entries")
        self._may_fail("new_entries")
        new = self.queued[:10]
        del self.queued[:10]
        self._journal.pending |= {entry.entry_id: _again(entry) for entry in new}
        if new and self.reads_lost:
            self.reads_lost -= 1
            raise TransientError("the reply was lost")
        return new

    async def claim(self, record: Record) -> Claim:
        """Take the id, where nobody has it."""
        self._may_fail("claim")
        self.claims.append((seconds(), record))
        found = self._journal.records.get(record.client_order_id)
        if found is None:
            self._journal.records[record.client_order_id] = record
        claim = Claim(found, milliseconds() + self.ahead)
        await asyncio.sleep(self.claim_takes)
        return claim

    def lose_everything(self, identity: str) -> None:
        """It came back with what lies in its streams, and no records."""
        self.identity, self.kept = identity, None
        self._journal.records.clear()
        self.failures["new_entries"] = 1

    def _may_fail(self, name: str) -> None:
        if self.failures.get(name, 0):
            self.failures[name] -= 1
            raise TransientError(f"{name}: the connection is gone")


class OrderHarness:
    """A desk among these ports."""

    def __init__(
        self,
        timings: ConsumerTimings | None = None,
        executor: type[OrderExecutor] = OrderExecutor,
        **venue: Any,
    ) -> None:
        self.venue = MemoryVenue()
        for name, value in venue.items():
            setattr(self.venue, name, value)
        self.journal = MemoryJournal()
        self.queue = MemoryQueue(self.journal)
        self.outcomes: list[tuple[str, PlaceOutcome, float]] = []  # of each POST, and its seconds
        self.executor = executor(
            self.venue, self.venue, self.journal, LoopClock(), on_outcome=self._record_outcome
        )
        self.halt: Rejection | None = None
        self.consumer = PlaceOrderConsumer(
            self.queue, self.executor, LoopClock(), timings, halted=self._halted
        )
        self._happens: list[tuple[float, Callable[[], object]]] = []

    def at(self, second: float, what: Callable[[], object]) -> None:
        """Let something happen at that second."""
        self._happens.append((second, what))

    def send(self, *names: str, at: float = 0.0, **fields: Any) -> None:
        """Commands with those client order ids come in at that second."""
        for name in names:
            entry = self.entry(name, at, **fields)
            self.at(at, partial(self.queue.queued.append, entry))

    def entry(self, name: str, at: float = 0.0, **fields: Any) -> CommandEntry:
        """The stream entry of an order with that client order id, of that second."""
        data = command(client_order_id=name, **fields).model_dump_json().encode()
        entry_id = f"{START + round(at * 1000)}-{crc32(name.encode())}"
        return CommandEntry("place_order", entry_id, data, redelivered=False)

    def left_pending(self, entry: CommandEntry) -> None:
        """An earlier process read it, and was killed."""
        self.journal.pending[entry.entry_id] = _again(entry)

    def play(self, until: float) -> None:
        """Let the desk serve until that second."""
        run_virtually(self._serve(until))

    def _record_outcome(self, record: Record, outcome: PlaceOutcome, seconds: float) -> None:
        self.outcomes.append((record.client_order_id, outcome, seconds))

    async def _halted(self) -> Rejection | None:
        return self.halt

    async def _serve(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        for second, what in self._happens:
            loop.call_at(second, what)
        with suppress(TimeoutError):
            async with asyncio.timeout(until):
                await self.consumer.run()


def _again(entry: CommandEntry) -> CommandEntry:
    return replace(entry, redelivered=True)
