"""The fault plan: which request or frame a rule strikes, and that a seed decides it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.exchange_simulator.faults import FaultPlan, RequestFault, StreamFault


def place(**more: Any) -> RequestFault:
    """A rule for Binance's new orders."""
    return RequestFault(venue="binance", endpoint="place", **{"answer": "error", **more})


def strikes(plan: FaultPlan, count: int, text: str = "") -> list[bool]:
    """Which of *count* requests are struck."""
    return [plan.take_request("binance", "place", text) is not None for _ in range(count)]


def test_a_rule_strikes_as_often_as_it_says() -> None:
    """By default once; with null for ever; and not the first ones it is to skip."""
    for rule, expected in (
        (place(), [True, False, False, False]),
        (place(count=2, skip=1), [False, True, True, False]),
        (place(count=None), [True] * 4),
    ):
        plan = FaultPlan(1)
        plan.add(rule)
        assert strikes(plan, 4) == expected


def test_it_strikes_only_what_it_is_aimed_at() -> None:
    """Venue, endpoint and text; frames aren't requests."""
    plan = FaultPlan(1)
    plan.add(place(contains="id=7", count=None))
    plan.add(StreamFault(venue="luno", endpoint="user_stream", action="drop"))
    assert strikes(plan, 1, "id=8") == [False]
    assert strikes(plan, 1, "a&id=7&b") == [True]
    assert plan.take_request("luno", "place", "id=7") is None
    assert plan.take_request("binance", "cancel", "id=7") is None
    assert plan.take_frame("binance", "user_stream", "") is None
    assert plan.take_frame("luno", "user_stream", "") is not None


def test_the_oldest_rule_that_still_may_is_the_one() -> None:
    """A spent rule makes way."""
    plan = FaultPlan(1)
    plan.add(place(status=500))
    plan.add(place(status=501))
    taken = [plan.take_request("binance", "place", "") for _ in range(3)]
    assert [fault and fault.status for fault in taken] == [500, 501, None]


def test_where_no_rule_may_strike_nothing_is_looked_at() -> None:
    """`armed` follows what is added, spent and removed."""
    plan = FaultPlan(1)
    assert not plan.armed
    number = plan.add(place(count=None))
    plan.add(StreamFault(venue="luno", endpoint="market_stream", action="drop"))
    assert plan.armed == {("binance", "place"), ("luno", "market_stream")}
    plan.take_frame("luno", "market_stream", "")
    assert plan.armed == {("binance", "place")}
    assert plan.remove(number)
    assert not plan.remove(number)
    assert not plan.armed


def test_the_report_has_all_rules_and_how_often_they_struck() -> None:
    """The spent ones too; `clear` forgets them and begins anew."""
    plan = FaultPlan(1)
    plan.add(place())
    plan.add(place(count=3))
    strikes(plan, 2)
    assert [(rule["id"], rule["used"]) for rule in plan.report()] == [(1, 1), (2, 1)]
    plan.clear()
    assert plan.report() == []
    assert plan.add(place()) == 1


@given(st.integers(0, 10**9), st.floats(0.1, 0.9), st.integers(1, 200))
def test_the_same_seed_strikes_the_same_requests(seed: int, chance: float, count: int) -> None:
    """Whatever other rules are asked in between."""
    said = []
    for other in (False, True):
        plan = FaultPlan(seed)
        plan.add(place(probability=chance, count=None))
        plan.add(RequestFault(venue="luno", endpoint="place", probability=0.5, count=None))
        struck = []
        for _ in range(count):
            if other:
                plan.take_request("luno", "place", "")
            struck += strikes(plan, 1)
        said.append(struck)
    assert said[0] == said[1]


def test_a_chance_is_about_what_it_says() -> None:
    """A quarter of a thousand."""
    plan = FaultPlan(7)
    plan.add(place(probability=0.25, count=None))
    assert 200 < sum(strikes(plan, 1000)) < 300


@pytest.mark.parametrize(
    "wrong",
    [
        {"execute": "never", "answer": "normal"},
        {"count": 0},
        {"status": 200},
        {"execute_after_ms": -1},
        {"probability": 0},
        {"action": "drop"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Before it is in force."""
    with pytest.raises(ValidationError):
        place(**wrong)
