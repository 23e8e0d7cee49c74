"""`cancel_all_orders`: what is open is cancelled, and what the orders under way become.

As fast as the venue's limit of requests allows: by one request for a symbol where the venue has
one, else several at once. What became of them is asked for afterwards, by one listing.
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

# So many orders are cancelled at once; more of one symbol are worth the venue's bulk request.
AT_ONCE = 4
# "All canceled" waits this long for orders under way: as long as it may take to find out about one.
ORDERS_SETTLE_WITHIN = 45.0
LOOK_EVERY = 0.2
# So often the venue is asked what became of them, where it doesn't show it at once.
SHOWN_WITHIN = 3
SHOW_AGAIN_AFTER = 0.5
SAY_EVERY = 1.0
MAX_NAMED = 10

# How long so many requests take from now on, by the venue's limit; in seconds.
Estimate = Callable[[int], float]
# When the newest entry of an entry's stream came, by Redis's clock; no later than now.
NewestEntry = Callable[[CommandEntry], Awaitable[int]]
OnProgress = Callable[[CancelAllProgress | None], None]


class CancelAll:
    """Carries out one command after another; those that come meanwhile share the next one's run.

    A run that cancelled everything answers all commands that were in the stream when it began,
    however many there are and whenever they are read.

    *apart*: so many seconds lie between two runs, so that nobody uses up the reserve by asking
    again and again.
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
        # By symbol: commands older than that, in Redis's milliseconds, were carried out.
        self._done_before: dict[str | None, int] = {}

    async def execute(
        self, symbol: str | None, venue: RequestVenue, entry: CommandEntry
    ) -> RequestOutcome:
        """Cancel all open orders of a symbol, or of all (None), as *entry* asks for."""
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
                    # Whoever comes from now on may mean orders that this run doesn't see.
                    self._next.pop(symbol, None)
                    began = await self._newest(entry)
                    shared.outcome = await self._run(symbol, venue)
                    if shared.outcome == DONE:
                        self._done_before[symbol] = began
        return shared.outcome

    def _is_done(self, symbol: str | None, entry: CommandEntry) -> bool:
        """True where a run that began after the command came has cancelled what it means."""
        return any(entry.milliseconds < self._done_before.get(s, 0) for s in (None, symbol))

    async def _newest(self, entry: CommandEntry) -> int:
        """When the newest command came; 0 where Redis can't be asked."""
        try:
            return await self._newest_entry(entry)
        except TransientError:
            return 0

    async def _run(self, symbol: str | None, venue: RequestVenue) -> RequestOutcome:
        run = _Run(venue, self._ledger, self._journal, self._clock, self._estimate)
        telling = asyncio.ensure_future(self._tell(run))
        try:
            with spending_as(self._priority):
                return await run.execute(symbol)
        except (RejectedError, FeedStoppedError) as e:
            return refusal(e)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            self._on_progress(None)
            self._ended_at = self._clock.monotonic()

    async def _tell(self, run: "_Run") -> None:
        """Say how far it is: at once, and every second."""
        while True:
            progress = run.progress()
            if progress.left or progress.done:
                log.info("cancel_all", **progress.model_dump())
                self._on_progress(progress)
            await self._clock.sleep(SAY_EVERY)


