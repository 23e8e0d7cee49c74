"""All commands but `place_order`: cancel, cancel all, query, balances. Each may be done again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import structlog
from pydantic import BaseModel

from common_models import (
    CancelAllOrdersCommand,
    CancelOrderCommand,
    CommandResponseEvent,
    OrderResponseEvent,
    QueryOrderCommand,
    RequestBalanceCommand,
)
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account import AccountDesk, AccountVenue
from services._connector_kit.orders.bookkeeping import Report
from services._connector_kit.orders.ledger import Ledger
from services._connector_kit.orders.parse import UnreadableError, parse
from services._connector_kit.orders.ports import Bus, Clock, Entry, Journal
from services._connector_kit.orders.record import Record
from services._connector_kit.orders.references import Named, named
from services._runtime.failpoints import reach
from services._runtime.supervise import Trouble, full_jitter

log = structlog.get_logger()

# Two desks, so that no cancel waits behind a crowd of questions.
CANCELS: Mapping[str, type[BaseModel]] = {
    "cancel_order": CancelOrderCommand,
    "cancel_all_orders": CancelAllOrdersCommand,
}
QUESTIONS: Mapping[str, type[BaseModel]] = {
    "query_order": QueryOrderCommand,
    "request_balance": RequestBalanceCommand,
}
COMMANDS = {**CANCELS, **QUESTIONS}
MOST_AT_ONCE = 16
OWN_PENDING_EVERY = 5.0
AFTER_ERROR = 0.2
# A command that the venue doesn't answer for so long is answered `unknown`.
GIVE_UP_AFTER = 60.0
# A cancel may overtake its order: for so long since it came it is tried again while nobody has
# heard of the order,
ORDER_CLAIMED_WITHIN = 1.0
# while place_order commands wait to be claimed, as the first ones on a new Redis do for some
# seconds: the order may be among them,
ORDERS_WAIT_AT_MOST = 15.0
# and while the order is under way, or accepted and not shown yet.
ORDER_APPEARS_WITHIN = 20.0


# "All canceled" waits this long for orders under way, in seconds: as long as it may take to find
# out about one, within `GIVE_UP_AFTER`.
ORDERS_SETTLE_WITHIN = 45.0
MOST_NAMED = 10


class Outcome(NamedTuple):
    """What became of a command."""

    status: str
    reason_code: str | None = None
    message: str | None = None


DONE = Outcome("done")


class RequestVenue(AccountVenue, Protocol):
    """The exchange, as far as these commands need it. Raises what the kit's `errors` lists.

    `no_such_order` are the codes by which it says that it has no such order. Any other refusal of
    a question says nothing about the order.
    """

    no_such_order: Collection[str]

    def knows(self, symbol: str) -> bool:
        """True for a symbol of ours."""

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order; returns its order id.

        It keeps its client order id: *keep*, where the caller knows it and doesn't name it by it.

        Raises:
            RejectedError: there is nothing to cancel.
        """


async def _never() -> bool:
    return False


