"""The fault plan: which request or frame a rule applies to, decided by the seed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.exchange_simulator.faults import FaultPlan, RequestFault, StreamFault


def place(**more: Any) -> RequestFault:
    """A rule for Binance's new orders."""
    return RequestFault(venue="binance", endpoint="place", **{"answer": "error", **more})


def applied(plan: FaultPlan, count: int, text: str = "") -> list[bool]:
    """The indexes of *count* requests to which a rule applies."""
    return [plan.take_request("binance", "place", text) is not None for _ in range(count)]


def test_a_rule_applies_count_times_after_skip() -> None:
    """By default once; with null always; never to the first `skip` matches."""
    for rule, expected in (
        (place(), [True, False, False, False]),
        (place(count=2, skip=1), [False, True, True, False]),
        (place(count=None), [True] * 4),
    ):
        plan = FaultPlan(1)
        plan.add(rule)
        assert applied(plan, 4) == expected


def test_a_rule_applies_only_to_its_venue_endpoint_and_text() -> None:
    """A request fault never applies to a frame."""
    plan = FaultPlan(1)
    plan.add(place(contains="id=7", count=None))
    plan.add(StreamFault(venue="luno", endpoint="user_stream", action="drop"))
    assert applied(plan, 1, "id=8") == [False]
    assert applied(plan, 1, "a&id=7&b") == [True]
    assert plan.take_request("luno", "place", "id=7") is None
    assert plan.take_request("binance", "cancel", "id=7") is None
    assert plan.take_frame("binance", "user_stream", "") is None
    assert plan.take_frame("luno", "user_stream", "") is not None


def test_the_oldest_rule_that_is_not_used_up_applies() -> None:
    """The next rule follows a used-up one."""
    plan = FaultPlan(1)
    plan.add(place(status=500))
    plan.add(place(status=501))
    taken = [plan.take_request("binance", "place", "") for _ in range(3)]
    assert [fault and fault.status for fault in taken] == [500, 501, None]


def test_armed_lists_the_endpoints_with_active_rules() -> None:
    """`armed` changes if a rule is added, used up or removed."""
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


def test_the_report_has_all_rules_and_their_use() -> None:
    """Used-up rules included; `clear` removes all and restarts their numbers."""
    plan = FaultPlan(1)
    plan.add(place())
    plan.add(place(count=3))
    applied(plan, 2)
    assert [(rule["id"], rule["used"]) for rule in plan.report()] == [(1, 1), (2, 1)]
    plan.clear()
    assert plan.report() == []
    assert plan.add(place()) == 1


@given(st.integers(0, 10**9), st.floats(0.1, 0.9), st.integers(1, 200))
def test_the_same_seed_selects_the_same_requests(seed: int, chance: float, count: int) -> None:
    """Other rules have no influence."""
    runs = []
    for other in (False, True):
        plan = FaultPlan(seed)
        plan.add(place(probability=chance, count=None))
        plan.add(RequestFault(venue="luno", endpoint="place", probability=0.5, count=None))
        selected = []
        for _ in range(count):
            if other:
                plan.take_request("luno", "place", "")
            selected += applied(plan, 1)
        runs.append(selected)
    assert runs[0] == runs[1]


def test_a_rule_applies_with_about_its_probability() -> None:
    """To about a quarter of a thousand requests."""
    plan = FaultPlan(7)
    plan.add(place(probability=0.25, count=None))
    assert 200 < sum(applied(plan, 1000)) < 300


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
def test_an_invalid_rule_is_refused(wrong: dict[str, Any]) -> None:
    """Validation fails before the rule is added."""
    with pytest.raises(ValidationError):
        place(**wrong)
