"""Turns intents into orders, or refuses them with a reason; each decision is published."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import structlog

from common_models import (
    CancelOrderCommand,
    DecisionEvent,
    OrderResponseEvent,
    PlaceOrderCommand,
)
from common_models.fields import Side
from common_models.stream_names import BOT_ORDERS, CommandStream, connector
from services._runtime.entry_ids import entry_milliseconds
from services.bot.journal import Moment, Outgoing
from services.bot.portfolio import OrderEvent
from services.bot.portfolio_state import LOST, BotOrder
from services.bot.risk import Proposal, Refusal, Risk
from services.bot.settings import BotSettings
from services.bot.strategy import Cancel, Intent, StaleDataError
from services.bot.strategy_config import StrategySpec
from services.bot.view import MarketView, Sources

log = structlog.get_logger()

PAPER_WORLDS = ("simulator", "testnet")
# A sell that exceeds the available quantity by at most this share (a fee) sells what is available.
SHORT_OF = Decimal("0.01")
# A repeated refusal of a strategy is published again after this many seconds.
REPEAT_REFUSAL_AFTER = 10.0
# A cancel without effect is sent again after this many seconds, if the strategy still asks for it:
# the connector may have got no answer.
CANCEL_AGAIN_AFTER = 5.0


def written_at(entry_id: str) -> float:
    """When Redis stored an entry: Redis's time in seconds."""
    return entry_milliseconds(entry_id) / 1000


@dataclass(frozen=True, slots=True)
class Cause:
    """The stream entry that a strategy received. `chain`: that entry, then those that led to it."""

    stream: str
    entry_id: str
    chain: tuple[str, ...]

    @property
    def written_at(self) -> float:
        """When Redis stored the entry: Redis's time in seconds."""
        return written_at(self.entry_id)


@dataclass(slots=True)
class OutboxItem:
    """An event that waits for the journal, and the command that is written with it.

    The command places `order`, or cancels `to_cancel`; without both there is no command.
    """

    event: DecisionEvent
    order: BotOrder | None = None
    to_cancel: BotOrder | None = None
    caused_at: float = 0.0  # when Redis stored the cause, in seconds


