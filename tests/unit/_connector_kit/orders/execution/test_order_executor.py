"""One order from its claim to its answer: what is sent, what is said, and on what evidence."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from services._connector_kit.errors import RejectedError
from services._connector_kit.orders.commands.answers import rejected
from services._connector_kit.orders.execution.evidence import ExecutorTimings
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import CommandEntry, OutcomeUnknown, Rejection
from tests.support.orders.commands import command, record
from tests.support.orders.core import START, OrderHarness, order_of
from tests.support.virtual_time import run_virtually

ENTRY = CommandEntry("place_order", "1700000000000-0", b"", redelivered=True)
ANOTHER = CommandEntry("place_order", "1700000000001-0", b"", redelivered=False)
RECORD = record()
OURS = order_of(RECORD)
SOMEBODY_ELSES = replace(OURS, order_id="6", side="sell", quantity="7")
REJECTION = rejected(RECORD.order, ENTRY, Rejection("halted", "no new orders"), START, RECORD)
# After this many seconds the venue can't carry it out any more, margin included.
DEADLINE = RECORD.validity / 1000 + ExecutorTimings().margin
# The first query after it, two more, and ten seconds between the first and the last of them.
SURE = DEADLINE + ExecutorTimings().missed_for


def staged(taken: Record = RECORD, **venue: Any) -> OrderHarness:
    """A stage on which *taken* was just claimed."""
    harness = OrderHarness(**venue)
    harness.journal.records[taken.client_order_id] = taken
    return harness


def until(second: float, work: Coroutine[Any, Any, Any]) -> None:
    """Do that work, at most until that second."""

    async def bounded() -> None:
        async with asyncio.timeout(second):
            await work

    run_virtually(bounded())


def execute(
    harness: OrderHarness,
    refusal: Rejection | None = None,
    *,
    query_first: bool = False,
    taken: Record = RECORD,
) -> None:
    """A claim that was just made."""
    until(1000, harness.executor.execute(taken, ENTRY, refusal, query_first=query_first))


def resolve(harness: OrderHarness) -> None:
    """A record that a killed process left behind."""
    until(100_000, harness.executor.resolve(RECORD, ENTRY))


# The one POST


def test_each_post_is_reported_with_its_outcome_and_its_seconds() -> None:
    """For the metrics, and for the account's health."""
    no_answer = OutcomeUnknown("no answer")
    harness = staged(outcome=no_answer, place_takes=1.5)
    execute(harness)
    assert harness.outcomes == [("order-1", no_answer, 1.5)]


def test_an_order_is_checked_sent_once_and_accepted() -> None:
    """Nothing else is asked of the venue."""
    harness = staged()
    execute(harness)
    assert [name for name, _ in harness.venue.calls] == ["check", "place"]
    assert harness.journal.statuses == ["accepted"]
    assert harness.journal.published[0][1].order_id == OURS.order_id


def test_what_may_have_been_sent_before_is_never_sent() -> None:
    """It is resolved."""
    harness = staged()
    execute(harness, taken=record(sendable=False))
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["not_found"]


@pytest.mark.parametrize("by", ["desk", "check"])
def test_a_refused_command_is_rejected_and_not_sent(by: str) -> None:
    """Whoever refuses it."""
    refusal = Rejection("halted", "no new orders")
    harness = staged(refusals=[(0.0, refusal)] if by == "check" else [])
    execute(harness, refusal if by == "desk" else None)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["halted"]
    assert harness.journal.records[RECORD.client_order_id].unsent


def test_a_halt_that_comes_while_the_venue_is_asked_is_seen() -> None:
    """The check comes right before the POST."""
    harness = staged(silent_until=1.0, refusals=[(0.5, Rejection("halted", "no new orders"))])
    execute(harness, query_first=True)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["halted"]
    # An earlier claim of it, which Redis lost, may have been sent.
    assert not harness.journal.records[RECORD.client_order_id].unsent


def test_what_the_venue_refuses_is_rejected_at_once() -> None:
    """In so many words: nothing is asked."""
    harness = staged(outcome=Rejection("exchange_rejected", "insufficient balance"))
    execute(harness)
    assert [(at, event.status) for at, event in harness.journal.published] == [(0.0, "rejected")]
    assert harness.venue.times("find") == []
    assert not harness.journal.records[RECORD.client_order_id].unsent


