"""A stream's way out: what rules make of its frames."""

import pytest

from services.exchange_simulator.faults import FaultPlan, StreamFault
from services.exchange_simulator.stream_faults import AllStreamFaults, StreamFaults
from tests.support.eventually import eventually


class Wire:
    """Stands for a connection: what was sent, and what became of it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.fate = "open"

    def push(self, frame: bytes) -> None:
        """Take a frame."""
        self.sent.append(frame)

    def cut(self) -> None:
        """Be cut."""
        self.fate = "cut"

    def freeze(self) -> None:
        """Freeze."""
        self.fate = "frozen"


@pytest.fixture
def wire() -> Wire:
    """A fresh one."""
    return Wire()


@pytest.fixture
def plan() -> FaultPlan:
    """Without rules."""
    return FaultPlan(1)


@pytest.fixture
def stream_faults(wire: Wire, plan: FaultPlan) -> StreamFaults:
    """The gate of a Luno market stream."""
    return StreamFaults(plan, ("luno", "market_stream"), wire, None)  # type: ignore[arg-type]


def rule(action: str, **more: object) -> StreamFault:
    """A rule for Luno's market streams."""
    return StreamFault.model_validate(
        {"venue": "luno", "endpoint": "market_stream", "action": action, **more}
    )


def test_a_burst_waits_until_it_is_complete_and_comes_at_once(
    wire: Wire, plan: FaultPlan, stream_faults: StreamFaults
) -> None:
    """What stands behind it goes out as ever."""
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
def test_a_rule_changes_what_is_sent(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire, action: str, sent: list[bytes]
) -> None:
    """The second of three frames is struck."""
    plan.add(rule(action, contains="b"))
    for frame in (b"a", b"b", b"c"):
        stream_faults.push(frame)
    assert wire.sent == sent


def test_frames_held_back_together_come_together(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire
) -> None:
    """In their order, behind the first that isn't struck."""
    plan.add(rule("reorder", count=2))
    for frame in (b"a", b"b", b"c", b"d"):
        stream_faults.push(frame)
    assert wire.sent == [b"c", b"a", b"b", b"d"]


async def test_a_late_frame_comes_by_itself(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire
) -> None:
    """Though nothing follows it."""
    plan.add(rule("delay", delay_ms=30))
    stream_faults.push(b"late")
    assert wire.sent == []
    await eventually(lambda: wire.sent == [b"late"])


@pytest.mark.parametrize(("action", "fate"), [("disconnect", "cut"), ("half_open", "frozen")])
def test_a_connection_may_go_with_a_frame(
    stream_faults: StreamFaults, plan: FaultPlan, wire: Wire, action: str, fate: str
) -> None:
    """The frame isn't sent."""
    plan.add(rule(action))
    stream_faults.push(b"last")
    assert (wire.sent, wire.fate) == ([], fate)


def test_open_connections_can_be_told_to_do_something(plan: FaultPlan) -> None:
    """Those of a kind, while they are open; a notice only where the venue has one."""
    all_stream_faults, luno, binance = AllStreamFaults(plan), Wire(), Wire()
    with all_stream_faults.open("luno", "market_stream", luno):  # type: ignore[arg-type]
        with all_stream_faults.open("binance", "market_stream", binance, lambda: b"bye"):  # type: ignore[arg-type]
            assert all_stream_faults.act("binance", "market_stream", "server_shutdown") == 1
            assert all_stream_faults.act("binance", "user_stream", "server_shutdown") == 0
            assert all_stream_faults.act("luno", "market_stream", "server_shutdown") == 0
        assert all_stream_faults.act("binance", "market_stream", "disconnect") == 0
        assert all_stream_faults.act("luno", "market_stream", "half_open") == 1
    assert (binance.sent, binance.fate, luno.fate) == ([b"bye"], "open", "frozen")
