"""The journal's record: what it holds comes back, from the last release too."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.execution.record import Record, dump, load

COMMAND = PlaceOrderCommand(
    client_order_id="a", symbol="BTC/USDT", type="limit", side="buy", quantity=1, price=2
)
RECORD = Record(
    client_order_id="a",
    entry_id="1-0",
    command=COMMAND.model_dump_json(),
    timestamp=1_700_000_000_000,
    validity=5000,
    sendable=True,
)
ANSWER = OrderResponseEvent(
    client_order_id="a",
    symbol="BTC/USDT",
    requested_quantity=1,
    side="buy",
    type="limit",
    status="rejected",
)


def test_the_record_gives_back_the_command() -> None:
    """As it was journaled."""
    assert RECORD.order == COMMAND


def test_a_closed_record_has_its_answer() -> None:
    """And says whether it is still being watched."""
    closed = RECORD.closed(ANSWER, provisional=True)
    assert (closed.state, closed.provisional) == ("closed", True)
    assert OrderResponseEvent.model_validate_json(closed.answer or "") == ANSWER
    assert not closed.closed(ANSWER).provisional


def test_unknown_changes_nothing_but_the_state() -> None:
    """The timestamp that the request was signed with stays."""
    assert msgspec.structs.replace(RECORD.marked_unknown(), state="taken") == RECORD


@given(
    client_order_id=st.text(st.characters(codec="utf-8")),
    timestamp=st.integers(0, 2**53),
    sendable=st.booleans(),
    sent_price=st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
)
def test_a_record_survives_the_journal(
    client_order_id: str, timestamp: int, sendable: bool, sent_price: str | None
) -> None:
    """What is written is what is read."""
    record = msgspec.structs.replace(
        RECORD,
        client_order_id=client_order_id,
        timestamp=timestamp,
        sendable=sendable,
        sent_price=sent_price,
    )
    assert load(dump(record)) == record


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"client_order_id": 1}'])
def test_invalid_records_are_rejected(data: bytes) -> None:
    """With the decoder's own error."""
    with pytest.raises(msgspec.DecodeError):
        load(data)


def test_a_record_of_the_last_release_is_read() -> None:
    """It held a digest of the command, and the command with all its defaults."""
    order = (
        '{"client_order_id":"a","symbol":"BTC/USDT","type":"limit","side":"buy","quantity":1.0,'
        '"price":2.0,"time_in_force":null,"post_only":false}'
    )
    fields = {
        "client_order_id": "a",
        "entry_id": "1-0",
        "content": "9f0c",
        "command": order,
        "timestamp": 1_700_000_000_000,
        "validity": 5000,
        "sendable": True,
        "state": "unknown",
        "sent_quantity": "1",
        "sent_price": "2",
        "answer": None,
        "provisional": False,
    }
    found = load(msgspec.json.encode(fields))
    assert (found.order, found.state, found.sent_price) == (COMMAND, "unknown", "2")


def test_an_unclear_record_says_so_and_stays_open() -> None:
    """`unknown` is published once, and a final answer follows."""
    outcome_unknown = RECORD.marked_unknown()
    assert (outcome_unknown.state, outcome_unknown.answer) == ("unknown", None)
