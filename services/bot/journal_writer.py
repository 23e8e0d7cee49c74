"""Writes decisions and state to the journal: at once after a decision, and once a second."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
import structlog

from common_models import DecisionEvent, PortfolioEvent, RunningStrategy, StrategyPosition
from common_models.stream_names import EventStream
from services._runtime.failpoints import reach
from services._runtime.stream_position import StreamPosition
from services._runtime.supervise import FailureLog, TransientError, full_jitter
from services.bot import saved_state
from services.bot.decision_maker import DecisionMaker, OutboxItem, log_decision
from services.bot.decision_metrics import DecisionMetrics
from services.bot.journal import DecisionJournal, Moment, StateSnapshot, Written
from services.bot.portfolio import lately
from services.bot.portfolio_state import REFUSED, BotOrder, PortfolioState, open_orders
from services.bot.resync import Resync
from services.bot.settings import Mode
from services.bot.strategy_host import StrategyHost, StrategyRunner
from services.bot.view import Sources, dust

log = structlog.get_logger()

BEAT = 1.0
# How often an unchanged portfolio is published, in seconds.
PUBLISH_PORTFOLIO_EVERY = 10.0
LONGEST_WAIT = 1.0
# How long a stop waits for the last write, in seconds.
LAST_WRITE_TIMEOUT = 1.0
DECISIONS = str(EventStream("bot", "decision"))
PORTFOLIO = str(EventStream("bot", "portfolio"))


class JournalWriter:
    """Makes the snapshots, and updates the state in memory after each write."""

    def __init__(
        self,
        journal: DecisionJournal,
        sources: Sources,
        host: StrategyHost,
        maker: DecisionMaker,
        resync: Resync,
        decision_metrics: DecisionMetrics,
        mode: Mode,
        positions: Callable[[], Mapping[str, StreamPosition]],
    ) -> None:
        self.written_at = sources.clock()  # the last write
        # Why the last write failed; None if it succeeded.
        self.fault: str | None = "no write yet"
        self._journal = journal
        self._sources = sources
        self._host = host
        self._maker = maker
        self._resync = resync
        self._decision_metrics = decision_metrics
        self._mode = mode
        self._positions = positions
        self._encoder = saved_state.StateEncoder()
        self._wake = asyncio.Event()
        self._failures = FailureLog("journal_not_written")
        self._portfolio_published_at = float("-inf")
        self._changed = False  # since the portfolio was published

    def wake(self) -> None:
        """Write soon if decisions wait in the outbox."""
        if self._maker.outbox:
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled, then once more.

        Raises:
            FatalError: another bot writes this state.
        """
        try:
            await self._keep_writing()
        finally:
            try:
                async with asyncio.timeout(LAST_WRITE_TIMEOUT):
                    await self._write()
            except (TransientError, TimeoutError) as e:
                log.warning("last_snapshot_not_written", error=str(e))

    async def _keep_writing(self) -> None:
        waits = full_jitter(longest=LONGEST_WAIT)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            self._wake.clear()
            self._sources.portfolio.value_fees()
            try:
                await self._write()
            except TransientError as e:
                self.fault = str(e)
                self._failures.seen(e)
                await asyncio.sleep(next(waits))
                self._wake.set()
            else:
                self.fault = None
                self._failures.over()
                waits = full_jitter(longest=LONGEST_WAIT)

    async def _write(self) -> None:
        reach("before_journal_write")
        if any(item.order for item in self._maker.outbox):
            reach("before_command")
        written = await self._journal.write(self._snapshot)
        reach("after_journal_write")
        self.written_at = self._sources.clock()
        self._settle(written)

    def _snapshot(self, moment: Moment) -> StateSnapshot:
        """The current state. Nothing here awaits, so all of it is of the same moment."""
        self._maker.halted = moment.halted
        commands, events, refused = self._maker.build_batch(moment)
        state = self._state_after(moment, refused)
        entries = [(DECISIONS, _json(event)) for event in events]
        due = moment.now - self._portfolio_published_at >= PUBLISH_PORTFOLIO_EVERY
        if (due or events or self._changed) and not commands:  # commands are not delayed by it
            entries.append((PORTFOLIO, _json(self.portfolio(state))))
        return StateSnapshot(
            moment=moment,
            positions=dict(self._positions()),
            fields=self._encoder.encode(state, self._sources.balances.values(), self._host.saved()),
            commands=commands,
            queries=tuple(self._resync.due(moment.now, self._sources.clock())),
            events=entries,
            decisions=tuple(events),
            refused=frozenset(refused),
            heartbeat=self._mode != "observe",
        )

    def _state_after(self, moment: Moment, refused: set[str]) -> PortfolioState:
        """The portfolio after the write: each decided order is sent or refused."""

        def settled(order: BotOrder) -> BotOrder:
            if order.id in refused:
                return msgspec.structs.replace(order, state=REFUSED)
            if order.state == "deciding":
                return msgspec.structs.replace(order, state="sent", sent_at=moment.now)
            return order

        state = self._sources.portfolio.state
        orders = {order.id: settled(order) for order in state.orders.values()}
        sent = [moment.now for item in self._maker.outbox if _goes_out(item, refused)]
        sent = [*lately(state.sent, moment.now), *sent]
        return PortfolioState(orders, sent, state.holdings, state.rejections)

    def _settle(self, written: Written) -> None:
        """Apply a successful write to the state in memory."""
        snapshot = written.snapshot
        outbox, portfolio = self._maker.outbox, self._sources.portfolio
        if snapshot.refused:
            reach("before_refusal")
        items = outbox[: len(snapshot.decisions)]
        del outbox[: len(snapshot.decisions)]
        self._settle_commands(written)
        for item, event in zip(items, snapshot.decisions, strict=True):
            if item.order is not None and item.order.id in snapshot.refused:
                portfolio.drop(item.order)
                self._host.notify_refused(item.order, str(event.reason_code), str(event.refusal))
            elif item.order is not None:
                item.order.sent_at = snapshot.moment.now
                if item.order.state != "rejected":  # its answer may have arrived already
                    portfolio.state.sent.append(snapshot.moment.now)
                if item.order.state == "deciding":
                    item.order.state = "sent"
            self._decision_metrics.decided(event, item.caused_at, snapshot.moment.now)
            log_decision(event)
        portfolio.state.sent = lately(portfolio.state.sent, snapshot.moment.now)
        if any(stream == PORTFOLIO for stream, _ in snapshot.events):
            self._portfolio_published_at = snapshot.moment.now
            self._changed = False
        elif snapshot.decisions:
            self._changed = True
        if outbox or self._changed:
            self._wake.set()

    def _settle_commands(self, written: Written) -> None:
        """Store the entry id of each order's command, if known, and which queries were sent."""
        orders = self._sources.portfolio.state.orders
        for command, entry_id in zip(written.snapshot.commands, written.entry_ids, strict=False):
            if command.places in orders:
                orders[command.places].command_id = entry_id
        for query in written.snapshot.queries:
            self._resync.asked(query, written.snapshot.moment.now)

    def portfolio(self, state: PortfolioState | None = None) -> PortfolioEvent:
        """The positions, open orders and strategies, as published."""
        state = state or self._sources.portfolio.state
        stopped = self._host.stopped
        positions = [
            StrategyPosition(
                strategy=key,
                exchange=holding.exchange,
                symbol=holding.symbol,
                quantity=float(holding.quantity),
                dust=float(dust(holding, self._sources.instruments)),
                fees_unvalued={a: float(fee.amount) for a, fee in holding.fees_unvalued.items()},
                price=_number(holding.price),
                profit=_number(holding.profit),
                profit_today=_number(holding.profit_today),
                average_price=_number(holding.average),
                realised=_number(holding.realised),
                unrealised=_number(holding.unrealised),
                fees=float(holding.fees),
                fees_today=float(holding.fees_today),
                stopped=stopped.get(key),
            )
            for key, holding in state.holdings.items()
        ]
        return PortfolioEvent(
            mode=self._mode,
            halted=self._maker.halted,
            positions=positions,
            open_orders=open_orders(o for o in state.orders.values() if not o.ended),
            strategies=[_published(each, self._sources) for each in self._host.running.values()],
        )


def _published(running: StrategyRunner, sources: Sources) -> RunningStrategy:
    spec, now, most = running.spec, sources.clock(), sources.indicator_max_age
    feeds = (sources.indicators[stream] for stream in spec.indicator_streams.values())
    waits_for = (why for feed in feeds if (why := feed.why_stale(now, most)) is not None)
    return RunningStrategy(
        strategy=spec.key,
        exchange=spec.exchange,
        symbol=spec.symbol,
        quantity=float(spec.quantity),
        parameters=spec.published_parameters,
        stopped=running.stopped,
        waits_for=next(waits_for, None),
    )


def _json(event: DecisionEvent | PortfolioEvent) -> bytes:
    return event.model_dump_json().encode()


def _goes_out(item: OutboxItem, refused: set[str]) -> bool:
    return item.order is not None and item.order.id not in refused


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