class DecisionMaker:
    """Decides at once, in memory; the `outbox` waits for the next journal write."""

    def __init__(
        self,
        settings: BotSettings,
        sources: Sources,
        risk: Risk,
    ) -> None:
        self.outbox: list[OutboxItem] = []
        self.halted: str | None = None  # as the last journal write found it
        self._settings = settings
        self._sources = sources
        self._risk = risk
        # Redis's time and ours at the last journal write; the machine's wall clock is not used.
        self._read_at: tuple[float, float] | None = None
        # The last refusal of each strategy and side: its reason code, and when it was published.
        self._refused: dict[tuple[str, Side], tuple[str, float]] = {}

    def consider(
        self, spec: StrategySpec, intent: Intent, cause: Cause, number: int = 0
    ) -> Refusal | None:
        """Turn an intent into an order; return the refusal, None if there is an order.

        *number* counts the earlier intents of the same strategy and cause.
        """
        proposal = Proposal(
            spec.key,
            spec.exchange,
            spec.symbol,
            intent.side,
            self._quantity(spec, intent),
            intent.price,
        )
        order = BotOrder(
            id=decision_id(spec.key, cause, number),
            strategy=spec.key,
            exchange=spec.exchange,
            symbol=spec.symbol,
            side=intent.side,
            type=intent.type,
            quantity=proposal.quantity,
            price=intent.price,
            reason=intent.reason,
            caused_by=list(cause.chain),
            sent_at=0.0,
        )
        refusal = self._why_not(spec, proposal, order.id, self._now(cause))
        if refusal is not None:
            self._refuse(order, refusal, cause)
            return None if order.id in self._sources.portfolio.state.orders else refusal
        self._refused.pop((spec.key, intent.side), None)
        if self._settings.bot_mode == "observe":
            self._add(OutboxItem(self._event(order, "observed"), caused_at=cause.written_at))
        else:
            self._sources.portfolio.add(order)
            self._add(OutboxItem(self._event(order, "sent"), order, caused_at=cause.written_at))
        return None

    def _refuse(self, order: BotOrder, refusal: Refusal, cause: Cause) -> None:
        """Publish a refusal: at once if the reason changed, else at intervals."""
        of, code, now = (order.strategy, order.side), refusal.reason_code, self._sources.clock()
        before, published_at = self._refused.get(of, ("", 0.0))
        if code == before and now - published_at < REPEAT_REFUSAL_AFTER:
            return
        self._refused[of] = (code, now)
        self._add(OutboxItem(self._event(order, "refused", refusal), caused_at=cause.written_at))

    def cancel(self, spec: StrategySpec, action: Cancel, cause: Cause) -> None:
        """Cancel a strategy's open orders, also while halted; in observe mode only publish it."""
        pending = self._sources.portfolio.pending(spec.key)
        found = [order for order in pending if action.id in (None, order.id)]
        if not found:
            log.info("nothing_to_cancel", strategy=spec.key, id=action.id, reason=action.reason)
        for order in found:
            self._cancel(order, action, cause)

    def _cancel(self, order: BotOrder, action: Cancel, cause: Cause) -> None:
        now = self._now(cause)
        if 0 <= now - order.cancel_asked_at < CANCEL_AGAIN_AFTER:  # a clock may be set back
            return
        order.cancel_asked_at = now
        said = {"reason": action.reason, "caused_by": list(cause.chain)}
        if self._settings.bot_mode == "observe":  # the order is of an earlier run, that did trade
            event = self._event(order, "cancel_dropped").model_copy(update=said)
            self._add(OutboxItem(event, caused_at=cause.written_at))
            return
        stream = _commands(order.exchange, "cancel_order")
        event = self._event(order, "cancel_sent").model_copy(
            update={**said, "command_stream": stream}
        )
        self._add(OutboxItem(event, to_cancel=order, caused_at=cause.written_at))

    def _now(self, cause: Cause) -> float:
        """Redis's clock, in seconds; before the first journal write the cause's time."""
        if self._read_at is None:
            return cause.written_at
        redis, ours = self._read_at
        return redis + self._sources.clock() - ours

    def _why_not(
        self, spec: StrategySpec, proposal: Proposal, order_id: str, now: float
    ) -> Refusal | None:
        portfolio = self._sources.portfolio
        if order_id in portfolio.state.orders:
            return Refusal("already_decided", "this entry was already decided on")
        pending = portfolio.pending(spec.key)
        if len(pending) >= spec.max_orders:
            return Refusal("pending", "; ".join(_state_of(order) for order in pending))
        if self.halted is not None:
            return Refusal("halted", f"trading is halted: {self.halted}")
        view = MarketView(spec, self._sources)
        try:
            view.all_live()
            book = view.order_book()
        except StaleDataError as e:
            return Refusal("stale_market", str(e))
        try:
            for name in spec.indicators:
                view.indicator(name)
        except StaleDataError as e:
            return Refusal("stale_indicator", str(e))
        return self._mode(spec.exchange) or self._risk.check(proposal, book, now)

    def _mode(self, exchange: str) -> Refusal | None:
        """Refuse if the connector's status doesn't fit the bot's mode."""
        mode = self._settings.bot_mode
        status = self._sources.connectors.latest(exchange)
        if mode == "observe" or status is None:
            return None  # without a status the market is stale
        if mode == "paper" and status.world not in PAPER_WORLDS:
            return Refusal(
                "wrong_world",
                f"BOT_MODE=paper, but {connector(exchange)} trades on {status.world!r}; "
                f"expected {' or '.join(PAPER_WORLDS)}",
            )
        if not status.trading:
            reason = f"{connector(exchange)} accepts no orders: {status.reason_code}"
            return Refusal("connector_not_trading", reason)
        return None

    def _quantity(self, spec: StrategySpec, intent: Intent) -> Decimal:
        """Round to whole lots; reduce a sell that exceeds the available quantity by a fee."""
        quantity = intent.quantity or spec.quantity
        if intent.side == "sell":
            unsold = self._sources.portfolio.unsold(spec.key)
            free = self._sources.balances.free(spec.exchange, spec.symbol.partition("/")[0])
            for there_is in (unsold, free):
                if there_is is not None and quantity * (1 - SHORT_OF) <= there_is < quantity:
                    quantity = there_is
        whole = self._sources.instruments.lots(spec.exchange, spec.symbol).whole(quantity)
        return whole or quantity  # less than a lot is refused later, with the quantity as requested

    def build_batch(self, moment: Moment) -> tuple[list[Outgoing], list[DecisionEvent], set[str]]:
        """The commands and events that the outbox makes at this moment.

        Returns the commands, the event of each item, and the ids of the orders that are refused
        now: because trading is halted, or because their cause is too old.
        """
        self._read_at = (moment.now, self._sources.clock())
        commands: list[Outgoing] = []
        events: list[DecisionEvent] = []
        refused: set[str] = set()
        for item in self.outbox:
            refusal = self._too_late(item, moment) if item.order else None
            if refusal is not None and item.order is not None:
                refused.add(item.order.id)
                events.append(self._event(item.order, "refused", refusal))
                continue
            gone = item.to_cancel
            if gone is not None and (gone.ended or gone.id in refused):
                dropped = {"outcome": "cancel_dropped", "command_stream": None}
                events.append(item.event.model_copy(update=dropped))
                continue
            events.append(item.event)
            if item.order is not None:
                commands.append(_command(item.order))
            elif gone is not None:
                commands.append(_cancel(gone))
        return commands, events, refused

    def _too_late(self, item: OutboxItem, moment: Moment) -> Refusal | None:
        if moment.halted is not None:
            return Refusal("halted", f"trading is halted: {moment.halted}")
        age, most = moment.now - item.caused_at, self._settings.bot_decision_max_age
        if age <= most:
            return None
        return Refusal(
            "stale_decision",
            f"what caused it is {age:.1f} s old; BOT_DECISION_MAX_AGE allows {most:g} s",
        )

    def lost(self, order: BotOrder, why: str, told_by: str) -> None:
        """Publish that an order is lost: no connector knows it, and it can't appear later."""
        code = "order_lost" if order.order_id else "command_lost"
        refusal = Refusal(code, why)
        event = self._event(order, LOST, refusal)
        self._add(OutboxItem(event.model_copy(update={"order_status": LOST, "told_by": told_by})))

    def step(self, order: BotOrder, order_event: OrderEvent, told_by: str) -> None:
        """Publish that *order_event*, from the entry *told_by*, arrived for an order."""
        if isinstance(order_event, OrderResponseEvent):
            event = self._event(order, "answered")
            more = {
                "order_status": order_event.status,
                "reason_code": order_event.reason_code,
                "refusal": order_event.error_message,
                "command_id": order_event.command_id,
                "told_by": told_by,
            }
        else:
            event = self._event(order, "updated")
            more = {"order_status": order_event.status, "told_by": told_by}
        self._add(OutboxItem(event.model_copy(update=more)))

    def _add(self, item: OutboxItem) -> None:
        self.outbox.append(item)

    def _event(
        self, order: BotOrder, outcome: str, refusal: Refusal | None = None
    ) -> DecisionEvent:
        sent = outcome in ("sent", "answered", "updated", "cancel_sent", LOST)
        return DecisionEvent(
            decision_id=order.id,
            strategy=order.strategy,
            exchange=order.exchange,
            symbol=order.symbol,
            outcome=outcome,
            mode=self._settings.bot_mode,
            side=order.side,
            type=order.type,
            quantity=float(order.quantity),
            price=None if order.price is None else float(order.price),
            reason=order.reason,
            reason_code=refusal.reason_code if refusal else None,
            refusal=refusal.message if refusal else None,
            caused_by=order.caused_by,
            command_stream=_commands(order.exchange, "place_order") if sent else None,
            order_id=order.order_id,
            filled_quantity=float(order.filled) if sent else None,
            average_price=float(order.spent / order.filled) if order.filled else None,
        )


