"""Hands every batch that is read to the portfolio, the data provider and the strategies."""

import time
from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from common_models import (
    AccountBalanceEvent,
    CommandResponseEvent,
    IndicatorValue,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
)
from common_models.stream_names import EventStream, MarketDataType, connector
from services._runtime.stream_position import StreamGap
from services._runtime.stream_reader import Batch
from services.bot.data_provider import MarketData, OnMessage, middle
from services.bot.decision_maker import Cause, DecisionMaker, written_at
from services.bot.decision_metrics import DecisionMetrics
from services.bot.market_watch import MarketWatch
from services.bot.portfolio import OrderEvent, why_ended
from services.bot.portfolio_state import LOST, BotOrder
from services.bot.resync import Resync
from services.bot.strategy_host import Method, StrategyHost, StrategyRunner
from services.bot.validation import MessageError, read
from services.bot.view import Sources

log = structlog.get_logger()

EVENTS: dict[str, type[BaseModel]] = {
    "order_response": OrderResponseEvent,
    "order_status": OrderStatusUpdateEvent,
    "account_balance": AccountBalanceEvent,
    # Last: the events that an answer refers to precede it, and are read before it.
    "command_response": CommandResponseEvent,
}
METHODS: dict[MarketDataType, Method] = {
    "ticker": "on_ticker",
    "orderbook": "on_order_book",
    "trades": "on_trade",
}