class RequestDesk:
    """One connector's commands that may be done again; `venue` is None without credentials."""

    def __init__(  # noqa: PLR0913 - all that it is put together from
        self,
        bus: Bus,
        journal: Journal,
        clock: Clock,
        exchange: str,
        venue: RequestVenue | None,
        account: AccountDesk | None,
        ledger: Ledger,
        milliseconds: Callable[[], int],
        *,
        orders_waiting: Callable[[], Awaitable[bool]] = _never,
    ) -> None:
        self._orders_waiting = orders_waiting
        self._bus = bus
        self._milliseconds = milliseconds
        self._journal = journal
        self._clock = clock
        self._exchange = exchange
        self._venue = venue
        self._account = account
        self._ledger = ledger
        self._in_flight: set[str] = set()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._looked_at_pending = float("-inf")

    async def run(self) -> None:
        """Serve until cancelled."""
        trouble = Trouble("requests_delayed")
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    for entry in await self._entries():
                        await self._room.acquire()
                        self._in_flight.add(entry.entry_id)
                        tasks.create_task(self._serve(entry))
                except TransientError as e:
                    trouble.seen(e)
                    self._looked_at_pending = float("-inf")
                    await self._clock.sleep(AFTER_ERROR)
                else:
                    trouble.over()

    async def _entries(self) -> list[Entry]:
        now = self._clock.monotonic()
        if now - self._looked_at_pending >= OWN_PENDING_EVERY:
            await self._bus.prepare()
            # As it is before the look: what is done by the time of the answer was pending in it.
            in_flight = frozenset(self._in_flight)
            left = [*await self._bus.own_pending(), *await self._bus.take_over()]
            self._looked_at_pending = now
            if left := [entry for entry in left if entry.entry_id not in in_flight]:
                return left
        return list(await self._bus.new_entries())

    async def _serve(self, entry: Entry) -> None:
        try:
            defaults = {"client_request_id": "x" + entry.entry_id}
            if entry.command == "request_balance":
                defaults["exchange"] = self._exchange
            try:
                command = parse(COMMANDS[entry.command], entry.data, defaults)
            except UnreadableError as e:
                request_id = e.fields.get("client_request_id")
                known = request_id if isinstance(request_id, str) else None
                refusal = Outcome("rejected", "invalid_command", str(e))
                await self._answer(entry, known, refusal, dead_letter=str(e))
            else:
                outcome = await self._carry_out(command)
                await self._answer(entry, str(getattr(command, "client_request_id", "")), outcome)
        finally:
            self._in_flight.discard(entry.entry_id)
            self._room.release()

    async def _carry_out(self, command: BaseModel) -> Outcome:
        """Do it, again and again while the venue is silent."""
        if self._venue is None or self._account is None:
            return Outcome("rejected", "no_credentials", "the connector runs without API keys")
        try:
            async with asyncio.timeout(GIVE_UP_AFTER):
                return await self._until_answered(command, self._venue, self._account)
        except TimeoutError:
            message = f"the exchange gave no answer within {GIVE_UP_AFTER:g} s"
            return Outcome("unknown", "no_answer", message)

    async def _until_answered(
        self, command: BaseModel, venue: RequestVenue, account: AccountDesk
    ) -> Outcome:
        waits = full_jitter()
        while True:
            try:
                return await self._once(command, venue, account)
            except RejectedError as e:
                return Outcome("rejected", "exchange_rejected", str(e))
            except FeedStoppedError as e:
                return Outcome("rejected", "key_refused", str(e))
            except TransientError as e:
                log.info("request_delayed", command=type(command).__name__, error=str(e))
                await self._clock.sleep(max(next(waits), e.retry_after))

    async def _once(self, command: BaseModel, venue: RequestVenue, account: AccountDesk) -> Outcome:
        match command:
            case CancelOrderCommand():
                return self._unlisted(venue, command.symbol) or await self._cancel(command, venue)
            case QueryOrderCommand():
                return self._unlisted(venue, command.symbol) or await self._query(command, venue)
            case CancelAllOrdersCommand():
                return self._unlisted(venue, command.symbol) or await self._cancel_all(
                    command.symbol, venue
                )
            case RequestBalanceCommand():
                if command.exchange != self._exchange:
                    return Outcome("rejected", "wrong_exchange", f"this is {self._exchange}")
                await account.balances.request(command.assets)
                return DONE
        raise AssertionError(f"no such command: {command!r}")

    @staticmethod
    def _unlisted(venue: RequestVenue, symbol: str | None) -> Outcome | None:
        if symbol is None or venue.knows(symbol):
            return None
        return Outcome("rejected", "unknown_symbol", f"symbol {symbol!r} is none of this connector")

    async def _cancel(self, command: CancelOrderCommand, venue: RequestVenue) -> Outcome:
        started = self._clock.monotonic()
        while True:
            order = await named(self._ledger, command)
            try:
                reach("before_cancel")
                order_id = await order.cancel(venue)
                reach("after_cancel")
            except RejectedError as e:
                report = await self._found(order, venue)
                if report is not None and report.status == "canceled":
                    # Perhaps by an earlier try of ours, whose answer was lost.
                    await self._ledger.tell(report)
                    return DONE
                if self._clock.monotonic() - started < await self._patience(command, report):
                    await self._clock.sleep(AFTER_ERROR)
                    continue
                state = f"the order is {report.status}: " if report else ""
                return Outcome("rejected", "nothing_to_cancel", f"{state}{e}")
            # By the exchange's id: Binance gives a cancelled order the cancel's client id.
            await self._show(venue, command.symbol, order_id)
            return DONE

    async def _show(self, venue: RequestVenue, symbol: str, order_id: str) -> Report | None:
        """Tell what the venue says of an order; None where it doesn't show it yet."""
        try:
            report = await venue.report(symbol, order_id=order_id, client_order_id=None)
        except RejectedError as e:
            log.warning("order_not_shown", order_id=order_id, symbol=symbol, error=str(e))
            return None  # the next comparison tells it
        await self._ledger.tell(report)
        return report

    @staticmethod
    async def _found(order: Named, venue: RequestVenue) -> Report | None:
        try:
            return await order.report(venue)
        except RejectedError:
            return None

    async def _patience(self, command: CancelOrderCommand, report: Report | None) -> float:
        """How long a cancel that was refused is tried again, in seconds."""
        if report is not None:
            return 0.0 if report.closed else ORDER_APPEARS_WITHIN
        if command.client_order_id is None:
            return 0.0
        # In this order: what waits no longer has its record by then.
        waiting = await self._orders_waiting()
        record = await self._journal.get(command.client_order_id)
        if record is None:
            return ORDERS_WAIT_AT_MOST if waiting else ORDER_CLAIMED_WITHIN
        # Accepted since we looked, or the venue is slow to show it: it is there, or was.
        return 0.0 if _refused(record) else ORDER_APPEARS_WITHIN

    async def _query(self, command: QueryOrderCommand, venue: RequestVenue) -> Outcome:
        order = await named(self._ledger, command)
        try:
            report = await order.report(venue)
        except RejectedError as e:
            absent = e.code in venue.no_such_order
            return Outcome("rejected", "unknown_order" if absent else "exchange_rejected", str(e))
        await self._ledger.tell(report, again=True)
        return DONE

    async def _cancel_all(self, symbol: str | None, venue: RequestVenue) -> Outcome:
        """Cancel what is open, and what the orders under way become.

        An order whose POST is on its way isn't among the venue's open orders yet. So the book of
        record is read first, and "done" waits for everything that stood there.
        """
        under_way = await self._under_way(symbol)
        failures = [
            await self._cancel_one(venue, order.symbol, order.order_id, order.client_order_id)
            for order in await venue.open_orders()
            if symbol in (None, order.symbol)
        ]
        waited_until = self._clock.monotonic() + ORDERS_SETTLE_WITHIN
        while under_way and self._clock.monotonic() < waited_until:
            left = under_way.keys() & await self._under_way(symbol)
            answered = [under_way.pop(i) for i in under_way.keys() - left]
            failures += [await self._cancel_answered(venue, record) for record in answered]
            if under_way:
                await self._clock.sleep(AFTER_ERROR)
        if some := [failure for failure in failures if failure is not None]:
            return Outcome("rejected", "not_all_canceled", "; ".join(some))
        if under_way:
            names = ", ".join(sorted(under_way)[:MOST_NAMED])
            message = f"the exchange hasn't said yet what became of {len(under_way)}: {names}"
            return Outcome("unknown", "orders_unresolved", message)
        return DONE

    async def _under_way(self, symbol: str | None) -> dict[str, Record]:
        """The orders that were taken and have no final answer, by client order id."""
        unanswered = await self._journal.unanswered()
        return {r.client_order_id: r for r in unanswered if symbol in (None, r.order.symbol)}

    async def _cancel_answered(self, venue: RequestVenue, taken: Record) -> str | None:
        """Cancel what an order under way has become; why that failed."""
        record = await self._journal.get(taken.client_order_id)
        if record is None or record.state != "closed":
            return f"{taken.client_order_id}: its record is gone"
        order_id = _order_id(record)
        if order_id is None:
            return None
        return await self._cancel_one(venue, record.order.symbol, order_id, record.client_order_id)

    async def _cancel_one(
        self, venue: RequestVenue, symbol: str, order_id: str, client_order_id: str | None
    ) -> str | None:
        """Cancel one order; why that failed, None where it is closed now."""
        try:
            await venue.cancel(
                symbol, order_id=order_id, client_order_id=None, keep=client_order_id
            )
        except RejectedError as e:
            shown = await self._show(venue, symbol, order_id)
            if shown is None or not shown.closed:  # else filled or canceled meanwhile
                return f"{order_id}: {e}"
        else:
            await self._show(venue, symbol, order_id)
        return None

    async def _answer(
        self,
        entry: Entry,
        client_request_id: str | None,
        outcome: Outcome,
        *,
        dead_letter: str | None = None,
    ) -> None:
        data = None
        if client_request_id is not None:
            data = (
                CommandResponseEvent(
                    client_request_id=client_request_id,
                    command=entry.command,
                    status=outcome.status,
                    reason_code=outcome.reason_code,
                    error_message=outcome.message,
                    timestamp=datetime.fromtimestamp(self._milliseconds() / 1000, UTC),
                    exchange=self._exchange,
                )
                .model_dump_json()
                .encode()
            )
        while True:
            try:
                reach("before_reply")
                await self._journal.answer(entry, data, dead_letter)
                reach("after_reply")
            except TransientError as e:
                log.warning("answer_delayed", error=str(e))
                await self._clock.sleep(AFTER_ERROR)
            else:
                return


def _refused(record: Record) -> bool:
    """True for a record that was closed without an order."""
    return record.state == "closed" and _order_id(record) is None


def _order_id(record: Record) -> str | None:
    """The venue's id in a closed record's answer."""
    return OrderResponseEvent.model_validate_json(record.answer or "").order_id