def _state_of(order: BotOrder) -> str:
    why = f": {order.unresolved}" if order.unresolved else ""
    return f"order {order.id} is {order.state}{why}"


def decision_id(strategy: str, cause: Cause, number: int = 0) -> str:
    """The id of a decision: the same strategy and cause give the same id, also after a restart.

    *number* distinguishes several intents of one cause.
    """
    identity = f"{strategy}|{cause.stream}|{cause.entry_id}" + (f"|{number}" if number else "")
    return BOT_ORDERS + hashlib.sha256(identity.encode()).hexdigest()[:28]


def log_decision(event: DecisionEvent) -> None:
    """Log a decision after it was written."""
    said = event.model_dump(exclude_none=True, exclude={"timestamp"})
    log.info("decision", **said)


def _commands(exchange: str, name: Literal["place_order", "cancel_order"]) -> str:
    return str(CommandStream(connector(exchange), name))


def _command(order: BotOrder) -> Outgoing:
    command = PlaceOrderCommand(
        client_order_id=order.id,
        symbol=order.symbol,
        type=order.type,
        side=order.side,
        quantity=float(order.quantity),
        price=None if order.price is None else float(order.price),
    )
    stream = _commands(order.exchange, "place_order")
    return Outgoing(stream, command.model_dump_json().encode(), order.id)


def _cancel(order: BotOrder) -> Outgoing:
    command = CancelOrderCommand(symbol=order.symbol, client_order_id=order.id)
    return Outgoing(_commands(order.exchange, "cancel_order"), command.model_dump_json().encode())