def test_without_an_answer_it_is_said_to_be_unknown_at_once_and_then_resolved() -> None:
    """Never sent again, never rejected without evidence."""
    harness = staged(outcome=OutcomeUnknown("timeout"))
    harness.venue.orders[RECORD.client_order_id] = OURS
    harness.venue.found_from = 3.0
    execute(harness)
    assert harness.journal.statuses == ["unknown", "accepted"]
    assert harness.journal.published[0][0] == 0.0
    assert len(harness.venue.placed) == 1


def test_an_order_that_another_instance_gave_up_and_that_was_placed_is_corrected() -> None:
    """Another instance closed the record as not found while our request was under way."""
    harness = staged()
    given_up = RECORD.closed(REJECTION, provisional=True)
    harness.journal.records[RECORD.client_order_id] = given_up
    execute(harness)
    ((corrected, order),) = harness.journal.corrected
    assert order == OURS
    assert '"accepted"' in (corrected.answer or "")
    assert not corrected.provisional


# Resolving: what counts as evidence


def test_an_order_that_the_venue_never_shows_is_rejected_once_it_cannot_come_any_more() -> None:
    """Provisionally: it is watched for."""
    harness = staged()
    resolve(harness)
    ((at, answer),) = harness.journal.published
    assert (answer.status, answer.reason_code, answer.provisional) == (
        "rejected",
        "not_found",
        True,
    )
    assert SURE < at < SURE + 5
    assert harness.journal.records[RECORD.client_order_id].provisional
    assert harness.venue.times("search") == [at]


def test_an_order_that_shows_up_at_the_last_query_is_accepted() -> None:
    """Just before it would be given up."""
    harness = staged(found_from=SURE - 0.5)
    harness.venue.orders[RECORD.client_order_id] = OURS
    harness.venue.searched_from = 1e9
    resolve(harness)
    assert harness.journal.statuses == ["accepted"]


def test_an_order_that_only_the_lists_show_is_accepted() -> None:
    """Direct queries may lag behind."""
    harness = staged(found_from=1e9)
    harness.venue.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    assert harness.journal.statuses == ["accepted"]


def test_several_misses_are_needed() -> None:
    """A silent venue doesn't miss: it says nothing."""
    harness = staged(silent_until=SURE + 20)
    harness.executor.timings = ExecutorTimings(missed_for=0.0, longest_poll=5.0)
    resolve(harness)
    assert len([at for at in harness.venue.times("find") if at >= SURE + 20]) == 3
    assert harness.journal.reasons == ["outcome_unknown", "not_found"]


@pytest.mark.parametrize("poll", [0.5, 2.0])
def test_misses_are_counted_after_the_deadline_and_over_some_time(poll: float) -> None:
    """However many there were before."""
    harness = staged()
    harness.executor.timings = ExecutorTimings(poll=poll, longest_poll=poll)
    resolve(harness)
    assert SURE < harness.journal.published[0][0] <= SURE + 2 * poll


def test_an_order_that_the_venue_leaves_in_the_dark_is_said_to_be_unknown() -> None:
    """Once, when it must have been carried out or never will be; the end of it follows."""
    harness = staged(silent_until=60.0)
    harness.venue.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    (first, _), _ = harness.journal.published
    assert harness.journal.statuses == ["unknown", "accepted"]
    assert DEADLINE < first < DEADLINE + 3
    assert harness.journal.unknown_calls == 1


def test_a_venue_that_answers_in_time_leaves_nothing_unknown() -> None:
    """The end of it is all that is said."""
    harness = staged(silent_until=10.0)
    harness.venue.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    assert harness.journal.statuses == ["accepted"]


def test_an_order_in_the_accounts_events_resolves_an_order_without_an_answer() -> None:
    """The venue isn't asked: that costs nothing of its budget."""
    harness = staged(silent_until=60.0)
    harness.journal.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    assert harness.journal.statuses == ["accepted"]
    assert harness.venue.calls == []


def test_another_order_in_the_accounts_events_resolves_nothing() -> None:
    """Somebody else's under the same id, on another life of the venue."""
    harness = staged()
    harness.journal.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    harness.venue.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    ((at, answer),) = harness.journal.published
    assert (at, answer.order_id) == (0.0, OURS.order_id)


def test_another_programs_order_under_the_id_is_never_accepted() -> None:
    """It is named, once ours can't come any more; provisionally, as ours was never refused."""
    harness = staged()
    harness.venue.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    resolve(harness)
    ((at, answer),) = harness.journal.published
    assert at > SURE
    assert (answer.status, answer.reason_code, answer.provisional) == (
        "rejected",
        "duplicate_id",
        True,
    )
    assert "sell 7 BTC/USDT" in (answer.error_message or "")


