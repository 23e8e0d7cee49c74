"""What the connectors are asked, when, and what their answers prove."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import CommandResponseEvent, OrderStatusUpdateEvent, QueryOrderCommand
from services.bot.connector_watch import SILENT_AFTER, ConnectorWatch
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import BotOrder
from services.bot.resync import ANSWERED_WITHIN, MISSES, OPEN_SILENT_FOR, OrderQuery, Resync
from services.bot.settings import BotSettings
from tests.support.market_data.messages import connector_status
from tests.unit.bot.test_portfolio import order, status

SENT_AT = 1000.0
# By the defaults of the waits: 10 + 5, and 15 + 10 more.
ASK_EVERY = 15.0
RESOLVED_WITHIN = 40.0


class Asked:
    """A bot's books, its questions, and a connector that tells its status."""

    def __init__(self, *orders: BotOrder) -> None:
        self.portfolio = Portfolio()
        for each in orders:
            each.sent_at = SENT_AT
            self.portfolio.add(each)
        self.connectors = ConnectorWatch(["binance"])
        self.resync = Resync(BotSettings.model_construct(), self.portfolio, self.connectors)
        self.portfolio.on_step = lambda found, _: self.resync.received(found, self.now)
        self.portfolio.on_uncertain = self.resync.mark_uncertain
        self.now = SENT_AT
        self.tell_status()

    def tell_status(self) -> None:
        """The connector lives."""
        data = connector_status().model_dump_json().encode()
        self.connectors.handle("binance_connector:events:connector_status", data, self.now)

    def at(self, seconds: float, *, away: bool = False) -> list[OrderQuery]:
        """The questions that are asked so long after the order was sent."""
        self.now = SENT_AT + seconds
        if not away:
            self.tell_status()
        queries = self.resync.due(self.now, self.now)
        for query in queries:
            self.resync.asked(query, self.now)
        return queries

    def answer(
        self, query: OrderQuery, status: str = "rejected", reason: str | None = "unknown_order"
    ) -> BotOrder | None:
        """The connector's answer; the order that it proves lost."""
        event = CommandResponseEvent(
            client_request_id=query.request_id,
            command="query_order",
            status=status,
            reason_code=reason,
            error_message="because",
            exchange="binance",
        )
        return self.resync.handle("binance", event)


def test_an_order_without_events_is_queried_by_its_id() -> None:
    """Once it could have been answered; and again only where that answer is lost."""
    asked = Asked(order())
    assert asked.at(ASK_EVERY - 0.1) == []
    (query,) = asked.at(ASK_EVERY)
    assert query.stream == "binance_connector:commands:query_order"
    command = QueryOrderCommand.model_validate_json(query.data)
    assert (command.symbol, command.client_order_id, command.order_id) == (
        "BTC/USDT",
        "bot-1",
        None,
    )
    assert command.client_request_id == query.request_id
    assert asked.at(ASK_EVERY + ANSWERED_WITHIN - 0.1) == []
    (again,) = asked.at(ASK_EVERY + ANSWERED_WITHIN)
    assert again.request_id != query.request_id


def test_an_order_is_lost_once_it_was_missed_so_often_after_it_could_come() -> None:
    """Each earlier miss proves nothing: the command may still wait in its stream."""
    asked = Asked(order())
    misses: list[float] = []
    for seconds in range(200):
        for query in asked.at(seconds):
            misses.append(seconds)
            if (lost := asked.answer(query)) is not None:
                assert lost.id == "bot-1"
                assert misses == [15, 30, 45, 60, 75]
                assert sum(at >= RESOLVED_WITHIN for at in misses) == MISSES
                return
    raise AssertionError(f"never lost: asked at {misses}")


def test_a_miss_at_the_limit_counts_and_one_just_before_it_does_not() -> None:
    """The bound is exact."""
    for begin, wanted in ((RESOLVED_WITHIN, 3), (RESOLVED_WITHIN - 0.1, 4)):
        asked = Asked(order())
        answers = 0
        found = None
        while found is None:
            (query,) = asked.at(begin + answers * ASK_EVERY)
            found = asked.answer(query)
            answers += 1
        assert answers == wanted


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("rejected", "no_credentials"),
        ("rejected", "key_refused"),
        ("rejected", "unknown_symbol"),
        ("rejected", "exchange_rejected"),
        ("unknown", "no_answer"),
        ("unknown", "unknown_order"),
        ("rejected", None),
    ],
)
def test_an_answer_that_knows_nothing_of_the_order_proves_nothing(
    status: str, reason: str | None
) -> None:
    """However often it comes: the order stays as it is, and says why."""
    asked = Asked(order())
    asked.at(0)
    for number in range(1, 50):
        (query,) = asked.at(100 * number)
        assert asked.answer(query, status, reason) is None
    (found,) = asked.portfolio.open
    assert found.state == "sent"
    assert found.unresolved == f"binance_connector answers {status} ({reason}): because"


