"""What the two keys of the halt switch say together, whatever they hold."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime.halt import MAX_REASON_LENGTH, NEVER_RESUMED, halt_reason, trading_permission


@pytest.mark.parametrize(
    ("trading", "halt", "reason"),
    [
        (b"ann", None, None),
        (b"", None, None),
        (None, None, NEVER_RESUMED),
        (b"ann", b"", "no reason given"),
        (b"ann", b"prices look wrong", "prices look wrong"),
        (None, b"prices look wrong", "prices look wrong"),
        (b"ann", b"\xff", "\ufffd"),
        (b"ann", b"x" * 10_000_000, "x" * MAX_REASON_LENGTH),
    ],
)
def test_orders_leave_only_where_trading_is_allowed_and_not_halted(
    trading: bytes | None, halt: bytes | None, reason: str | None
) -> None:
    """Any value of either counts, and a long reason is shown in part."""
    assert halt_reason(trading, halt) == reason


@given(st.none() | st.binary(), st.none() | st.binary())
def test_either_key_halts_by_itself(trading: bytes | None, halt: bytes | None) -> None:
    """One that is missing, or one that is there."""
    assert (halt_reason(trading, halt) is None) == (trading is not None and halt is None)


def test_a_permission_says_who_and_when_and_is_never_the_same_twice() -> None:
    """That is how a resume is recognised."""
    said = [trading_permission("ann") for _ in range(100)]
    assert len(set(said)) == len(said)
    assert json.loads(said[0])["by"] == "ann"
    assert datetime.fromisoformat(json.loads(said[0])["at"]).tzinfo is not None