def test_a_venue_that_refuses_to_say_leaves_it_unknown_for_a_day() -> None:
    """Said at once, asked once a minute, then given up: a person has to find out."""
    harness = staged(silent_until=1e9, fault=RejectedError("invalid symbol", code="-1121"))
    resolve(harness)
    assert [event.status for _, event in harness.journal.published] == ["unknown", "rejected"]
    (said, _), (given_up, answer) = harness.journal.published
    assert (said, answer.reason_code, answer.provisional) == (0.0, "unresolvable", True)
    assert 86_400 <= given_up < 86_500
    assert harness.journal.unknown_calls == 1
    assert len(harness.venue.times("find")) == 86_400 // 60 + 1


def test_a_late_answer_of_the_venue_resolves_the_order() -> None:
    """The symbol came back."""
    harness = staged(silent_until=300.0, fault=RejectedError("invalid symbol", code="-1121"))
    harness.venue.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    assert harness.journal.statuses == ["unknown", "accepted"]


# Looking first


def test_after_a_loss_of_data_the_venue_is_queried_before_sending() -> None:
    """The order is there: nothing is sent."""
    harness = staged()
    harness.venue.orders[RECORD.client_order_id] = OURS
    execute(harness, query_first=True)
    assert harness.journal.statuses == ["accepted"]
    assert harness.venue.placed == []


def test_a_refusal_of_now_does_not_hide_an_order_of_then() -> None:
    """The book is out of sync now; it wasn't when it was sent."""
    harness = staged(found_from=1e9)
    harness.venue.orders[RECORD.client_order_id] = OURS
    execute(harness, Rejection("book_out_of_sync", "no book"), query_first=True)
    assert harness.journal.statuses == ["accepted"]


def test_a_refusal_stands_where_the_venue_has_no_such_order() -> None:
    """With its own reason."""
    harness = staged()
    execute(harness, Rejection("book_out_of_sync", "no book"), query_first=True)
    assert harness.journal.reasons == ["book_out_of_sync"]
    assert harness.venue.placed == []


def test_an_id_of_another_programs_order_is_not_sent() -> None:
    """Binance would take it again."""
    harness = staged()
    harness.venue.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    execute(harness, query_first=True)
    assert harness.journal.reasons == ["duplicate_id"]
    assert harness.venue.placed == []


@pytest.mark.parametrize("query_first", [True, False])
def test_of_two_orders_with_the_id_ours_is_accepted(query_first: bool) -> None:
    """A direct query shows one of them, the lists both."""
    harness = staged(outcome=OutcomeUnknown("timeout"))
    harness.venue.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    harness.venue.listed[RECORD.client_order_id] = OURS
    execute(harness, query_first=query_first)
    assert harness.journal.published[-1][1].order_id == OURS.order_id
    assert len(harness.venue.placed) == (0 if query_first else 1)


def test_while_the_venue_is_silent_it_is_unknown_and_too_late_to_send() -> None:
    """Said once half the validity is gone; what follows is a refusal, for there is no order."""
    harness = staged(silent_until=30.0)
    execute(harness, query_first=True)
    assert harness.journal.reasons == ["outcome_unknown", "expired"]
    assert 2.5 <= harness.journal.published[0][0] < 4
    assert harness.journal.unknown_calls == 1
    assert harness.venue.placed == []


def test_without_the_venues_time_nothing_is_searched_and_nothing_is_concluded() -> None:
    """A search looks from a moment on: there is none yet."""
    untimed = record(timestamp=0)
    harness = staged(untimed, time_known_from=40.0)
    harness.venue.listed[RECORD.client_order_id] = OURS
    execute(harness, Rejection("expired", "too old"), query_first=True, taken=untimed)
    assert min(harness.venue.times("search")) >= 40
    assert harness.journal.statuses == ["unknown", "accepted"]


def test_while_the_venues_time_is_not_known_an_unclear_order_is_said_to_be_unknown() -> None:
    """By our own clock; its end follows."""
    untimed = record(timestamp=0)
    harness = staged(untimed, time_known_from=60.0, silent_until=70.0)
    harness.venue.orders[RECORD.client_order_id] = OURS
    until(1000, harness.executor.resolve(untimed, ENTRY))
    assert harness.journal.statuses == ["unknown", "accepted"]
    assert DEADLINE < harness.journal.published[0][0] < DEADLINE + 3


