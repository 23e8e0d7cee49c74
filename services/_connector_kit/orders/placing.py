"""One `place_order` from its claim to its final answer.

The promise: for every command at most one order ever exists at the venue, every command gets
exactly one final answer, and "rejected" is never said without evidence. What holds it up:

* a client order id is claimed (one compare-and-set) before anything is decided or sent;
* one POST per claim, and only by the process that made the claim, at once: whoever finds a
  claim that exists already resolves it by asking the venue;
* the POST carries the timestamp that was journaled, so that the venue itself refuses it late;
* "not found" is believed only after the venue could no longer have carried it out.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.answers import accepted, rejected, replayed, unclear
from services._connector_kit.orders.ports import (
    Clock,
    Entry,
    Journal,
    Placed,
    Refused,
    Unclear,
    Venue,
    VenueOrder,
)
from services._connector_kit.orders.record import Record
from services._runtime.failpoints import reach
from services._runtime.supervise import Trouble

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the core waits for what; in seconds."""

    retry: float = 0.1  # between two tries of the same transaction
    longest_retry: float = 2.0
    poll: float = 0.5  # between two queries for an order
    longest_poll: float = 2.0
    margin: float = 15.0  # after the venue could last have carried it out
    misses: int = 3
    missed_for: float = 10.0


