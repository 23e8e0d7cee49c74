"""Consumes cancel, cancel-all, query and balance commands; all of them are safe to repeat."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog
from pydantic import BaseModel

from common_models import (
    CancelAllOrdersCommand,
    CancelOrderCommand,
    CommandResponseEvent,
    QueryOrderCommand,
    RequestBalanceCommand,
)
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.reconciler import AccountReconciler
from services._connector_kit.orders.commands.cancel_all import CancelAll, NewestEntry, OnProgress
from services._connector_kit.orders.commands.cancel_order import Cancels
from services._connector_kit.orders.commands.parse import UnreadableError, parse
from services._connector_kit.orders.commands.references import named
from services._connector_kit.orders.commands.request_ports import (
    DONE,
    GIVE_UP_AFTER,
    RequestOutcome,
    RequestVenue,
    refusal,
)
from services._connector_kit.orders.ports import Clock, CommandEntry, CommandQueue, OrderJournal
from services._connector_kit.rate_limit import Priority
from services._runtime.failpoints import reach
from services._runtime.supervise import FailureLog, full_jitter

T = TypeVar("T")
log = structlog.get_logger()

COMMANDS: Mapping[str, type[BaseModel]] = {
    "cancel_order": CancelOrderCommand,
    "cancel_all_orders": CancelAllOrdersCommand,
    "query_order": QueryOrderCommand,
    "request_balance": RequestBalanceCommand,
}
# Commands of one consumer that use the venue at once, and commands that it reads ahead: fewer than
# `own_pending` returns, so that a read returns entries that no task handles.
MAX_AT_ONCE = 16
MAX_READ = 150
OWN_PENDING_EVERY = 5.0
AFTER_ERROR = 0.2
# Seconds between two runs of cancel_all_orders for bots.
RUNS_APART = 2.0


async def _never() -> bool:
    return False


async def _not_known(_: CommandEntry) -> int:
    return 0


class RequestConsumer:
    """Serves the commands of its queue, which are safe to repeat.

    *venue* and *account* are `None` without credentials. *operator*: the operator's commands, which
    have the highest priority at the venue. *estimate* returns the seconds that so many requests
    take. *milliseconds* returns the venue's time.
    """

    def __init__(  # noqa: PLR0913 - the parts that it uses
        self,
        queue: CommandQueue,
        journal: OrderJournal,
        clock: Clock,
        exchange: str,
        venue: RequestVenue | None,
        account: AccountReconciler | None,
        ledger: Ledger,
        milliseconds: Callable[[], int],
        *,
        orders_waiting: Callable[[], Awaitable[bool]] = _never,
        newest_entry: NewestEntry = _not_known,
        operator: bool = False,
        estimate: Callable[[int, Priority], float] = lambda _, __: 0.0,
        on_progress: OnProgress = lambda _: None,
    ) -> None:
        self._queue = queue
        self._milliseconds = milliseconds
        self._journal = journal
        self._clock = clock
        self._exchange = exchange
        self._venue = venue
        self._account = account
        self._ledger = ledger
        self._in_flight: set[str] = set()
        self._read = asyncio.Semaphore(MAX_READ)
        self._room = asyncio.Semaphore(MAX_AT_ONCE)
        self._pending_polled_at = float("-inf")
        first = Priority.OPERATOR if operator else None
        self._cancels = Cancels(ledger, journal, clock, orders_waiting, first)
        priority = Priority.OPERATOR if operator else Priority.CANCEL_ALL
        self._cancel_all = CancelAll(
            ledger,
            journal,
            clock,
            priority,
            lambda requests: estimate(requests, priority),
            on_progress,
            0.0 if operator else RUNS_APART,
            newest_entry,
        )

    async def run(self) -> None:
        """Serve until cancelled."""
        failures = FailureLog("requests_delayed")
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    for entry in await self._entries():
                        await self._read.acquire()
                        self._in_flight.add(entry.entry_id)
                        tasks.create_task(self._serve(entry))
                except TransientError as e:
                    failures.seen(e)
                    self._pending_polled_at = float("-inf")
                    await self._clock.sleep(AFTER_ERROR)
                else:
                    failures.over()

    async def _entries(self) -> list[CommandEntry]:
        now = self._clock.monotonic()
        if now - self._pending_polled_at >= OWN_PENDING_EVERY:
            await self._queue.prepare()
            # Copy before polling; entries finished meanwhile still appear pending.
            in_flight = frozenset(self._in_flight)
            left = [*await self._queue.own_pending(), *await self._queue.take_over()]
            self._pending_polled_at = now
            if left := [entry for entry in left if entry.entry_id not in in_flight]:
                return left
        return list(await self._queue.new_entries())

    async def _serve(self, entry: CommandEntry) -> None:
        try:
            defaults = {"client_request_id": "x" + entry.entry_id}
            if entry.command == "request_balance":
                defaults["exchange"] = self._exchange
            try:
                command = parse(COMMANDS[entry.command], entry.data, defaults)
            except UnreadableError as e:
                request_id = e.fields.get("client_request_id")
                known = request_id if isinstance(request_id, str) else None
                refusal = RequestOutcome("rejected", "invalid_command", str(e))
                await self._answer(entry, known, refusal, dead_letter=str(e))
            else:
                outcome = await self._execute(command, entry)
                await self._answer(entry, str(getattr(command, "client_request_id", "")), outcome)
        finally:
            self._in_flight.discard(entry.entry_id)
            self._read.release()

    async def _execute(self, command: BaseModel, entry: CommandEntry) -> RequestOutcome:
        """Execute the command; retry while the venue does not answer."""
        venue, account = self._venue, self._account
        if venue is None or account is None:
            return RequestOutcome(
                "rejected", "no_credentials", "the connector runs without API keys"
            )
        symbol = getattr(command, "symbol", None)
        if symbol is not None and not venue.knows(symbol):
            message = f"this connector does not serve symbol {symbol!r}"
            return RequestOutcome("rejected", "unknown_symbol", message)
        match command:
            case CancelAllOrdersCommand():
                return await self._cancel_all.execute(symbol, venue, entry)
            case CancelOrderCommand() if not await self._until_readable(
                lambda: self._cancels.known(command)
            ):
                return await self._until_answered(
                    lambda again: self._cancels.cancel_unknown(command, venue, again=again)
                )
            case CancelOrderCommand():
                call = partial(self._cancels.cancel_known, command, venue)
            case QueryOrderCommand():
                call = partial(self._query, command, venue)
            case RequestBalanceCommand():
                call = partial(self._balances, command, account)
            case _:
                raise AssertionError(f"no such command: {command!r}")
        async with self._room:
            return await self._until_answered(lambda _: call())

    async def _until_readable(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return the result of *read*; retry while Redis fails."""
        failures = FailureLog("request_lookup_delayed")
        while True:
            try:
                return await read()
            except TransientError as e:
                failures.seen(e)
                await self._clock.sleep(AFTER_ERROR)

    async def _until_answered(
        self, once: Callable[[bool], Awaitable[RequestOutcome]]
    ) -> RequestOutcome:
        """Repeat *once*, up to `GIVE_UP_AFTER` seconds; its argument is True on a retry."""
        waits, again = full_jitter(), False
        try:
            async with asyncio.timeout(GIVE_UP_AFTER):
                while True:
                    try:
                        return await once(again)
                    except (RejectedError, FeedStoppedError) as e:
                        return refusal(e)
                    except TransientError as e:
                        log.info("request_delayed", error=str(e))
                        await self._clock.sleep(max(next(waits), e.retry_after))
                        again = True
        except TimeoutError:
            message = f"the exchange did not answer within {GIVE_UP_AFTER:g} s"
            return RequestOutcome("unknown", "no_answer", message)

    async def _balances(
        self, command: RequestBalanceCommand, account: AccountReconciler
    ) -> RequestOutcome:
        if command.exchange != self._exchange:
            return RequestOutcome("rejected", "wrong_exchange", f"this is {self._exchange}")
        await account.balances.request(command.assets)
        return DONE

    async def _query(self, command: QueryOrderCommand, venue: RequestVenue) -> RequestOutcome:
        order = await named(self._ledger, command)
        try:
            report = await order.report(venue)
        except RejectedError as e:
            absent = e.code in venue.no_such_order
            return RequestOutcome(
                "rejected", "unknown_order" if absent else "exchange_rejected", str(e)
            )
        await self._ledger.publish(report, again=True)
        return DONE

    async def _answer(
        self,
        entry: CommandEntry,
        client_request_id: str | None,
        outcome: RequestOutcome,
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
