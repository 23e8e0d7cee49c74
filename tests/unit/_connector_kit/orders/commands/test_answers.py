"""The answers to `place_order`: what each says, and that each can be read back."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.commands.answers import (
    accepted,
    outcome_unknown,
    rejected,
    replayed,
    unreadable,
)
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import CommandEntry, Rejection, VenueOrder

COMMAND = PlaceOrderCommand(
    client_order_id="a", symbol="BTC/USDT", type="limit", side="buy", quantity=1.5, price=100
)
ENTRY = CommandEntry("place_order", "1700000000000-0", b"", redelivered=False)
RECORD = Record(
    client_order_id="a",
    entry_id=ENTRY.entry_id,
    command=COMMAND.model_dump_json(),
    timestamp=1_700_000_000_000,
    validity=5000,
    sendable=True,
    sent_quantity="1.49",
    sent_price="99.9",
)
ORDER = VenueOrder(order_id="7", client_order_id="a", filled_quantity="0.25")
AT = 1_700_000_001_500


def test_every_answer_echoes_the_command_and_names_its_entry() -> None:
    """Whoever reads it needs nothing else."""
    for answer in (
        accepted(RECORD, ORDER, AT),
        outcome_unknown(RECORD, "no answer", AT),
        rejected(COMMAND, ENTRY, Rejection("halted", "trading is halted"), AT, RECORD),
    ):
        assert answer.client_order_id == "a"
        assert (answer.symbol, answer.side, answer.type) == ("BTC/USDT", "buy", "limit")
        assert (answer.requested_quantity, answer.requested_price) == (1.5, 100)
        assert (answer.sent_quantity, answer.sent_price) == (1.49, 99.9)
        assert answer.command_id == ENTRY.entry_id
        assert answer.timestamp.isoformat() == "2023-11-14T22:13:21.500000+00:00"
        assert OrderResponseEvent.model_validate_json(answer.model_dump_json()) == answer


def test_accepted_has_the_venues_order() -> None:
    """Its id, and what of it is filled."""
    answer = accepted(RECORD, ORDER, AT)
    assert (answer.status, answer.order_id, answer.filled_quantity) == ("accepted", "7", 0.25)
    assert answer.reason_code is None


def test_unknown_is_said_as_such() -> None:
    """It is not an error, and not a refusal."""
    answer = outcome_unknown(RECORD, "no answer", AT)
    assert (answer.status, answer.reason_code) == ("unknown", "outcome_unknown")


def test_a_refusal_gives_its_reason() -> None:
    """For programs and for people."""
    answer = rejected(COMMAND, ENTRY, Rejection("halted", "trading is halted"), AT)
    assert (answer.status, answer.reason_code) == ("rejected", "halted")
    assert answer.error_message == "trading is halted"
    assert answer.sent_quantity is None
    assert not answer.provisional


def test_not_found_is_provisional() -> None:
    """It is still being watched."""
    refusal = Rejection("not_found", "no such order")
    assert rejected(COMMAND, ENTRY, refusal, AT, provisional=True).provisional
    assert not rejected(COMMAND, ENTRY, refusal, AT).provisional


def test_a_replay_is_the_stored_answer_for_another_entry() -> None:
    """All that changes is whom it answers."""
    stored = accepted(RECORD, ORDER, AT)
    other = CommandEntry("place_order", "1700000000009-0", b"", redelivered=False)
    again = replayed(RECORD.closed(stored), other)
    assert (again.command_id, again.replay) == (other.entry_id, True)
    assert again.model_copy(update={"command_id": ENTRY.entry_id, "replay": False}) == stored


def test_a_market_order_has_no_price_in_its_answer() -> None:
    """Neither asked for nor sent."""
    market = PlaceOrderCommand(
        client_order_id="a", symbol="BTC/USDT", type="market", side="sell", quantity=1
    )
    record = msgspec.structs.replace(RECORD, command=market.model_dump_json(), sent_price=None)
    answer = accepted(record, ORDER, AT)
    assert (answer.requested_price, answer.sent_price) == (None, None)


texts = st.text(st.characters(blacklist_categories=()), max_size=20)
anything = st.none() | st.booleans() | st.floats() | st.integers() | texts | st.lists(texts)


@given(
    st.dictionaries(
        st.sampled_from(["client_order_id", "symbol", "side", "type", "quantity", "price"]),
        anything,
    )
)
def test_an_unreadable_command_is_answered_whatever_it_holds(fields: dict[str, object]) -> None:
    """What can't be echoed is 0 or empty, and the answer can always be read."""
    answer = OrderResponseEvent.model_validate_json(unreadable(fields, ENTRY, "no", AT))
    assert (answer.status, answer.reason_code) == ("rejected", "invalid_command")
    assert answer.command_id == ENTRY.entry_id
    if isinstance(fields.get("symbol"), str):
        assert len(answer.symbol) == len(str(fields["symbol"]))
    else:
        assert answer.symbol == ""
