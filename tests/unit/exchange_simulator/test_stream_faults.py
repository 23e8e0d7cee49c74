"""Fault rules applied to the frames of a stream."""

import pytest

from services.exchange_simulator.faults import FaultPlan, StreamFault
from services.exchange_simulator.stream_faults import AllStreamFaults, StreamFaults
from tests.support.eventually import eventually


class Wire:
    """A connection double: the frames sent, and how it ended."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.fate = "open"

    def push(self, frame: bytes) -> None:
        """Record a frame."""
        self.sent.append(frame)

    def cut(self) -> None:
        """Record the cut."""
        self.fate = "cut"

    def freeze(self) -> None:
        """Record the freeze."""
        self.fate = "frozen"


@pytest.fixture
def wire() -> Wire:
    """A new connection double."""
    return Wire()


@pytest.fixture
def plan() -> FaultPlan:
    """A plan without rules."""
    return FaultPlan(1)


@pytest.fixture
def stream_faults(wire: Wire, plan: FaultPlan) -> StreamFaults:
    """The sender of a Luno market stream."""
    return StreamFaults(plan, ("luno", "market_stream"), wire, None)  # type: ignore[arg-type]


def rule(action: str, **more: object) -> StreamFault:
    """A rule for Luno's market streams."""
    return StreamFault.model_validate(
        {"venue": "luno", "endpoint": "market_stream", "action": action, **more}
    )


def test_a_burst_is_held_until_complete_and_sent_at_once(
    wire: Wire, plan: FaultPlan, stream_faults: StreamFaults
) -> None:
    """Later frames are sent as usual."""
    plan.add(rule("burst", frames=3))
    stream_faults.push(b"a")
    stream_faults.push(b"b")
    assert wire.sent == []
    stream_faults.push(b"c")
    assert wire.sent == [b"a", b"b", b"c"]
    stream_faults.push(b"d")
    assert wire.sent == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize(
    ("action", "sent"),
    [
        ("drop", [b"a", b"c"]),
        ("duplicate", [b"a", b"b", b"b", b"c"]),
        ("reorder", [b"a", b"c", b"b"]),
    ],
)
def test_a_rule_changes_the_frames_sent(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire, action: str, sent: list[bytes]
) -> None:
    """The rule applies to the second of three frames."""
    plan.add(rule(action, contains="b"))
    for frame in (b"a", b"b", b"c"):
        stream_faults.push(frame)
    assert wire.sent == sent


def test_frames_held_back_together_are_sent_together(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire
) -> None:
    """In their order, after the first frame without a fault."""
    plan.add(rule("reorder", count=2))
    for frame in (b"a", b"b", b"c", b"d"):
        stream_faults.push(frame)
    assert wire.sent == [b"c", b"a", b"b", b"d"]


async def test_a_delayed_frame_is_sent_without_a_successor(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire
) -> None:
    """A delay needs no later frame."""
    plan.add(rule("delay", delay_ms=30))
    stream_faults.push(b"late")
    assert wire.sent == []
    await eventually(lambda: wire.sent == [b"late"])


@pytest.mark.parametrize(("action", "fate"), [("disconnect", "cut"), ("half_open", "frozen")])
def test_a_connection_may_break_instead_of_a_frame(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire, action: str, fate: str
) -> None:
    """The frame isn't sent."""
    plan.add(rule(action))
    stream_faults.push(b"last")
    assert (wire.sent, wire.fate) == ([], fate)


def test_actions_apply_to_all_open_connections_of_a_kind(plan: FaultPlan) -> None:
    """A shutdown notice applies only to a venue that has one."""
    all_stream_faults, luno, binance = AllStreamFaults(plan), Wire(), Wire()
    with all_stream_faults.open("luno", "market_stream", luno):  # type: ignore[arg-type]
        with all_stream_faults.open("binance", "market_stream", binance, lambda: b"bye"):  # type: ignore[arg-type]
            assert all_stream_faults.act("binance", "market_stream", "server_shutdown") == 1
            assert all_stream_faults.act("binance", "user_stream", "server_shutdown") == 0
            assert all_stream_faults.act("luno", "market_stream", "server_shutdown") == 0
        assert all_stream_faults.act("binance", "market_stream", "disconnect") == 0
        assert all_stream_faults.act("luno", "market_stream", "half_open") == 1
    assert (binance.sent, binance.fate, luno.fate) == ([b"bye"], "open", "frozen")
