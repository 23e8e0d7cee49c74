"""What a refusal leaves behind: nothing under a name that no order can have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.orders.commands.answers import MAX_ECHOED, unreadable
from services._connector_kit.orders.commands.place_order_consumer import MAX_NAME, too_long
from services._connector_kit.orders.ports import BAD_CLIENT_ORDER_ID, CommandEntry, Rejection
from tests.support.orders.commands import command
from tests.support.orders.core import OrderHarness


@pytest.mark.parametrize(
    ("field", "reason"), [("client_order_id", BAD_CLIENT_ORDER_ID), ("symbol", "unknown_symbol")]
)
def test_a_name_too_long_for_any_exchange_is_refused_without_a_record(
    field: str, reason: str
) -> None:
    """It is answered once, with the beginning of the name; the next command goes on."""
    harness = OrderHarness()
    if field == "symbol":
        harness.send("a", symbol="n" * 30_000)
    else:
        harness.send("n" * 30_000)
    harness.send("b", at=1.0)
    harness.play(60)
    refused, accepted = (event for _, event in harness.journal.published)
    assert (refused.status, refused.reason_code) == ("rejected", reason)
    assert getattr(refused, field) == "n" * MAX_ECHOED
    assert "30000 bytes; expected at most 255" in (refused.error_message or "")
    assert (accepted.status, accepted.client_order_id) == ("accepted", "b")
    assert [record.client_order_id for _, record in harness.queue.claims] == ["b"]
    assert harness.journal.records.keys() == {"b"}
    assert harness.journal.pending == {}


def test_an_id_that_the_venue_cant_carry_is_refused_without_a_record() -> None:
    """There never was an order with it, so nothing has to be remembered of it."""
    harness = OrderHarness()
    harness.venue.unfit = Rejection(BAD_CLIENT_ORDER_ID, "letters and digits")
    harness.send("a")
    harness.play(60)
    assert harness.journal.reasons == [BAD_CLIENT_ORDER_ID]
    assert not harness.queue.claims
    assert not harness.venue.calls
    assert harness.journal.pending == {}


def test_what_is_refused_before_it_was_sent_is_marked_so() -> None:
    """What the venue refused isn't: it was sent."""
    harness = OrderHarness()
    harness.venue.refusals = [(0.0, Rejection("halted", "trading is halted"))]
    harness.send("a")
    harness.play(60)
    harness.venue.refusals = []
    harness.venue.outcome = Rejection("exchange_rejected", "no")
    harness.send("b")
    harness.play(60)
    assert harness.journal.reasons == ["halted", "exchange_rejected"]
    assert {name: kept.unsent for name, kept in harness.journal.records.items()} == {
        "a": True,
        "b": False,
    }


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_a_name_is_too_long_by_its_bytes(name: str) -> None:
    """A character may have four."""
    refusal = too_long(command(client_order_id=name))
    assert (refusal is not None) == (len(name.encode()) > MAX_NAME)


@given(st.text(max_size=400), st.text(max_size=400))
def test_an_answer_repeats_no_more_than_the_beginning(name: str, symbol: str) -> None:
    """Of a command that can't be read too, whatever the text is; what is short is whole."""
    entry = CommandEntry("place_order", "1-0", b"", redelivered=False)
    fields = {"client_order_id": name, "symbol": symbol, "type": name, "side": symbol}
    answer = json.loads(unreadable(fields, entry, "no", 0))
    for field, asked in fields.items():
        written = asked.encode(errors="replace")
        assert len(answer[field].encode()) <= MAX_ECHOED
        assert written.decode().startswith(answer[field])
        assert len(answer[field].encode()) > min(len(written), MAX_ECHOED) - 4
