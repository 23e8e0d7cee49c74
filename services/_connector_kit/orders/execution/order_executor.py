"""One `place_order` from its claim to its final answer.

The promise: for every command at most one order ever exists at the venue, every command gets
exactly one final answer, and "rejected" is never said without evidence. What holds it up:

* a client order id is claimed (one compare-and-set) before anything is decided or sent;
* one POST per claim, and only by the process that made the claim, at once: whoever finds a
  claim that exists already resolves it by asking the venue;
* the POST carries the timestamp that was journaled, so that the venue itself refuses it late;
* "not found" is believed only after the venue could no longer have carried it out;
* an order found under the id is ours only if its terms fit: see `identity.py`.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.orders.commands.answers import (
    accepted,
    outcome_unknown,
    rejected,
    replayed,
)
from services._connector_kit.orders.execution.evidence import Evidence, ExecutorTimings
from services._connector_kit.orders.execution.identity import is_ours, same_terms
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    Clock,
    CommandEntry,
    ExecutionVenue,
    OrderJournal,
    OutcomeUnknown,
    PlaceOutcome,
    PreTradeChecks,
    Rejection,
    VenueAcceptance,
    VenueOrder,
)
from services._runtime.failpoints import reach
from services._runtime.supervise import FailureLog

T = TypeVar("T")
log = structlog.get_logger()


def _ignore(_record: Record, _outcome: PlaceOutcome, _seconds: float) -> None:
    """Nobody counts the outcomes."""


class OrderExecutor:
    """Carries claimed orders to their answers.

    `on_outcome` is called with the record, the outcome of its POST, and how many seconds that took.
    """

    def __init__(
        self,
        venue: ExecutionVenue,
        checks: PreTradeChecks,
        journal: OrderJournal,
        clock: Clock,
        timings: ExecutorTimings | None = None,
        *,
        on_outcome: Callable[[Record, PlaceOutcome, float], None] = _ignore,
    ) -> None:
        self.venue = venue
        self.checks = checks
        self.journal = journal
        self.clock = clock
        self.timings = timings or ExecutorTimings()
        self._on_outcome = on_outcome

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """A claim of our own, just made: check it, send it once, answer it."""
        if not record.sendable:
            await self.resolve(record, entry)
            return
        if query_first and await self._answered_from_venue(record, entry, refusal):
            return
        # Right before the POST: looking may have taken a while.
        refusal = refusal or await self.checks.check(record)
        if refusal is not None:
            # Where it had to be looked for, Redis may have lost that it was sent.
            await self._reject(record, entry, refusal, unsent=not query_first)
            return
        reach("before_post")
        sent = self.clock.monotonic()
        outcome = await self.venue.place(record)
        self._on_outcome(record, outcome, self.clock.monotonic() - sent)
        reach("after_post")
        match outcome:
            case VenueAcceptance(order):
                await self._accept(record, entry, order)
            case Rejection() as refusal:
                await self._reject(record, entry, refusal)
            case OutcomeUnknown(message):
                await self._publish_unknown(record, entry, message)
                await self.resolve(record, entry)

    async def handle_existing_claim(
        self, found: Record, entry: CommandEntry, command: PlaceOrderCommand
    ) -> None:
        """A command whose client order id is claimed already.

        The entry id is compared first: the same entry is the same command, whatever release
        wrote its record.
        """
        if found.entry_id == entry.entry_id:
            await self._handle_same_entry(found, entry)
        elif same_terms(found.order, command):
            closed = await self._wait_until_closed(found)
            await self._answer(entry, replayed(closed, entry))
        else:
            message = f"client_order_id {command.client_order_id!r} belongs to another order"
            refusal = Rejection("duplicate_id", f"{message}; want an id that was never used")
            await self._answer(entry, rejected(command, entry, refusal, self.venue.milliseconds()))

    async def _handle_same_entry(self, found: Record, entry: CommandEntry) -> None:
        if found.state == "closed":
            await self._answer(entry, None)
        else:
            await self.resolve(found, entry)

    async def _wait_until_closed(self, record: Record) -> Record:
        """The closed record of an order that somebody carries out; ourselves, if nobody does."""
        while self.venue.milliseconds() <= self._deadline(record):
            found = await self._until_done(partial(self.journal.get, record.client_order_id))
            if found is not None and found.state == "closed":
                return found
            await self.clock.sleep(self.timings.longest_poll)
        return await self.resolve(record, _entry_of(record))

    async def recover(self, record: Record) -> None:
        """An unanswered record that nobody carries out: find out what became of it, and answer."""
        await self.resolve(record, _entry_of(record))

    async def resolve(self, record: Record, entry: CommandEntry) -> Record:
        """Find out at the venue what became of it, and answer; never sends.

        `unknown` is published if the venue gives no answer by the time it must have been carried
        out, and at once if the venue refuses to say.
        """
        evidence, polls = Evidence(self.timings), self._poll_intervals()
        unknown_at = self.clock.monotonic() + record.validity / 1000 + self.timings.margin
        while True:
            record = self._with_timestamp(record)
            wait = next(polls)
            try:
                order = await self._poll(record, evidence)
            except TransientError as e:
                log.info("resolve_delayed", client_order_id=record.client_order_id, error=str(e))
                late = self._past_deadline(record) or self.clock.monotonic() > unknown_at
                if late and evidence.first("unknown"):
                    await self._publish_unknown(record, entry, f"the venue can't be asked: {e}")
            except RejectedError as e:
                wait = self.timings.refused_poll
                if evidence.first("refused"):
                    name = record.client_order_id
                    log.error("order_unresolvable", client_order_id=name, error=str(e))  # noqa: TRY400 - an answer, no fault of ours
                    await self._publish_unknown(record, entry, f"the venue refuses to say: {e}")
                if evidence.refused_for_too_long(self.clock.monotonic()):
                    return await self._give_up(record, entry, e)
            else:
                if order is not None and is_ours(order, record):
                    return await self._accept(record, entry, order)
                if evidence.complete:
                    return await self._not_found(record, entry, order)
            await self.clock.sleep(wait)

    def _poll_intervals(self) -> Iterator[float]:
        """Waits between two queries, in seconds."""
        wait = self.timings.poll
        while True:
            yield wait
            wait = min(wait * 2, self.timings.longest_poll)

    async def _poll(self, record: Record, evidence: Evidence) -> VenueOrder | None:
        """One query; once misses have added up after the deadline, the final search.

        Returns the order, or somebody else's with that id.
        """
        # A question that was asked before the deadline proves nothing, however late its answer is.
        is_late = self._past_deadline(record)
        reach("before_query")
        order = await self._query(record)
        reach("after_query")
        if order is not None and is_ours(order, record):
            return order
        if is_late and evidence.missed(self.clock.monotonic()):
            order = await self.venue.search(record) or order
            evidence.complete = True
        return order

    async def _query(self, record: Record) -> VenueOrder | None:
        """What the account's events reported, which may be there sooner; else a direct query."""
        published = await self.journal.told(record.client_order_id)
        if published is not None and is_ours(published, record):
            return published
        return await self.venue.find(record)

    async def _publish_unknown(self, record: Record, entry: CommandEntry, message: str) -> None:
        """Publish `unknown`, where it wasn't yet."""
        log.warning("order_unclear", client_order_id=record.client_order_id, error=message)
        answer = outcome_unknown(record, message, self.venue.milliseconds())
        reach("before_unclear")
        await self._until_done(partial(self.journal.publish_unknown, record, entry, answer))
        reach("after_unclear")

    def _deadline(self, record: Record) -> float:
        """Venue milliseconds after which it can no longer be carried out, with a margin."""
        return record.timestamp + record.validity + self.timings.margin * 1000

    def _past_deadline(self, record: Record) -> bool:
        """True once it can't be carried out any more; never before the venue's time is known."""
        known = self.venue.knows_time() and record.timestamp > 0
        return known and self.venue.milliseconds() > self._deadline(record)

    def _with_timestamp(self, record: Record) -> Record:
        """*record* with a timestamp, where the venue's time is known by now.

        Whatever was sent earlier for its id was sent before now.
        """
        if record.timestamp or not self.venue.knows_time():
            return record
        return msgspec.structs.replace(record, timestamp=self.venue.milliseconds())

    async def _answered_from_venue(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None
    ) -> bool:
        """Look at the venue for an order with this id; True once the command is answered.

        It is asked again until it says. If that takes too long to send the order afterwards, or
        nothing would be sent anyway, `unknown` is published meanwhile.
        """
        until = 0 if refusal else record.timestamp + record.validity // 2
        unknown = False
        while True:
            record = self._with_timestamp(record)
            try:
                order = await self._look(record)
                break
            except TransientError as e:
                message = f"the venue can't be asked whether it has this order already: {e}"
            except RejectedError:
                await self.resolve(record, entry)
                return True
            if not unknown and self.venue.milliseconds() > until:
                unknown = True
                await self._publish_unknown(record, entry, message)
                refusal = refusal or Rejection("expired", message)
            await self.clock.sleep(self.timings.poll)
        if order is not None and is_ours(order, record):
            await self._accept(record, entry, order)
        elif order is not None:
            await self._reject(record, entry, _id_in_use(order))
        elif refusal is not None:
            await self._reject(record, entry, refusal)
        return order is not None or refusal is not None

    async def refuse(
        self, command: PlaceOrderCommand, entry: CommandEntry, refusal: Rejection
    ) -> None:
        """Refuse a command that gets no record: no order can have, or ever get, its id."""
        await self._answer(entry, rejected(command, entry, refusal, self.venue.milliseconds()))

    async def _look(self, record: Record) -> VenueOrder | None:
        """The venue's order with that id, by both ways of asking; ours before another's.

        Raises:
            TransientError: no answer, or the venue's time isn't known, which a search needs.
            RejectedError: the venue refuses to say.
        """
        if not record.timestamp:
            raise TransientError("the venue's time isn't known yet")
        order = await self.venue.find(record)
        if order is None or not is_ours(order, record):
            order = await self.venue.search(record) or order
        return order

    async def dead_letter(self, entry: CommandEntry, answer: bytes | None, error: str) -> None:
        """A command that can't be read."""
        await self._until_done(partial(self.journal.answer, entry, answer, error))

    async def _accept(self, record: Record, entry: CommandEntry, order: VenueOrder) -> Record:
        answer = accepted(record, order, self.venue.milliseconds())
        closed = record.closed(answer, created=order.created)
        kept = await self._close(closed, entry)
        if kept.provisional:  # somebody else gave it up while our request was under way
            await self._until_done(partial(self.journal.correct, closed, order))
        return kept

    async def _reject(
        self, record: Record, entry: CommandEntry, refusal: Rejection, *, unsent: bool = False
    ) -> Record:
        answer = rejected(record.order, entry, refusal, self.venue.milliseconds(), record)
        return await self._close(record.closed(answer, unsent=unsent), entry)

    async def _not_found(
        self, record: Record, entry: CommandEntry, other: VenueOrder | None
    ) -> Record:
        """The venue hasn't got it, and can't have it any more; *other* has its id."""
        refusal = Rejection("not_found", "the venue has no such order, and can't have it any more")
        log.warning("order_not_found", client_order_id=record.client_order_id)
        return await self._reject_provisionally(
            record, entry, refusal if other is None else _id_in_use(other)
        )

    async def _give_up(self, record: Record, entry: CommandEntry, error: RejectedError) -> Record:
        """The venue refused to say for too long: a person has to find out."""
        message = f"the venue refuses to say what became of it; ask it by hand: {error}"
        log.error("order_given_up", client_order_id=record.client_order_id, error=str(error))
        return await self._reject_provisionally(record, entry, Rejection("unresolvable", message))

    async def _reject_provisionally(
        self, record: Record, entry: CommandEntry, refusal: Rejection
    ) -> Record:
        """A rejection that the venue didn't confirm: the order is watched for, for a day."""
        at = self.venue.milliseconds()
        answer = rejected(record.order, entry, refusal, at, record, provisional=True)
        return await self._close(record.closed(answer, provisional=True), entry)

    async def _close(self, record: Record, entry: CommandEntry) -> Record:
        reach("before_close")
        kept = await self._until_done(partial(self.journal.close, record, entry))
        reach("after_close")
        if kept.entry_id == record.entry_id:
            return kept
        # Redis forgot this record, and another entry has taken its id since.
        answer = (record.answer or "").encode()
        await self._until_done(partial(self.journal.answer, entry, answer, None))
        return record

    async def acknowledge_deleted(self, entry: CommandEntry) -> None:
        """An entry that was deleted from its stream: its record, if there is one, is recovered."""
        log.error("command_deleted", entry_id=entry.entry_id)
        await self._answer(entry, None)

    async def _answer(self, entry: CommandEntry, answer: OrderResponseEvent | None) -> None:
        data = answer.model_dump_json().encode() if answer else None
        reach("before_answer")
        await self._until_done(partial(self.journal.answer, entry, data, None))
        reach("after_answer")

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a journal call, each of which may be repeated safely, until it is done."""
        wait = self.timings.retry
        failures = FailureLog("journal_delayed")
        while True:
            try:
                return await call()
            except TransientError as e:
                failures.seen(e)
            await self.clock.sleep(wait)
            wait = min(wait * 2, self.timings.longest_retry)


def _entry_of(record: Record) -> CommandEntry:
    """The entry that a record was taken for."""
    return CommandEntry("place_order", record.entry_id, b"", redelivered=True)


def _id_in_use(order: VenueOrder) -> Rejection:
    """The venue holds another order under the id."""
    terms = " ".join(filter(None, (order.side, order.quantity, order.symbol)))
    price = f" at {order.price}" if order.price else ""
    message = f"the venue has another order with this client_order_id: {terms}{price}"
    return Rejection(
        "duplicate_id", f"{message} ({order.order_id}); want an id that was never used"
    )