class Placing:
    """Carries claimed orders to their answers."""

    def __init__(
        self, venue: Venue, journal: Journal, clock: Clock, waits: Waits | None = None
    ) -> None:
        self.venue = venue
        self.journal = journal
        self.clock = clock
        self.waits = waits or Waits()

    async def carry_out(
        self, record: Record, entry: Entry, refusal: Refused | None, *, look_first: bool
    ) -> None:
        """A claim of our own, just made: check it, send it once, answer it."""
        if not record.sendable:
            await self.resolve(record, entry)
            return
        refusal = refusal or await self.venue.check(record)
        if look_first and await self._was_there(record, entry, refusal):
            return
        if refusal is not None:
            await self._reject(record, entry, refusal)
            return
        reach("before_post")
        outcome = await self.venue.place(record)
        reach("after_post")
        match outcome:
            case Placed(order):
                await self._accept(record, entry, order)
            case Refused() as refusal:
                await self._reject(record, entry, refusal)
            case Unclear(message):
                await self._say_unknown(record, entry, message)
                await self.resolve(record, entry)

    async def take_up(
        self, found: Record, entry: Entry, command: PlaceOrderCommand, content: str
    ) -> None:
        """A command whose client order id is claimed already."""
        if found.content != content:
            message = f"client_order_id {command.client_order_id!r} belongs to another order"
            refusal = Refused("duplicate_id", f"{message}; want an id that was never used")
            await self._answer(entry, rejected(command, entry, refusal, self.venue.milliseconds()))
        elif found.entry_id == entry.entry_id:
            await self._take_up_again(found, entry)
        else:
            closed = await self._wait_until_closed(found)
            await self._answer(entry, replayed(closed, entry))

    async def _take_up_again(self, found: Record, entry: Entry) -> None:
        if found.state == "closed":
            await self._answer(entry, None)
        else:
            await self.resolve(found, entry)

    async def _wait_until_closed(self, record: Record) -> Record:
        """The closed record of an order that somebody carries out; ourselves, if nobody does."""
        owner = Entry("place_order", record.entry_id, b"", redelivered=True)
        while self.venue.milliseconds() <= self._deadline(record):
            found = await self._until_done(partial(self.journal.get, record.client_order_id))
            if found is not None and found.state == "closed":
                return found
            await self.clock.sleep(self.waits.longest_poll)
        return await self.resolve(record, owner)

    async def resolve(self, record: Record, entry: Entry) -> Record:
        """Find out at the venue what became of it, and answer; never sends.

        `unknown` is said where the venue still gives no answer when it must have been carried out.
        """
        wait, said = self.waits.poll, False
        misses, first_miss = 0, float("inf")
        while True:
            try:
                reach("before_query")
                # What the account's events told is as good as an answer, and may be there sooner.
                order = await self.journal.told(record.client_order_id)
                order = order or await self.venue.find(record)
                reach("after_query")
                if order is None and self.venue.milliseconds() > self._deadline(record):
                    now = self.clock.monotonic()
                    misses += 1
                    first_miss = min(first_miss, now)
                    if misses >= self.waits.misses and now - first_miss >= self.waits.missed_for:
                        order = await self.venue.search(record)
                        if order is None:
                            return await self._not_found(record, entry)
            except TransientError as e:
                log.info("resolve_delayed", client_order_id=record.client_order_id, error=str(e))
                order = None
                if not said and self.venue.milliseconds() > self._deadline(record):
                    said = True
                    await self._say_unknown(record, entry, f"the venue can't be asked: {e}")
            if order is not None:
                return await self._accept(record, entry, order)
            await self.clock.sleep(wait)
            wait = min(wait * 2, self.waits.longest_poll)

    async def _say_unknown(self, record: Record, entry: Entry, message: str) -> None:
        """Publish `unknown`, where it wasn't yet."""
        log.warning("order_unclear", client_order_id=record.client_order_id, error=message)
        answer = unclear(record, message, self.venue.milliseconds())
        reach("before_unclear")
        await self._until_done(partial(self.journal.unclear, record, entry, answer))
        reach("after_unclear")

    def _deadline(self, record: Record) -> float:
        """Venue milliseconds after which it can no longer be carried out, with a margin."""
        return record.timestamp + record.validity + self.waits.margin * 1000

    async def _was_there(self, record: Record, entry: Entry, refusal: Refused | None) -> bool:
        """Whether the venue has the order already, or doesn't say in time; it is answered then."""
        in_time = record.timestamp + record.validity // 2  # to be sent yet
        try:
            order = await self._look(record, float("inf") if refusal else in_time)
        except TransientError:
            await self.resolve(record, entry)
            return True
        if order is not None:
            await self._accept(record, entry, order)
        return order is not None

    async def _look(self, record: Record, until: float) -> VenueOrder | None:
        """The venue's order, asked for in every way there is, again and again where it must be.

        Raises:
            TransientError: the venue didn't say until then (venue milliseconds).
        """
        while True:
            try:
                return await self.venue.find(record) or await self.venue.search(record)
            except TransientError:
                if self.venue.milliseconds() > until:
                    raise
            await self.clock.sleep(self.waits.poll)

    async def dead_letter(self, entry: Entry, answer: bytes | None, error: str) -> None:
        """A command that can't be read."""
        await self._until_done(partial(self.journal.answer, entry, answer, error))

    async def _accept(self, record: Record, entry: Entry, order: VenueOrder) -> Record:
        answer = accepted(record, order, self.venue.milliseconds())
        kept = await self._close(record.closed(answer), entry)
        if kept.provisional:  # somebody else gave it up while our request was under way
            await self._until_done(partial(self.journal.correct, record.closed(answer), order))
        return kept

    async def _reject(self, record: Record, entry: Entry, refusal: Refused) -> Record:
        answer = rejected(record.order, entry, refusal, self.venue.milliseconds(), record)
        return await self._close(record.closed(answer), entry)

    async def _not_found(self, record: Record, entry: Entry) -> Record:
        refusal = Refused("not_found", "the venue has no such order, and can't have it any more")
        answer = rejected(record.order, entry, refusal, self.venue.milliseconds(), record)
        log.warning("order_not_found", client_order_id=record.client_order_id)
        return await self._close(record.closed(answer, provisional=True), entry)

    async def _close(self, record: Record, entry: Entry) -> Record:
        reach("before_close")
        kept = await self._until_done(partial(self.journal.close, record, entry))
        reach("after_close")
        if kept.entry_id == record.entry_id:
            return kept
        # Redis forgot this record, and another entry has taken its id since.
        answer = (record.answer or "").encode()
        await self._until_done(partial(self.journal.answer, entry, answer, None))
        return record

    async def _answer(self, entry: Entry, answer: OrderResponseEvent | None) -> None:
        data = answer.model_dump_json().encode() if answer else None
        reach("before_answer")
        await self._until_done(partial(self.journal.answer, entry, data, None))
        reach("after_answer")

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a journal call, each of which may be repeated safely, until it is done."""
        wait = self.waits.retry
        trouble = Trouble("journal_delayed")
        while True:
            try:
                return await call()
            except TransientError as e:
                trouble.seen(e)
            await self.clock.sleep(wait)
            wait = min(wait * 2, self.waits.longest_retry)
