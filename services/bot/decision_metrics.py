"""Counts decisions by outcome, and measures each hop of an order by Redis's clock."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram

from common_models import DecisionEvent, OrderResponseEvent
from services.bot.portfolio import OrderEvent
from services.bot.portfolio_state import BotOrder

OUTCOMES = ("sent", "refused", "observed", "cancel_sent", "lost")
ANSWERS = ("accepted", "rejected", "unknown")
HOPS = ("decision", "answer", "first_status")
# In seconds. Entry ids have a resolution of 1 ms.
BUCKETS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)


class DecisionMetrics:
    """Counts since the start; `bot.metrics` reads them.

    Hops: `decision`, from the entry that a strategy received to its written decision; `answer`,
    from a command to its final answer; `first_status`, from the answer to the first status of the
    order, 0 if the status came first. Only `decision` includes the time that the bot needs to read.
    """

    def __init__(
        self, registry: CollectorRegistry, strategies: Iterable[str], exchanges: Iterable[str]
    ) -> None:
        """*strategies* are their keys; all their counts start at 0."""
        self.decisions = Counter({(key, out): 0 for key in strategies for out in OUTCOMES})
        self.refusals: Counter[str] = Counter()
        self.answers = Counter({(name, status): 0 for name in exchanges for status in ANSWERS})
        # When each open order was answered; None if a status came first.
        self._answered: dict[str, float | None] = {}
        hops = Histogram(
            "bot_hop_seconds",
            "How long each hop of an order took, by Redis's clock.",
            ["hop"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._hops = {hop: hops.labels(hop) for hop in HOPS}

    def decided(self, event: DecisionEvent, caused_at: float, now: float) -> None:
        """Count a written decision; *caused_at* is when Redis stored its cause, in seconds."""
        if event.outcome not in OUTCOMES:
            return
        self.decisions[event.strategy, event.outcome] += 1
        if event.reason_code is not None:
            self.refusals[event.reason_code] += 1
        if event.outcome != "lost":
            self._hops["decision"].observe(max(0.0, now - caused_at))

    def count(self, order: BotOrder, event: OrderEvent, at: float) -> None:
        """Count an event that the portfolio has applied; Redis stored it *at*, in seconds."""
        if isinstance(event, OrderResponseEvent):
            self._count_answer(order, event, at)
        else:
            self._count_status(order, at)
        if order.ended:
            self._answered.pop(order.id, None)

    def _count_answer(self, order: BotOrder, answer: OrderResponseEvent, at: float) -> None:
        status = answer.status if answer.status in ANSWERS else "unknown"
        self.answers[order.exchange, status] += 1
        if status == "unknown":  # a final answer follows
            return
        if order.sent_at:
            self._hops["answer"].observe(max(0.0, at - order.sent_at))
        if order.id in self._answered:
            self._hops["first_status"].observe(0.0)
        else:
            self._answered[order.id] = at

    def _count_status(self, order: BotOrder, at: float) -> None:
        answered_at = self._answered.get(order.id)
        if answered_at is not None:
            self._hops["first_status"].observe(max(0.0, at - answered_at))
        self._answered[order.id] = None