def test_the_order_is_sent_after_a_query_that_is_answered_soon() -> None:
    """Nothing is said meanwhile."""
    harness = staged(silent_until=1.0)
    execute(harness, query_first=True)
    assert harness.journal.statuses == ["accepted"]
    assert len(harness.venue.placed) == 1


def test_an_order_whose_query_the_venue_rejects_is_resolved_and_never_sent() -> None:
    """The symbol may be gone, the order of then not."""
    harness = staged(silent_until=300.0, fault=RejectedError("invalid symbol", code="-1121"))
    execute(harness, query_first=True)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["outcome_unknown", "not_found"]


# A client order id that is claimed already


def handle_existing_claim(harness: OrderHarness, entry: CommandEntry, **fields: Any) -> None:
    """Another look at an id that is claimed."""
    found = harness.journal.records[RECORD.client_order_id]
    until(1000, harness.executor.handle_existing_claim(found, entry, command(**fields)))


def test_the_same_entry_is_the_same_command_whatever_its_record_says() -> None:
    """Another release wrote it: its terms aren't compared."""
    harness = staged(outcome=OutcomeUnknown("timeout"))
    harness.venue.orders[RECORD.client_order_id] = OURS
    handle_existing_claim(harness, ENTRY, post_only=True)
    assert harness.journal.statuses == ["accepted"]
    assert harness.venue.placed == []


def test_the_same_entry_once_closed_is_acknowledged_and_nothing_is_published() -> None:
    """Nor is the venue asked."""
    harness = staged(RECORD.closed(REJECTION))
    harness.journal.pending[ENTRY.entry_id] = ENTRY
    handle_existing_claim(harness, ENTRY)
    assert harness.journal.published == []
    assert harness.journal.pending == {}
    assert harness.venue.calls == []


def test_another_entry_with_the_same_terms_gets_the_stored_answer() -> None:
    """As a replay."""
    harness = staged(RECORD.closed(REJECTION))
    handle_existing_claim(harness, ANOTHER)
    ((_, answer),) = harness.journal.published
    assert (answer.status, answer.replay, answer.command_id) == ("rejected", True, ANOTHER.entry_id)


def test_another_entry_waits_for_the_answer_of_the_first() -> None:
    """It is being carried out."""
    harness = staged()
    closed = RECORD.closed(REJECTION)

    async def close_later() -> None:
        asyncio.get_running_loop().call_at(
            7.0, lambda: harness.journal.records.update({RECORD.client_order_id: closed})
        )
        await harness.executor.handle_existing_claim(RECORD, ANOTHER, command())

    until(100, close_later())
    ((at, answer),) = harness.journal.published
    assert answer.replay
    assert 7 <= at < 10
    assert harness.venue.calls == []


def test_another_entry_resolves_an_order_that_no_process_executes() -> None:
    """Once it can't come any more: both entries are answered."""
    harness = staged()
    handle_existing_claim(harness, ANOTHER)
    assert [(e.command_id, e.replay) for _, e in harness.journal.published] == [
        (ENTRY.entry_id, False),
        (ANOTHER.entry_id, True),
    ]


def test_another_entry_with_other_terms_is_a_duplicate_id() -> None:
    """The first order is untouched."""
    harness = staged()
    handle_existing_claim(harness, ANOTHER, quantity=0.7)
    ((at, answer),) = harness.journal.published
    assert (at, answer.reason_code, answer.command_id) == (0.0, "duplicate_id", ANOTHER.entry_id)
    assert harness.journal.records[RECORD.client_order_id] == RECORD


# The journal


def test_an_entry_whose_id_another_has_taken_since_is_answered_all_the_same() -> None:
    """Redis lost the record; a bot sent the id again."""
    harness = staged(record(entry_id=ANOTHER.entry_id))
    harness.venue.orders[RECORD.client_order_id] = OURS
    resolve(harness)
    ((_, answer),) = harness.journal.published
    assert (answer.status, answer.command_id) == ("accepted", ENTRY.entry_id)


def test_a_journal_in_trouble_is_asked_until_it_is_done() -> None:
    """With growing waits; the order is sent once."""
    harness = staged()
    harness.journal.failures = 8
    execute(harness)
    ((at, _),) = harness.journal.published
    assert pytest.approx(at) == 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3 * 2
    assert len(harness.venue.placed) == 1