class _Shared:
    """One run, and those who wait for its outcome."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.outcome: RequestOutcome | None = None


class _Run:
    """One time through all orders."""

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
        self._unlisted: set[OrderRef] = set()  # known here, not among the venue's open orders
        self._unresolved: set[OrderRef] = set()  # of these: neither cancelled nor shown
        self._stopped: FeedStoppedError | None = None
        self._limit = asyncio.timeout(GIVE_UP_AFTER)

    def progress(self) -> CancelAllProgress:
        """How far it is. The pace so far counts where it is slower than the venue's limit."""
        pace = (self._clock.monotonic() - self._began) / self._done if self._done else 0.0
        seconds = max(self._estimate(self._left), pace * self._left) if self._left else 0.0
        return CancelAllProgress(left=self._left, done=self._done, seconds_left=round(seconds, 1))

    async def execute(self, symbol: str | None) -> RequestOutcome:
        """Cancel them; what became of that.

        An order whose POST is on its way isn't among the venue's open orders yet. So the book of
        record is read first, and "done" waits for everything that stood there. Nor may one be that
        was accepted a moment ago: the orders that were accepted or published as open are cancelled
        whether the venue lists them or not.
        """
        try:
            async with self._limit:
                under_way = await self._patiently(lambda: self._under_way(symbol))
                known = await self._patiently(lambda: self._known_open(symbol))
                reports = await self._patiently(self._venue.open_orders)
                orders = [
                    VenueOpenOrder(r.symbol, r.order_id, r.client_order_id, r.created)
                    for r in reports
                    if symbol in (None, r.symbol)
                ]
                self._unlisted = known - {order.ref for order in orders}
                orders += [
                    VenueOpenOrder(ref.symbol, ref.order_id, None) for ref in sorted(self._unlisted)
                ]
                self._left = len(orders) + len(under_way)
                await self._cancel(orders, {r.order.symbol for r in under_way.values()})
                failures = await self._publish(orders)
                failures += await self._settle(symbol, under_way)
        except TimeoutError:
            message = f"the exchange gave no answer for {GIVE_UP_AFTER:g} s"
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
            message = f"the exchange hasn't said yet what became of {len(unresolved)}: {names}"
            return RequestOutcome("unknown", "orders_unresolved", message)
        return DONE

    async def _cancel(self, orders: Sequence[VenueOpenOrder], awaited: set[str]) -> None:
        """Cancel *orders*; symbols in *awaited* have orders under way."""
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
                tasks.create_task(self._work_off(singly))
        if self._stopped is not None:
            raise self._stopped

    async def _cancel_symbol(self, symbol: str, orders: Sequence[VenueOpenOrder]) -> bool:
        """By one request, where the venue has one; False: it is to be done one by one.

        It may take the client order ids from the orders, so all of them must be published before:
        else an order whose outcome is unknown couldn't be found by its id any more.
        """
        told = await self._patiently(self._ledger.open_orders)
        known = {OrderRef(each.symbol, order_id) for order_id, each in told}
        if not {order.ref for order in orders} <= known:
            return False
        try:
            return await self._patiently(lambda: self._venue.stop_all(symbol))
        except RejectedError as e:
            log.info("not_cancelled_at_once", symbol=symbol, error=str(e))
            return False

    async def _work_off(self, orders: deque[VenueOpenOrder]) -> None:
        while orders and self._stopped is None:
            order = orders.popleft()
            try:
                await self._patiently(lambda o=order: self._venue.stop(o))  # type: ignore[misc]
            except RejectedError as e:
                self._refused[order.ref] = str(e)
            except FeedStoppedError as e:
                self._stopped = e
                return
            self._advance(1)

    def _advance(self, orders: int) -> None:
        self._left -= orders
        self._done += orders
        self._wait_again()

    def _wait_again(self, seconds: float = GIVE_UP_AFTER) -> None:
        """Something happened: the venue has so many seconds for what comes next."""
        if not self._limit.expired():  # else it is too late, and this is about to be cancelled
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _publish(self, orders: Sequence[VenueOpenOrder]) -> list[str]:
        """Publish what became of *orders*; those that couldn't be cancelled, and why.

        What the venue took the cancel of and doesn't show yet, the next comparison publishes.
        """
        wanted = {order.ref: order for order in orders}
        for again in range(SHOWN_WITHIN):
            if not wanted:
                break
            if again:
                await self._clock.sleep(SHOW_AGAIN_AFTER)
            asked = tuple(wanted.values())
            for report in await self._patiently(lambda a=asked: self._venue.became(a)):  # type: ignore[misc]
                await self._patiently(lambda r=report: self._ledger.publish(r))  # type: ignore[misc]
                if report.closed:  # canceled, or filled meanwhile
                    wanted.pop(report.order, None)
            self._wait_again()
        for ref in wanted.keys() - self._refused.keys():
            log.warning("order_not_shown", **ref._asdict())
        self._unresolved |= wanted.keys() & self._refused.keys() & self._unlisted
        refused = ((ref, self._refused.get(ref)) for ref in wanted if ref not in self._unlisted)
        return [f"{ref.order_id}: {why}" for ref, why in refused if why is not None]

    async def _settle(self, symbol: str | None, under_way: dict[str, Record]) -> list[str]:
        """Wait for orders under way, and cancel what they become; takes them out of *under_way*.

        Returns those that couldn't be cancelled, and why.
        """
        failures = []
        waited_until = self._clock.monotonic() + ORDERS_SETTLE_WITHIN
        self._wait_again(ORDERS_SETTLE_WITHIN + GIVE_UP_AFTER)
        while under_way and self._clock.monotonic() < waited_until:
            still = await self._patiently(lambda: self._under_way(symbol))
            became = []
            for client_order_id in under_way.keys() - still.keys():
                taken = under_way.pop(client_order_id)
                record = await self._patiently(lambda i=client_order_id: self._journal.get(i))  # type: ignore[misc]
                if record is None or record.state != "closed":
                    failures.append(f"{client_order_id}: its record is gone")
                elif (order_id := order_id_of(record)) is not None:
                    became.append(VenueOpenOrder(taken.order.symbol, order_id, client_order_id))
                    continue
                self._left -= 1
                self._done += 1
            await self._cancel(became, {order.symbol for order in became})
            failures += await self._publish(became)
            if under_way:
                await self._clock.sleep(LOOK_EVERY)
        return failures

    async def _known_open(self, symbol: str | None) -> set[OrderRef]:
        """The orders that were accepted, or published as open, as far as is known here."""
        published = await self._ledger.open_orders()
        known = {OrderRef(order.symbol, order_id) for order_id, order in published}
        known |= await self._ledger.accepted()
        return {order for order in known if symbol in (None, order.symbol)}

    async def _under_way(self, symbol: str | None) -> dict[str, Record]:
        """The orders that were taken and have no final answer, by client order id."""
        unanswered = await self._journal.unanswered()
        return {r.client_order_id: r for r in unanswered if symbol in (None, r.order.symbol)}

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat *call*, which may be repeated, while there is transient trouble."""
        waits = full_jitter()
        while True:
            try:
                return await call()
            except TransientError as e:
                log.info("cancel_all_delayed", error=str(e))
                await self._clock.sleep(max(next(waits), e.retry_after))