class Dispatcher:
    """Handles batches one after the other; nothing here awaits."""

    def __init__(
        self,
        sources: Sources,
        watch: MarketWatch,
        host: StrategyHost,
        maker: DecisionMaker,
        resync: Resync,
        decision_metrics: DecisionMetrics,
    ) -> None:
        self._sources = sources
        self._decision_metrics = decision_metrics
        self._watch = watch
        self._host = host
        self._maker = maker
        self._resync = resync
        self._events = {
            str(EventStream(connector(exchange), name)): (exchange, model)
            for exchange in dict.fromkeys(f.exchange for f in sources.provider.feeds.values())
            for name, model in EVENTS.items()
        }
        self._listeners: dict[str, tuple[Method, list[StrategyRunner]]] = {}
        for stream, feed in sources.provider.feeds.items():
            method = METHODS[feed.data_type]
            runners = host.listeners(method, feed.exchange, feed.symbol)
            if runners:
                self._listeners[stream] = (method, runners)
        self._indicator_listeners = {
            stream: [
                running
                for running in host.listeners("on_indicator", feed.exchange, feed.symbol)
                if stream in running.spec.indicator_streams.values()
            ]
            for stream, feed in sources.indicators.items()
        }
        self._current_entry = ("", "")  # the stream and the entry that is being applied

    @property
    def streams(self) -> list[str]:
        """All streams that the bot reads."""
        sources = self._sources
        own = [*sources.provider.feeds, *sources.connectors.streams, *sources.indicators]
        return [*self._events, *own]

    def handle(self, batch: Batch) -> None:
        """Handle one batch."""
        if batch.stream in self._events:
            self._handle_events(batch)
        elif batch.stream in self._sources.indicators:
            self._handle_indicators(batch)
        else:
            self._watch.handle(batch, self._listener(batch))

    def note_gap(self, gap: StreamGap) -> None:
        """Count a gap that the reader logged; after a gap in events, query the open orders."""
        self._watch.note_gap(gap)
        if gap.stream in self._events:
            self._resync.mark_all_uncertain(self._events[gap.stream][0])

    def _listener(self, batch: Batch) -> OnMessage | None:
        """The callback for a batch's messages; None if no portfolio or strategy needs them."""
        method, listeners = self._listeners.get(batch.stream, ("on_trade", []))
        priced = self._is_priced(batch)
        if not listeners and not priced:
            return None
        stream, entries, host = batch.stream, batch.entries, self._host

        def on_message(number: int, message: MarketData) -> None:
            if priced and (price := middle(message)) is not None:
                at = min(written_at(entries[number][0]), message.timestamp.timestamp())
                self._sources.portfolio.see(message.exchange, message.symbol, price, at)
            for running in listeners:
                actions = running.notify(method, message)
                if actions:
                    host.consider(running, actions, cause_of(stream, entries[number][0]))

        return on_message

    def _is_priced(self, batch: Batch) -> bool:
        """Whether the portfolio needs the prices of this batch."""
        feed = self._sources.provider.feeds.get(batch.stream)
        if feed is None or feed.data_type == "trades":
            return False
        until = written_at(batch.entries[-1][0])
        return self._sources.portfolio.wants_price(feed.exchange, feed.symbol, until)

    def _handle_indicators(self, batch: Batch) -> None:
        feed = self._sources.indicators[batch.stream]
        listeners = self._indicator_listeners[batch.stream]

        def on_message(entry_id: str, value: IndicatorValue) -> None:
            before = [value.caused_by] if value.caused_by else []
            cause = cause_of(batch.stream, entry_id, before)
            for running in listeners:
                self._host.notify(running, "on_indicator", value, cause)

        now = self._sources.clock()
        fault = feed.handle(batch.entries, now - batch.age, time.time() - now, on_message)
        if fault is not None:
            self._watch.malformed_others[batch.stream] += 1
            self._watch.log_malformed(batch, fault)

    def _handle_events(self, batch: Batch) -> None:
        exchange, model = self._events[batch.stream]
        for entry_id, data in batch.entries:
            try:
                event = read(model, data)
            except MessageError as e:
                self._watch.malformed_others[batch.stream] += 1
                self._watch.log_malformed(batch, str(e))
                continue
            self._current_entry = (batch.stream, entry_id)
            self._book(exchange, event, written_at(entry_id))

    def _book(self, exchange: str, event: BaseModel, at: float) -> None:
        portfolio = self._sources.portfolio
        if isinstance(event, OrderResponseEvent):
            portfolio.handle_response(exchange, event, at)
        elif isinstance(event, OrderStatusUpdateEvent):
            portfolio.handle_status(exchange, event, at)
        elif isinstance(event, AccountBalanceEvent) and event.exchange == exchange:
            self._sources.balances.handle(event)
        elif isinstance(event, CommandResponseEvent):
            order = self._resync.handle(exchange, event)
            if order is not None:
                self._lose(order, event)

    def _lose(self, order: BotOrder, answer: CommandResponseEvent) -> None:
        """Close an order that no connector knows and that can't appear later."""
        stream, entry_id = self._current_entry
        cause = cause_of(stream, entry_id, order.caused_by)
        why = f"{connector(order.exchange)} knows no such order: {answer.error_message}"
        log.error("order_lost", id=order.id, state=order.state, reason=why)
        order.state, order.unresolved = LOST, None
        self._maker.lost(order, why, cause.chain[0])
        self._host.notify_order(order, LOST, cause)
        self._note_end(order, "order_lost", why)

    def on_step(self, order: BotOrder, event: OrderEvent) -> None:
        """Publish an event that the portfolio has applied, and notify the strategy."""
        stream, entry_id = self._current_entry
        cause = cause_of(stream, entry_id, order.caused_by)
        self._resync.received(order, cause.written_at)
        self._decision_metrics.count(order, event, cause.written_at)
        self._maker.step(order, event, cause.chain[0])
        self._host.notify_order(order, event.status, cause)

    def on_end(self, order: BotOrder, event: OrderEvent) -> None:
        """Notify the strategy that an order ended with this event."""
        self._note_end(order, *why_ended(event))

    def _note_end(self, order: BotOrder, reason_code: str, message: str) -> None:
        """Report an order that ended without a fill as refused, unless it was canceled."""
        if not order.filled and not order.cancel_asked_at:
            self._host.notify_refused(order, reason_code, message)


def cause_of(stream: str, entry_id: str, before: Sequence[str] = ()) -> Cause:
    """The cause of a decision: an entry, and the entries *before* that led to it."""
    return Cause(stream, entry_id, (f"{stream} {entry_id}", *before))
