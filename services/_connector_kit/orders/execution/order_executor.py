"""Executes one `place_order` from its claim to its final answer.

For every command at most one order ever exists at the venue, every command gets exactly one final
answer, and `rejected` is never published without evidence. This is how:

* A client order id is claimed (one compare-and-set) before anything is decided or sent.
* Each claim is followed by at most one POST, sent by the process that made the claim. A process
  that finds an existing claim resolves it by querying the venue.
* The POST carries the journaled timestamp, so that the venue rejects it if it arrives late.
* "Not found" counts only after the venue could no longer have executed the request.
* An order found under the id is ours only if its terms fit: see `identity.py`.
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
    """The default callback; does nothing."""


class OrderExecutor:
    """Executes and resolves claimed orders, and publishes their answers.

    `on_outcome` is called with the record, the outcome of its POST, and the seconds that it took.
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
        """Check, send once and answer an order that this process has just claimed.

        *refusal*: why it must not be sent, if that is known already. *query_first*: query the
        venue before sending, as Redis may have lost an earlier record of the id.
        """
        if not record.sendable:
            await self.resolve(record, entry)
            return
        if query_first and await self._answered_from_venue(record, entry, refusal):
            return
        # Checked right before the POST, as the query may have taken a while.
        refusal = refusal or await self.checks.check(record)
        if refusal is not None:
            # With query_first Redis may have lost the record of an earlier POST.
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
        """Handle a command whose client order id is claimed already.

        The entry id is compared first: the same entry is the same command, even if another release
        wrote its record.
        """
        if found.entry_id == entry.entry_id:
            await self._handle_same_entry(found, entry)
        elif same_terms(found.order, command):
            closed = await self._wait_until_closed(found)
            await self._answer(entry, replayed(closed, entry))
        else:
            message = f"client_order_id {command.client_order_id!r} belongs to another order"
            refusal = Rejection("duplicate_id", f"{message}; expected an unused id")
            await self._answer(entry, rejected(command, entry, refusal, self.venue.milliseconds()))

    async def _handle_same_entry(self, found: Record, entry: CommandEntry) -> None:
        if found.state == "closed":
            await self._answer(entry, None)
        else:
            await self.resolve(found, entry)

    async def _wait_until_closed(self, record: Record) -> Record:
        """Wait until another process closes the order; after the deadline resolve it."""
        while self.venue.milliseconds() <= self._deadline(record):
            found = await self._until_done(partial(self.journal.get, record.client_order_id))
            if found is not None and found.state == "closed":
                return found
            await self.clock.sleep(self.timings.longest_poll)
        return await self.resolve(record, _entry_of(record))

    async def recover(self, record: Record) -> None:
        """Resolve and answer an unanswered record that no process executes."""
        await self.resolve(record, _entry_of(record))

    async def resolve(self, record: Record, entry: CommandEntry) -> Record:
        """Query the venue for the order until its outcome is known, and answer; never sends.

        `unknown` is published if the venue has not answered by the deadline of the request, and at
        once if the venue rejects the query.
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
                    await self._publish_unknown(record, entry, f"the venue rejects the query: {e}")
                if evidence.refused_for_too_long(self.clock.monotonic()):
                    return await self._give_up(record, entry, e)
            else:
                if order is not None and is_ours(order, record):
                    return await self._accept(record, entry, order)
                if evidence.complete:
                    return await self._not_found(record, entry, order)
            await self.clock.sleep(wait)

    def _poll_intervals(self) -> Iterator[float]:
        """Yield the waits between two queries, in seconds."""
        wait = self.timings.poll
        while True:
            yield wait
            wait = min(wait * 2, self.timings.longest_poll)

    async def _poll(self, record: Record, evidence: Evidence) -> VenueOrder | None:
        """Query once; after enough queries past the deadline make the final search.

        Returns our order, else another program's order with that id, else None.
        """
        # A query that was sent before the deadline proves nothing, however late its answer is.
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
        """Return the order from the account's events if it is there; else query the venue."""
        published = await self.journal.published_order(record.client_order_id)
        if published is not None and is_ours(published, record):
            return published
        return await self.venue.find(record)

    async def _publish_unknown(self, record: Record, entry: CommandEntry, message: str) -> None:
        """Publish `unknown` unless it was published before."""
        log.warning("order_outcome_unknown", client_order_id=record.client_order_id, error=message)
        answer = outcome_unknown(record, message, self.venue.milliseconds())
        reach("before_unclear")
        await self._until_done(partial(self.journal.publish_unknown, record, entry, answer))
        reach("after_unclear")

    def _deadline(self, record: Record) -> float:
        """Venue milliseconds after which the request can't be executed, with a margin."""
        return record.timestamp + record.validity + self.timings.margin * 1000

    def _past_deadline(self, record: Record) -> bool:
        """True once the request can't be executed; False while the venue's time is unknown."""
        known = self.venue.knows_time() and record.timestamp > 0
        return known and self.venue.milliseconds() > self._deadline(record)

    def _with_timestamp(self, record: Record) -> Record:
        """Give *record* a timestamp if it has none and the venue's time is known.

        A request that was sent earlier for its id was sent before this time.
        """
        if record.timestamp or not self.venue.knows_time():
            return record
        return msgspec.structs.replace(record, timestamp=self.venue.milliseconds())

    async def _answered_from_venue(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None
    ) -> bool:
        """Query the venue for an order with this id before sending; True if that answered it.

        The query is repeated until the venue answers. If that takes too long to send the order
        afterwards, or the order is rejected anyway, `unknown` is published meanwhile.
        """
        until = 0 if refusal else record.timestamp + record.validity // 2
        unknown = False
        while True:
            record = self._with_timestamp(record)
            try:
                order = await self._find_or_search(record)
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
        """Reject a command without writing a record: no order can have its id."""
        await self._answer(entry, rejected(command, entry, refusal, self.venue.milliseconds()))

    async def _find_or_search(self, record: Record) -> VenueOrder | None:
        """Find an order with that id by query and by search; ours before another program's.

        Raises:
            TransientError: no answer, or the venue's time, which a search needs, is unknown.
            RejectedError: the venue rejects the query.
        """
        if not record.timestamp:
            raise TransientError("the venue's time is not known yet")
        order = await self.venue.find(record)
        if order is None or not is_ours(order, record):
            order = await self.venue.search(record) or order
        return order

    async def dead_letter(self, entry: CommandEntry, answer: bytes | None, error: str) -> None:
        """Answer an unreadable command, and add it to the dead-letter stream."""
        await self._until_done(partial(self.journal.answer, entry, answer, error))

    async def _accept(self, record: Record, entry: CommandEntry, order: VenueOrder) -> Record:
        answer = accepted(record, order, self.venue.milliseconds())
        closed = record.closed(answer, created=order.created)
        kept = await self._close(closed, entry)
        if kept.provisional:  # another instance gave it up during our request
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
        """Reject an order that the venue does not have; *other* is another order with its id."""
        refusal = Rejection(
            "not_found", "the venue has no such order, and the request can no longer be executed"
        )
        log.warning("order_not_found", client_order_id=record.client_order_id)
        return await self._reject_provisionally(
            record, entry, refusal if other is None else _id_in_use(other)
        )

    async def _give_up(self, record: Record, entry: CommandEntry, error: RejectedError) -> Record:
        """Reject an order whose queries the venue rejected for too long; a person must check."""
        message = f"the venue rejects every query for the order; check it at the venue: {error}"
        log.error("order_given_up", client_order_id=record.client_order_id, error=str(error))
        return await self._reject_provisionally(record, entry, Rejection("unresolvable", message))

    async def _reject_provisionally(
        self, record: Record, entry: CommandEntry, refusal: Rejection
    ) -> Record:
        """Reject without the venue's confirmation; the order is watched for a day."""
        at = self.venue.milliseconds()
        answer = rejected(record.order, entry, refusal, at, record, provisional=True)
        return await self._close(record.closed(answer, provisional=True), entry)

    async def _close(self, record: Record, entry: CommandEntry) -> Record:
        reach("before_close")
        kept = await self._until_done(partial(self.journal.close, record, entry))
        reach("after_close")
        if kept.entry_id == record.entry_id:
            return kept
        # Redis lost this record, and another entry has claimed its id since.
        answer = (record.answer or "").encode()
        await self._until_done(partial(self.journal.answer, entry, answer, None))
        return record

    async def acknowledge_deleted(self, entry: CommandEntry) -> None:
        """Acknowledge an entry that was deleted from its stream; its record is recovered later."""
        log.error("command_deleted", entry_id=entry.entry_id)
        await self._answer(entry, None)

    async def _answer(self, entry: CommandEntry, answer: OrderResponseEvent | None) -> None:
        data = answer.model_dump_json().encode() if answer else None
        reach("before_answer")
        await self._until_done(partial(self.journal.answer, entry, data, None))
        reach("after_answer")

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a journal call until it succeeds; each of them may be repeated safely."""
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
    """The entry that a record was claimed for."""
    return CommandEntry("place_order", record.entry_id, b"", redelivered=True)


def _id_in_use(order: VenueOrder) -> Rejection:
    """The rejection of an id under which the venue has another order."""
    terms = " ".join(filter(None, (order.side, order.quantity, order.symbol)))
    price = f" at {order.price}" if order.price else ""
    message = f"the venue has another order with this client_order_id: {terms}{price}"
    return Rejection("duplicate_id", f"{message} ({order.order_id}); expected an unused id")
