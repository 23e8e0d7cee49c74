"""`cancel_all_orders`: cancels open orders, and the orders that are still being placed.

It works as fast as the venue's request limit allows: with one request per symbol if the venue has
such a request, else with several requests at once. Afterwards it reads the orders' states with as
few requests as possible.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from common_models import CancelAllProgress
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.commands.cancel_order import order_id_of
from services._connector_kit.orders.commands.request_ports import (
    DONE,
    GIVE_UP_AFTER,
    RequestOutcome,
    RequestVenue,
    VenueOpenOrder,
    refusal,
)
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import Clock, CommandEntry, OrderJournal
from services._connector_kit.rate_limit import Priority, spending_as
from services._runtime.supervise import full_jitter

T = TypeVar("T")
log = structlog.get_logger()

# Orders cancelled concurrently; for more orders of a symbol the venue's bulk request is used.
AT_ONCE = 4
# Seconds that the answer waits for unanswered orders: the longest time to resolve one.
ORDERS_SETTLE_WITHIN = 45.0
POLL_INTERVAL = 0.2
# Queries for the cancelled orders' states, and the seconds between them.
MAX_QUERIES = 3
QUERY_INTERVAL = 0.5
PROGRESS_INTERVAL = 1.0
MAX_NAMED = 10

# Returns the seconds that so many requests take within the venue's limit.
Estimate = Callable[[int], float]
# Returns when the newest entry of an entry's stream was added, in Redis milliseconds; at most now.
NewestEntry = Callable[[CommandEntry], Awaitable[int]]
OnProgress = Callable[[CancelAllProgress | None], None]


class CancelAll:
    """Executes one run at a time; commands that arrive during a run share the next one.

    A run that cancelled everything answers all commands that were in the stream when it started,
    even those that are read later.

    *apart*: seconds between two runs, so that a client that repeats the command can't use up the
    reserved request budget.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: OrderJournal,
        clock: Clock,
        priority: Priority,
        estimate: Estimate,
        on_progress: OnProgress,
        apart: float,
        newest_entry: NewestEntry,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._priority = priority
        self._estimate = estimate
        self._on_progress = on_progress
        self._apart = apart
        self._newest_entry = newest_entry
        self._ended_at = float("-inf")
        self._turn = asyncio.Lock()
        self._next: dict[str | None, _Shared] = {}
        # By symbol: commands before this time, in Redis milliseconds, are done.
        self._done_before: dict[str | None, int] = {}

    async def execute(
        self, symbol: str | None, venue: RequestVenue, entry: CommandEntry
    ) -> RequestOutcome:
        """Cancel all open orders of a symbol (None: of all symbols) for the command in *entry*."""
        if self._is_done(symbol, entry):
            return DONE
        shared = self._next.setdefault(symbol, _Shared())
        async with shared.turn:
            if shared.outcome is None:
                async with self._turn:
                    if self._is_done(symbol, entry):
                        return DONE
                    wait = self._ended_at + self._apart - self._clock.monotonic()
                    await self._clock.sleep(max(0.0, wait))
                    # A later command may mean orders that this run does not see.
                    self._next.pop(symbol, None)
                    began = await self._newest(entry)
                    shared.outcome = await self._run(symbol, venue)
                    if shared.outcome == DONE:
                        self._done_before[symbol] = began
        return shared.outcome

    def _is_done(self, symbol: str | None, entry: CommandEntry) -> bool:
        """True if a run that started after the command was added has cancelled its orders."""
        return any(entry.milliseconds < self._done_before.get(s, 0) for s in (None, symbol))

    async def _newest(self, entry: CommandEntry) -> int:
        """When the newest command was added, in Redis milliseconds; 0 if Redis fails."""
        try:
            return await self._newest_entry(entry)
        except TransientError:
            return 0

    async def _run(self, symbol: str | None, venue: RequestVenue) -> RequestOutcome:
        run = _Run(venue, self._ledger, self._journal, self._clock, self._estimate)
        reporting = asyncio.ensure_future(self._report_progress(run))
        try:
            with spending_as(self._priority):
                return await run.execute(symbol)
        except (RejectedError, FeedStoppedError) as e:
            return refusal(e)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            self._on_progress(None)
            self._ended_at = self._clock.monotonic()

    async def _report_progress(self, run: "_Run") -> None:
        """Log and publish the progress at once and then every second."""
        while True:
            progress = run.progress()
            if progress.left or progress.done:
                log.info("cancel_all", **progress.model_dump())
                self._on_progress(progress)
            await self._clock.sleep(PROGRESS_INTERVAL)


