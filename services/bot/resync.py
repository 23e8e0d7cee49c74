"""Queries the connectors about orders without events. No order is ever sent again.

Redis may lose a command that was just written, its answer, or a status. So the bot sends a
`query_order` at a start, after a gap in the connector's events, and for an order without events for
a while. An `order_status` in reply is applied as usual. One `unknown_order` proves nothing, since
the command may still wait in its stream. The order is lost after `MISSES` such answers, each to a
query sent after the last moment at which the command could have been executed and found.
"""

from typing import NamedTuple

import msgspec
import structlog

from common_models import CommandResponseEvent, QueryOrderCommand
from common_models.stream_names import CommandStream, connector
from services.bot.connector_watch import ConnectorWatch
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import BotOrder
from services.bot.settings import BotSettings

log = structlog.get_logger()

MISSES = 3
# A query without an answer for this many seconds was lost and is sent again. A connector answers
# `unknown` after 60 s at the latest.
ANSWERED_WITHIN = 75.0
# An open order may rest for a long time: it is queried this often, in seconds.
OPEN_SILENT_FOR = 300.0
NEVER = float("-inf")


class OrderQuery(NamedTuple):
    """One `query_order`, and the order that it is about."""

    order_id: str
    request_id: str
    stream: str
    data: bytes


class UncertainOrder(msgspec.Struct):
    """The state of the queries about one order. Times are Redis's, in seconds."""

    last_event_at: float = NEVER  # the last event of the order
    needs_query: bool = False  # query it without waiting for silence
    asked_at: float = NEVER
    request_id: str = ""  # of the query whose answer is awaited
    misses: int = 0


class Resync:
    """Selects the orders to query, and reads the answers. Pure except for the log."""

    def __init__(
        self, settings: BotSettings, portfolio: Portfolio, connectors: ConnectorWatch
    ) -> None:
        validity = settings.order_validity
        # How long an order may be silent before a query, and the time between queries, in seconds.
        self.ask_every = settings.order_command_max_age + validity
        # After this time the connector has resolved every order that it read, in seconds.
        self.resolved_within = (
            self.ask_every + settings.order_resolve_margin + settings.order_missed_for
        )
        self._portfolio = portfolio
        self._connectors = connectors
        self._uncertain_orders: dict[str, UncertainOrder] = {}

    def mark_all_uncertain(self, exchange: str | None = None) -> None:
        """Query each open order of *exchange* (None: of all), because events may be missing."""
        for order in self._portfolio.open:
            if exchange in (None, order.exchange):
                self.mark_uncertain(order)

    def mark_uncertain(self, order: BotOrder) -> None:
        """Query this order; an answer to an earlier query does not count."""
        uncertain = self._uncertain(order.id)
        uncertain.needs_query, uncertain.request_id = True, ""

    def received(self, order: BotOrder, at: float) -> None:
        """Note an event of this order; Redis stored it *at*, in seconds."""
        order.unresolved = None
        if order.ended:
            self._uncertain_orders.pop(order.id, None)
            return
        uncertain = self._uncertain(order.id)
        uncertain.last_event_at, uncertain.misses = max(uncertain.last_event_at, at), 0

    def due(self, now: float, clock: float) -> list[OrderQuery]:
        """The queries to send now; *now* is Redis's time, *clock* the connector watch's.

        The orders of a connector that is down are not queried: it would find a backlog.
        """
        found = []
        for order in self._portfolio.open:
            if order.state == "deciding" or now < self._due_at(order):
                continue
            away = self._connectors.why_silent(order.exchange, clock)
            if away is None:
                found.append(_query(order))
            else:
                self._keep_waiting(order, away)
        return found

    def asked(self, query: OrderQuery, at: float) -> None:
        """Note that a query was written to its stream."""
        uncertain = self._uncertain(query.order_id)
        uncertain.request_id, uncertain.asked_at = query.request_id, at

    def handle(self, exchange: str, answer: CommandResponseEvent) -> BotOrder | None:
        """Read an answer; return the order if the answer proves that it is lost, else None."""
        order = self._asked_about(exchange, answer.client_request_id)
        if order is None:
            return None
        uncertain = self._uncertain_orders[order.id]
        uncertain.request_id = ""
        if answer.status == "done":
            uncertain.needs_query, uncertain.misses = False, 0
        elif (answer.status, answer.reason_code) == ("rejected", "unknown_order"):
            uncertain.needs_query = True
            if uncertain.asked_at >= order.sent_at + self.resolved_within:
                uncertain.misses += 1
            if uncertain.misses >= MISSES:
                del self._uncertain_orders[order.id]
                return order
        else:
            uncertain.needs_query = True
            why = f"{answer.status} ({answer.reason_code}): {answer.error_message}"
            self._keep_waiting(order, f"{connector(exchange)} answers {why}")
        return None

    def _asked_about(self, exchange: str, request_id: str) -> BotOrder | None:
        """The open order that a query is about; None for a query of another sender."""
        for order in self._portfolio.open:
            uncertain = self._uncertain_orders.get(order.id)
            if order.exchange == exchange and uncertain and uncertain.request_id == request_id:
                return order
        return None

    def _uncertain(self, order_id: str) -> UncertainOrder:
        return self._uncertain_orders.setdefault(order_id, UncertainOrder())

    def _due_at(self, order: BotOrder) -> float:
        uncertain = self._uncertain_orders.get(order.id) or UncertainOrder()
        if uncertain.request_id:
            return uncertain.asked_at + ANSWERED_WITHIN
        if uncertain.needs_query:
            return uncertain.asked_at + self.ask_every
        waiting = order.state in ("sent", "unknown")
        patience = self.ask_every if waiting else max(OPEN_SILENT_FOR, self.ask_every)
        return max(order.sent_at, uncertain.last_event_at, uncertain.asked_at) + patience

    @staticmethod
    def _keep_waiting(order: BotOrder, why: str) -> None:
        """Keep an order whose outcome is unknown, and log each new reason once."""
        if order.unresolved != why:
            order.unresolved = why
            log.warning("order_unresolved", id=order.id, state=order.state, reason=why)


def _query(order: BotOrder) -> OrderQuery:
    # By our own id: after a reset of the exchange its id may belong to another order.
    query = QueryOrderCommand(symbol=order.symbol, client_order_id=order.id)
    stream = str(CommandStream(connector(order.exchange), "query_order"))
    data = query.model_dump_json().encode()
    return OrderQuery(order.id, query.client_request_id, stream, data)