def test_an_event_of_an_order_restarts_the_count() -> None:
    """A status says that the connector knows it: misses before it count no more."""
    asked = Asked(order())
    for seconds in (50, 65):
        (query,) = asked.at(seconds)
        assert asked.answer(query) is None
    asked.portfolio.handle_status("binance", status("open"))
    for seconds in (80, 95):
        asked.resync.mark_all_uncertain("binance")
        (query,) = asked.at(seconds)
        assert asked.answer(query) is None
    asked.resync.mark_all_uncertain("binance")
    (query,) = asked.at(110)
    assert asked.answer(query) is asked.portfolio.open[0]


def test_found_is_found() -> None:
    """After `done` an open order is asked about when nothing came for long."""
    asked = Asked(order())
    (query,) = asked.at(ASK_EVERY)
    asked.portfolio.handle_status("binance", status("open"))
    assert asked.answer(query, "done", None) is None
    assert asked.at(ASK_EVERY + OPEN_SILENT_FOR - 0.1) == []
    assert len(asked.at(ASK_EVERY + OPEN_SILENT_FOR)) == 1


def test_at_a_start_and_after_a_gap_each_open_order_is_asked_about() -> None:
    """At once, but an order that was asked about just now; never one that has ended or waits."""
    ended, waiting, other = order(2), order(3), order(4)
    ended.state, waiting.state, other.exchange = "filled", "deciding", "luno"
    asked = Asked(order(), ended, waiting, other)
    asked.resync.mark_all_uncertain("binance")
    assert [query.order_id for query in asked.at(1)] == ["bot-1"]
    asked.resync.mark_all_uncertain("binance")
    assert asked.at(1 + ASK_EVERY - 0.1) == []
    assert [query.order_id for query in asked.at(1 + ASK_EVERY)] == ["bot-1"]


def test_an_answer_from_before_a_gap_settles_nothing() -> None:
    """The events that it speaks of may be among those that are missing."""
    asked = Asked(order())
    (query,) = asked.at(50)
    asked.resync.mark_all_uncertain("binance")
    assert asked.answer(query, "done", None) is None
    (again,) = asked.at(50 + ASK_EVERY)
    assert asked.answer(query) is None  # not its answer
    assert asked.answer(again, "done", None) is None


def test_a_connector_that_is_away_is_not_asked_and_that_is_said() -> None:
    """It would find a crowd of questions; once it is back it is asked at once."""
    asked = Asked(order())
    assert asked.at(ASK_EVERY + SILENT_AFTER + 1, away=True) == []
    (found,) = asked.portfolio.open
    assert found.unresolved == "binance_connector published its last status 46 s ago"
    assert len(asked.at(ASK_EVERY + SILENT_AFTER + 2)) == 1
    asked.portfolio.handle_status("binance", status("open"))
    assert found.unresolved is None


def test_others_questions_are_not_ours() -> None:
    """Another's answer, the same id on another exchange, an order that ended meanwhile."""
    asked = Asked(order())
    for seconds in (50, 65, 80):
        (query,) = asked.at(seconds)
        mine = query._replace(request_id="mine")
        assert asked.answer(mine) is None
        event = CommandResponseEvent(
            client_request_id=query.request_id,
            command="query_order",
            status="rejected",
            reason_code="unknown_order",
            exchange="luno",
        )
        assert asked.resync.handle("luno", event) is None
        if seconds < 80:
            assert asked.answer(query) is None
    asked.portfolio.handle_status("binance", status("filled", 2.0, 1.0))
    assert asked.answer(query) is None


STEPS = st.lists(
    st.sampled_from(["wait", "miss", "miss", "miss", "no answer", "keyless", "gap", "status"])
)


@given(STEPS)
def test_whatever_is_answered_an_order_is_lost_by_three_late_misses_alone(steps: list[str]) -> None:
    """And it always is in the end, where the connector knows of none."""
    asked = Asked(order())
    late = 0
    clock = 0.0
    for step in [*steps, *["miss"] * 20]:
        clock += ASK_EVERY
        if step == "gap":
            asked.resync.mark_all_uncertain("binance")
        elif step == "status":
            late = 0
            asked.now = SENT_AT + clock
            event: OrderStatusUpdateEvent = status("partially_filled", 0.5, 1.0)
            asked.portfolio.handle_status("binance", event)
        queries = asked.at(clock)
        if not queries and step == "miss":
            clock += OPEN_SILENT_FOR
            queries = asked.at(clock)
        for query in queries:
            lost = None
            if step == "miss":
                late += clock >= RESOLVED_WITHIN
                lost = asked.answer(query)
            elif step == "keyless":
                lost = asked.answer(query, "rejected", "no_credentials")
            assert (lost is not None) == (step == "miss" and late >= MISSES)
            if lost is not None:
                return
    raise AssertionError("never lost")
