"""What is counted of decisions, and how the hops of an order are measured."""

from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from common_models import DecisionEvent, OrderResponseEvent, OrderStatusUpdateEvent
from services.bot.decision_metrics import OUTCOMES, DecisionMetrics
from services.bot.portfolio_state import BotOrder
from tests.support.metrics import Numbers, numbers

KEY = "x:binance:BTC/USDT"


class Counted:
    """A tally, and what Prometheus would read of it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.decision_metrics = DecisionMetrics(self._registry, [KEY], ["binance"])

    def hop(self, name: str) -> tuple[float, float]:
        """How often a hop was measured, and how long all of it took."""
        found: Numbers = numbers(self._registry.collect())
        return found["bot_hop_seconds_count", name], found["bot_hop_seconds_sum", name]


@pytest.fixture
def counted() -> Counted:
    """Nothing has happened yet."""
    return Counted()


def decision(outcome: str, **more: object) -> DecisionEvent:
    """What is told of a decision."""
    event = DecisionEvent(
        decision_id="bot-1",
        strategy=KEY,
        exchange="binance",
        symbol="BTC/USDT",
        outcome=outcome,
        mode="paper",
        side="buy",
        type="market",
        quantity=1,
        reason="so",
        caused_by=[],
    )
    return event.model_copy(update=more)


def order(state: str = "sent", sent_at: float = 100.0) -> BotOrder:
    """An order that Redis took at second 100."""
    return BotOrder(
        id="bot-1",
        strategy=KEY,
        exchange="binance",
        symbol="BTC/USDT",
        side="buy",
        type="market",
        quantity=Decimal(1),
        price=None,
        reason="so",
        caused_by=[],
        sent_at=sent_at,
        state=state,
    )


def response(status: str) -> OrderResponseEvent:
    """The connector's answer."""
    return OrderResponseEvent(
        client_order_id="bot-1",
        symbol="BTC/USDT",
        requested_quantity=1,
        side="buy",
        type="market",
        status=status,
    )


def update(status: str = "open") -> OrderStatusUpdateEvent:
    """What became of the order."""
    return OrderStatusUpdateEvent(
        order_id="4711",
        client_order_id="bot-1",
        symbol="BTC/USDT",
        status=status,
        filled_quantity=0,
        remaining_quantity=1,
        exchange="binance",
    )


def test_decisions_are_counted_by_what_became_of_them(counted: Counted) -> None:
    """Each that is known begins at 0; steps of an order are no decisions."""
    decision_metrics = counted.decision_metrics
    assert decision_metrics.decisions == {(KEY, outcome): 0 for outcome in OUTCOMES}
    decision_metrics.decided(decision("sent"), 10.0, 10.25)
    decision_metrics.decided(decision("refused", reason_code="pending"), 11.0, 11.5)
    decision_metrics.decided(decision("answered", reason_code="price_collar"), 0.0, 12.0)
    assert +decision_metrics.decisions == {(KEY, "sent"): 1, (KEY, "refused"): 1}
    assert decision_metrics.refusals == {"pending": 1}
    assert counted.hop("decision") == (2, 0.75)


def test_the_hops_of_an_order_are_measured_once(counted: Counted) -> None:
    """From the command to the answer, and from there to the first status; the others count not."""
    counted.decision_metrics.count(order("open"), response("accepted"), 100.5)
    counted.decision_metrics.count(order("open"), update(), 100.75)
    counted.decision_metrics.count(order("filled"), update("filled"), 109.0)
    assert counted.hop("answer") == (1, 0.5)
    assert counted.hop("first_status") == (1, 0.25)
    assert counted.decision_metrics.answers["binance", "accepted"] == 1


def test_a_status_that_comes_before_the_answer_took_no_time(counted: Counted) -> None:
    """An exchange's stream may be faster than its answer."""
    counted.decision_metrics.count(order("open"), update(), 100.25)
    counted.decision_metrics.count(order("open"), response("accepted"), 100.5)
    counted.decision_metrics.count(order("open"), update(), 105.0)
    assert counted.hop("answer") == (1, 0.5)
    assert counted.hop("first_status") == (1, 0.0)


def test_unknown_is_counted_and_the_answer_behind_it_measured(counted: Counted) -> None:
    """Unknown is no answer yet."""
    counted.decision_metrics.count(order("unknown"), response("unknown"), 103.0)
    assert counted.hop("answer") == (0, 0.0)
    counted.decision_metrics.count(order("rejected"), response("rejected"), 130.0)
    assert counted.hop("answer") == (1, 30.0)
    assert counted.decision_metrics.answers == {
        ("binance", "unknown"): 1,
        ("binance", "rejected"): 1,
        ("binance", "accepted"): 0,
    }


def test_a_closed_order_is_removed(counted: Counted) -> None:
    """What is kept is bounded by the orders that are open."""
    counted.decision_metrics.count(order("open"), response("accepted"), 100.5)
    counted.decision_metrics.count(order("filled"), update("filled"), 100.5)
    counted.decision_metrics.count(order("rejected"), response("rejected"), 100.5)
    assert counted.decision_metrics._answered == {}


def test_an_answer_to_a_command_not_known_to_be_sent_is_not_measured(counted: Counted) -> None:
    """The answer may be read before the write that sent the command has returned."""
    counted.decision_metrics.count(order("open", sent_at=0.0), response("accepted"), 100.5)
    assert counted.hop("answer") == (0, 0.0)
    assert counted.decision_metrics.answers["binance", "accepted"] == 1