class _Shared:
    """One run that several commands wait for."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.outcome: RequestOutcome | None = None


class _Run:
    """One pass over all open orders."""

    def __init__(
        self,
        venue: RequestVenue,
        ledger: Ledger,
        journal: OrderJournal,
        clock: Clock,
        estimate: Estimate,
    ) -> None:
        self._venue = venue
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._estimate = estimate
        self._began = clock.monotonic()
        self._left = 0
        self._done = 0
        self._refused: dict[OrderRef, str] = {}
        self._unlisted: set[OrderRef] = set()  # known here; the venue hasn't shown them
        self._unresolved: set[OrderRef] = set()  # of these: neither cancelled nor shown
        self._stopped: FeedStoppedError | None = None
        self._limit = asyncio.timeout(GIVE_UP_AFTER)

    def progress(self) -> CancelAllProgress:
        """Orders left and done, and the estimated seconds left by the slower of limit and pace."""
        pace = (self._clock.monotonic() - self._began) / self._done if self._done else 0.0
        seconds = max(self._estimate(self._left), pace * self._left) if self._left else 0.0
        return CancelAllProgress(left=self._left, done=self._done, seconds_left=round(seconds, 1))

    async def execute(self, symbol: str | None) -> RequestOutcome:
        """Cancel the orders of *symbol* (None: of all symbols) and return the outcome.

        An order whose POST is in flight is not among the venue's open orders yet. So the book of
        record is read first, and `done` is returned once every order in it is resolved. The venue
        may not list an order yet that it has just accepted: orders that were accepted or published
        as open are cancelled even if the venue does not list them.
        """
        try:
            async with self._limit:
                under_way = await self._retried(lambda: self._under_way(symbol))
                known = await self._retried(lambda: self._known_open(symbol))
                reports = await self._retried(self._venue.open_orders)
                orders = [
                    VenueOpenOrder(r.symbol, r.order_id, r.client_order_id, r.created)
                    for r in reports
                    if symbol in (None, r.symbol)
                ]
                self._unlisted = known.keys() - {order.ref for order in orders}
                orders += [
                    VenueOpenOrder(ref.symbol, ref.order_id, known[ref])
                    for ref in sorted(self._unlisted)
                ]
                self._left = len(orders) + len(under_way)
                await self._cancel(orders, {r.order.symbol for r in under_way.values()})
                failures = await self._publish(orders)
                failures += await self._settle(symbol, under_way)
        except TimeoutError:
            message = f"the exchange did not answer for {GIVE_UP_AFTER:g} s"
            if self._left:
                message += f": {self._left} of {self._left + self._done} orders are left"
            return RequestOutcome("unknown", "no_answer", message)
        if failures:
            more = f" and {len(failures) - MAX_NAMED} more" if len(failures) > MAX_NAMED else ""
            named = "; ".join(failures[:MAX_NAMED])
            return RequestOutcome("rejected", "not_all_canceled", named + more)
        unresolved = sorted({*under_way, *(ref.order_id for ref in self._unresolved)})
        if unresolved:
            names = ", ".join(unresolved[:MAX_NAMED])
            message = f"the outcome of {len(unresolved)} orders is not known yet: {names}"
            return RequestOutcome("unknown", "orders_unresolved", message)
        return DONE

    async def _cancel(self, orders: Sequence[VenueOpenOrder], awaited: set[str]) -> None:
        """Cancel *orders*; symbols in *awaited* have unanswered orders, so no bulk request."""
        by_symbol: dict[str, list[VenueOpenOrder]] = {}
        for order in orders:
            by_symbol.setdefault(order.symbol, []).append(order)
        singly: deque[VenueOpenOrder] = deque()
        for symbol, of_symbol in by_symbol.items():
            many = len(of_symbol) > AT_ONCE and symbol not in awaited
            if many and await self._cancel_symbol(symbol, of_symbol):
                self._advance(len(of_symbol))
            else:
                singly += of_symbol
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(AT_ONCE, len(singly))):
                tasks.create_task(self._cancel_singly(singly))
        if self._stopped is not None:
            raise self._stopped

    async def _cancel_symbol(self, symbol: str, orders: Sequence[VenueOpenOrder]) -> bool:
        """Cancel a symbol's orders by one request; False if they must be cancelled one by one.

        The request may remove the orders' client order ids, so all of them must be published
        before: otherwise an order with an unknown outcome could no longer be found by its id.
        """
        published = await self._retried(self._ledger.open_orders)
        known = {OrderRef(each.symbol, order_id) for order_id, each in published}
        if not {order.ref for order in orders} <= known:
            return False
        try:
            return await self._retried(lambda: self._venue.stop_all(symbol))
        except RejectedError as e:
            log.info("bulk_cancel_rejected", symbol=symbol, error=str(e))
            return False

    async def _cancel_singly(self, orders: deque[VenueOpenOrder]) -> None:
        while orders and self._stopped is None:
            order = orders.popleft()
            try:
                await self._retried(lambda o=order: self._venue.stop(o))  # type: ignore[misc]
            except RejectedError as e:
                self._refused[order.ref] = str(e)
            except FeedStoppedError as e:
                self._stopped = e
                return
            self._advance(1)

    def _advance(self, orders: int) -> None:
        self._left -= orders
        self._done += orders
        self._extend_timeout()

    def _extend_timeout(self, seconds: float = GIVE_UP_AFTER) -> None:
        """Extend the time limit after progress: *seconds* for the next step."""
        if not self._limit.expired():  # else this task is about to be cancelled
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _publish(self, orders: Sequence[VenueOpenOrder]) -> list[str]:
        """Publish the states of *orders*; return those that could not be cancelled, with reasons.

        The next reconciliation publishes a cancelled order that the venue does not show yet.
        """
        wanted = {order.ref: order for order in orders}
        for again in range(MAX_QUERIES):
            if not wanted:
                break
            if again:
                await self._clock.sleep(QUERY_INTERVAL)
            asked = tuple(wanted.values())
            for report in await self._retried(lambda a=asked: self._venue.became(a)):  # type: ignore[misc]
                await self._retried(lambda r=report: self._ledger.publish(r))  # type: ignore[misc]
                self._unlisted.discard(report.order)  # the venue shows it now
                if report.closed:  # canceled, or filled meanwhile
                    wanted.pop(report.order, None)
            self._extend_timeout()
        for ref in wanted.keys() - self._refused.keys():
            log.warning("order_not_shown", **ref._asdict())
        self._unresolved |= wanted.keys() & self._refused.keys() & self._unlisted
        refused = ((ref, self._refused.get(ref)) for ref in wanted if ref not in self._unlisted)
        return [f"{ref.order_id}: {why}" for ref, why in refused if why is not None]

    async def _settle(self, symbol: str | None, under_way: dict[str, Record]) -> list[str]:
        """Wait for unanswered orders and cancel those that open; remove them from *under_way*.

        Returns those that could not be cancelled, with reasons.
        """
        failures = []
        waited_until = self._clock.monotonic() + ORDERS_SETTLE_WITHIN
        self._extend_timeout(ORDERS_SETTLE_WITHIN + GIVE_UP_AFTER)
        while under_way and self._clock.monotonic() < waited_until:
            still = await self._retried(lambda: self._under_way(symbol))
            became = []
            for client_order_id in under_way.keys() - still.keys():
                taken = under_way.pop(client_order_id)
                record = await self._retried(lambda i=client_order_id: self._journal.get(i))  # type: ignore[misc]
                if record is None or record.state != "closed":
                    failures.append(f"{client_order_id}: its record is missing")
                elif (order_id := order_id_of(record)) is not None:
                    became.append(VenueOpenOrder(taken.order.symbol, order_id, client_order_id))
                    continue
                self._left -= 1
                self._done += 1
            await self._cancel(became, {order.symbol for order in became})
            failures += await self._publish(became)
            if under_way:
                await self._clock.sleep(POLL_INTERVAL)
        return failures

    async def _known_open(self, symbol: str | None) -> dict[OrderRef, str | None]:
        """The client order ids of the orders that were accepted here or published as open.

        Accepted ones are read first: one that is published meanwhile is then among the open ones.
        """
        known: dict[OrderRef, str | None] = {**await self._ledger.accepted()}
        for order_id, order in await self._ledger.open_orders():
            known[OrderRef(order.symbol, order_id)] = order.client_order_id
        return {ref: name for ref, name in known.items() if symbol in (None, ref.symbol)}

    async def _under_way(self, symbol: str | None) -> dict[str, Record]:
        """The claimed orders without a final answer, by client order id."""
        unanswered = await self._journal.unanswered()
        return {r.client_order_id: r for r in unanswered if symbol in (None, r.order.symbol)}

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat *call*, which must be safe to repeat, after each TransientError."""
        waits = full_jitter()
        while True:
            try:
                return await call()
            except TransientError as e:
                log.info("cancel_all_delayed", error=str(e))
                await self._clock.sleep(max(next(waits), e.retry_after))
