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
from tests.support.order_core import START, Stage, order_of
from tests.support.orders import command, record
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


def staged(taken: Record = RECORD, **venue: Any) -> Stage:
    """A stage on which *taken* was just claimed."""
    stage = Stage(**venue)
    stage.journal.records[taken.client_order_id] = taken
    return stage


def until(second: float, work: Coroutine[Any, Any, Any]) -> None:
    """Do that work, at most until that second."""

    async def bounded() -> None:
        async with asyncio.timeout(second):
            await work

    run_virtually(bounded())


def carry_out(
    stage: Stage,
    refusal: Rejection | None = None,
    *,
    look_first: bool = False,
    taken: Record = RECORD,
) -> None:
    """A claim that was just made."""
    until(1000, stage.placing.carry_out(taken, ENTRY, refusal, look_first=look_first))


def resolve(stage: Stage) -> None:
    """A record that a killed process left behind."""
    until(100_000, stage.placing.resolve(RECORD, ENTRY))


# The one POST


def test_each_post_is_reported_with_its_outcome_and_its_seconds() -> None:
    """For the metrics, and for the account's health."""
    no_answer = OutcomeUnknown("no answer")
    stage = staged(outcome=no_answer, place_takes=1.5)
    carry_out(stage)
    assert stage.outcomes == [("order-1", no_answer, 1.5)]


def test_an_order_is_checked_sent_once_and_accepted() -> None:
    """Nothing else is asked of the venue."""
    stage = staged()
    carry_out(stage)
    assert [name for name, _ in stage.venue.calls] == ["check", "place"]
    assert stage.journal.statuses == ["accepted"]
    assert stage.journal.published[0][1].order_id == OURS.order_id


def test_what_may_have_been_sent_before_is_never_sent() -> None:
    """It is resolved."""
    stage = staged()
    carry_out(stage, taken=record(sendable=False))
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["not_found"]


@pytest.mark.parametrize("by", ["desk", "check"])
def test_a_refused_command_is_rejected_and_not_sent(by: str) -> None:
    """Whoever refuses it."""
    refusal = Rejection("halted", "no new orders")
    stage = staged(refusals=[(0.0, refusal)] if by == "check" else [])
    carry_out(stage, refusal if by == "desk" else None)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["halted"]
    assert stage.journal.records[RECORD.client_order_id].unsent


def test_a_halt_that_comes_while_the_venue_is_asked_is_seen() -> None:
    """The check comes right before the POST."""
    stage = staged(silent_until=1.0, refusals=[(0.5, Rejection("halted", "no new orders"))])
    carry_out(stage, look_first=True)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["halted"]
    # An earlier claim of it, which Redis lost, may have been sent.
    assert not stage.journal.records[RECORD.client_order_id].unsent


def test_what_the_venue_refuses_is_rejected_at_once() -> None:
    """In so many words: nothing is asked."""
    stage = staged(outcome=Rejection("exchange_rejected", "insufficient balance"))
    carry_out(stage)
    assert [(at, event.status) for at, event in stage.journal.published] == [(0.0, "rejected")]
    assert stage.venue.times("find") == []
    assert not stage.journal.records[RECORD.client_order_id].unsent


def test_without_an_answer_it_is_said_to_be_unknown_at_once_and_then_resolved() -> None:
    """Never sent again, never rejected without evidence."""
    stage = staged(outcome=OutcomeUnknown("timeout"))
    stage.venue.orders[RECORD.client_order_id] = OURS
    stage.venue.found_from = 3.0
    carry_out(stage)
    assert stage.journal.statuses == ["unknown", "accepted"]
    assert stage.journal.published[0][0] == 0.0
    assert len(stage.venue.placed) == 1


def test_an_order_that_somebody_gave_up_and_that_was_placed_after_all_is_corrected() -> None:
    """Another instance closed the record as not found while our request was under way."""
    stage = staged()
    given_up = RECORD.closed(REJECTION, provisional=True)
    stage.journal.records[RECORD.client_order_id] = given_up
    carry_out(stage)
    ((corrected, order),) = stage.journal.corrected
    assert order == OURS
    assert '"accepted"' in (corrected.answer or "")
    assert not corrected.provisional


# Resolving: what counts as evidence


def test_an_order_that_the_venue_never_shows_is_rejected_once_it_cannot_come_any_more() -> None:
    """Provisionally: it is watched for."""
    stage = staged()
    resolve(stage)
    ((at, answer),) = stage.journal.published
    assert (answer.status, answer.reason_code, answer.provisional) == (
        "rejected",
        "not_found",
        True,
    )
    assert SURE < at < SURE + 5
    assert stage.journal.records[RECORD.client_order_id].provisional
    assert stage.venue.times("search") == [at]


def test_an_order_that_shows_up_at_the_last_query_is_accepted() -> None:
    """Just before it would be given up."""
    stage = staged(found_from=SURE - 0.5)
    stage.venue.orders[RECORD.client_order_id] = OURS
    stage.venue.searched_from = 1e9
    resolve(stage)
    assert stage.journal.statuses == ["accepted"]


def test_an_order_that_only_the_lists_show_is_accepted() -> None:
    """Direct queries may lag behind."""
    stage = staged(found_from=1e9)
    stage.venue.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    assert stage.journal.statuses == ["accepted"]


def test_several_misses_are_needed() -> None:
    """A silent venue doesn't miss: it says nothing."""
    stage = staged(silent_until=SURE + 20)
    stage.placing.waits = ExecutorTimings(missed_for=0.0, longest_poll=5.0)
    resolve(stage)
    assert len([at for at in stage.venue.times("find") if at >= SURE + 20]) == 3
    assert stage.journal.reasons == ["outcome_unknown", "not_found"]


@pytest.mark.parametrize("poll", [0.5, 2.0])
def test_misses_are_counted_after_the_deadline_and_over_some_time(poll: float) -> None:
    """However many there were before."""
    stage = staged()
    stage.placing.waits = ExecutorTimings(poll=poll, longest_poll=poll)
    resolve(stage)
    assert SURE < stage.journal.published[0][0] <= SURE + 2 * poll


def test_an_order_that_the_venue_leaves_in_the_dark_is_said_to_be_unknown() -> None:
    """Once, when it must have been carried out or never will be; the end of it follows."""
    stage = staged(silent_until=60.0)
    stage.venue.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    (first, _), _ = stage.journal.published
    assert stage.journal.statuses == ["unknown", "accepted"]
    assert DEADLINE < first < DEADLINE + 3
    assert stage.journal.unclear_calls == 1


def test_a_venue_that_answers_in_time_leaves_nothing_unknown() -> None:
    """The end of it is all that is said."""
    stage = staged(silent_until=10.0)
    stage.venue.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    assert stage.journal.statuses == ["accepted"]


def test_what_the_accounts_events_told_settles_an_order_without_an_answer() -> None:
    """The venue isn't asked: that costs nothing of its budget."""
    stage = staged(silent_until=60.0)
    stage.journal.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    assert stage.journal.statuses == ["accepted"]
    assert stage.venue.calls == []


def test_what_the_accounts_events_told_of_another_order_is_no_answer() -> None:
    """Somebody else's under the same id, on another life of the venue."""
    stage = staged()
    stage.journal.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    stage.venue.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    ((at, answer),) = stage.journal.published
    assert (at, answer.order_id) == (0.0, OURS.order_id)


def test_somebody_elses_order_under_the_id_is_never_accepted() -> None:
    """It is named, once ours can't come any more; provisionally, as ours was never refused."""
    stage = staged()
    stage.venue.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    resolve(stage)
    ((at, answer),) = stage.journal.published
    assert at > SURE
    assert (answer.status, answer.reason_code, answer.provisional) == (
        "rejected",
        "duplicate_id",
        True,
    )
    assert "sell 7 BTC/USDT" in (answer.error_message or "")


def test_a_venue_that_refuses_to_say_leaves_it_unknown_for_a_day() -> None:
    """Said at once, asked once a minute, then given up: a person has to find out."""
    stage = staged(silent_until=1e9, fault=RejectedError("invalid symbol", code="-1121"))
    resolve(stage)
    assert [event.status for _, event in stage.journal.published] == ["unknown", "rejected"]
    (said, _), (given_up, answer) = stage.journal.published
    assert (said, answer.reason_code, answer.provisional) == (0.0, "unresolvable", True)
    assert 86_400 <= given_up < 86_500
    assert stage.journal.unclear_calls == 1
    assert len(stage.venue.times("find")) == 86_400 // 60 + 1


def test_a_venue_that_says_after_all_ends_it() -> None:
    """The symbol came back."""
    stage = staged(silent_until=300.0, fault=RejectedError("invalid symbol", code="-1121"))
    stage.venue.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    assert stage.journal.statuses == ["unknown", "accepted"]


# Looking first


def test_where_redis_may_have_forgotten_the_venue_is_looked_at_before_sending() -> None:
    """The order is there: nothing is sent."""
    stage = staged()
    stage.venue.orders[RECORD.client_order_id] = OURS
    carry_out(stage, look_first=True)
    assert stage.journal.statuses == ["accepted"]
    assert stage.venue.placed == []


def test_a_refusal_of_now_does_not_hide_an_order_of_then() -> None:
    """The book is out of sync now; it wasn't when it was sent."""
    stage = staged(found_from=1e9)
    stage.venue.orders[RECORD.client_order_id] = OURS
    carry_out(stage, Rejection("book_out_of_sync", "no book"), look_first=True)
    assert stage.journal.statuses == ["accepted"]


def test_a_refusal_stands_where_the_venue_has_no_such_order() -> None:
    """With its own reason."""
    stage = staged()
    carry_out(stage, Rejection("book_out_of_sync", "no book"), look_first=True)
    assert stage.journal.reasons == ["book_out_of_sync"]
    assert stage.venue.placed == []


def test_an_id_that_somebody_elses_order_has_is_not_sent() -> None:
    """Binance would take it again."""
    stage = staged()
    stage.venue.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    carry_out(stage, look_first=True)
    assert stage.journal.reasons == ["duplicate_id"]
    assert stage.venue.placed == []


@pytest.mark.parametrize("look_first", [True, False])
def test_of_two_orders_with_the_id_ours_is_accepted(look_first: bool) -> None:
    """A direct query shows one of them, the lists both."""
    stage = staged(outcome=OutcomeUnknown("timeout"))
    stage.venue.orders[RECORD.client_order_id] = SOMEBODY_ELSES
    stage.venue.listed[RECORD.client_order_id] = OURS
    carry_out(stage, look_first=look_first)
    assert stage.journal.published[-1][1].order_id == OURS.order_id
    assert len(stage.venue.placed) == (0 if look_first else 1)


def test_while_the_venue_is_silent_it_is_unknown_and_too_late_to_send() -> None:
    """Said once half the validity is gone; what follows is a refusal, for there is no order."""
    stage = staged(silent_until=30.0)
    carry_out(stage, look_first=True)
    assert stage.journal.reasons == ["outcome_unknown", "expired"]
    assert 2.5 <= stage.journal.published[0][0] < 4
    assert stage.journal.unclear_calls == 1
    assert stage.venue.placed == []


def test_without_the_venues_time_nothing_is_searched_and_nothing_is_concluded() -> None:
    """A search looks from a moment on: there is none yet."""
    untimed = record(timestamp=0)
    stage = staged(untimed, time_known_from=40.0)
    stage.venue.listed[RECORD.client_order_id] = OURS
    carry_out(stage, Rejection("expired", "too old"), look_first=True, taken=untimed)
    assert min(stage.venue.times("search")) >= 40
    assert stage.journal.statuses == ["unknown", "accepted"]


def test_while_the_venues_time_is_not_known_an_unclear_order_is_said_to_be_unknown() -> None:
    """By our own clock; its end follows."""
    untimed = record(timestamp=0)
    stage = staged(untimed, time_known_from=60.0, silent_until=70.0)
    stage.venue.orders[RECORD.client_order_id] = OURS
    until(1000, stage.placing.resolve(untimed, ENTRY))
    assert stage.journal.statuses == ["unknown", "accepted"]
    assert DEADLINE < stage.journal.published[0][0] < DEADLINE + 3


def test_a_look_that_is_answered_soon_is_followed_by_the_order() -> None:
    """Nothing is said meanwhile."""
    stage = staged(silent_until=1.0)
    carry_out(stage, look_first=True)
    assert stage.journal.statuses == ["accepted"]
    assert len(stage.venue.placed) == 1


def test_a_look_that_the_venue_refuses_is_resolved_and_never_sent() -> None:
    """The symbol may be gone, the order of then not."""
    stage = staged(silent_until=300.0, fault=RejectedError("invalid symbol", code="-1121"))
    carry_out(stage, look_first=True)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["outcome_unknown", "not_found"]


# A client order id that is claimed already


def take_up(stage: Stage, entry: CommandEntry, **fields: Any) -> None:
    """Another look at an id that is claimed."""
    found = stage.journal.records[RECORD.client_order_id]
    until(1000, stage.placing.take_up(found, entry, command(**fields)))


def test_the_same_entry_is_the_same_command_whatever_its_record_says() -> None:
    """Another release wrote it: its terms aren't compared."""
    stage = staged(outcome=OutcomeUnknown("timeout"))
    stage.venue.orders[RECORD.client_order_id] = OURS
    take_up(stage, ENTRY, post_only=True)
    assert stage.journal.statuses == ["accepted"]
    assert stage.venue.placed == []


def test_the_same_entry_once_closed_is_acknowledged_and_nothing_is_published() -> None:
    """Nor is the venue asked."""
    stage = staged(RECORD.closed(REJECTION))
    stage.journal.pending[ENTRY.entry_id] = ENTRY
    take_up(stage, ENTRY)
    assert stage.journal.published == []
    assert stage.journal.pending == {}
    assert stage.venue.calls == []


def test_another_entry_with_the_same_terms_gets_the_stored_answer() -> None:
    """As a replay."""
    stage = staged(RECORD.closed(REJECTION))
    take_up(stage, ANOTHER)
    ((_, answer),) = stage.journal.published
    assert (answer.status, answer.replay, answer.command_id) == ("rejected", True, ANOTHER.entry_id)


def test_another_entry_waits_for_the_answer_of_the_first() -> None:
    """It is being carried out."""
    stage = staged()
    closed = RECORD.closed(REJECTION)

    async def close_later() -> None:
        asyncio.get_running_loop().call_at(
            7.0, lambda: stage.journal.records.update({RECORD.client_order_id: closed})
        )
        await stage.placing.take_up(RECORD, ANOTHER, command())

    until(100, close_later())
    ((at, answer),) = stage.journal.published
    assert answer.replay
    assert 7 <= at < 10
    assert stage.venue.calls == []


def test_another_entry_resolves_an_order_that_nobody_carries_out() -> None:
    """Once it can't come any more: both entries are answered."""
    stage = staged()
    take_up(stage, ANOTHER)
    assert [(e.command_id, e.replay) for _, e in stage.journal.published] == [
        (ENTRY.entry_id, False),
        (ANOTHER.entry_id, True),
    ]


def test_another_entry_with_other_terms_is_a_duplicate_id() -> None:
    """The first order is untouched."""
    stage = staged()
    take_up(stage, ANOTHER, quantity=0.7)
    ((at, answer),) = stage.journal.published
    assert (at, answer.reason_code, answer.command_id) == (0.0, "duplicate_id", ANOTHER.entry_id)
    assert stage.journal.records[RECORD.client_order_id] == RECORD


# The journal


def test_an_entry_whose_id_another_has_taken_since_is_answered_all_the_same() -> None:
    """Redis lost the record; a bot sent the id again."""
    stage = staged(record(entry_id=ANOTHER.entry_id))
    stage.venue.orders[RECORD.client_order_id] = OURS
    resolve(stage)
    ((_, answer),) = stage.journal.published
    assert (answer.status, answer.command_id) == ("accepted", ENTRY.entry_id)


def test_a_journal_in_trouble_is_asked_until_it_is_done() -> None:
    """With growing waits; the order is sent once."""
    stage = staged()
    stage.journal.failures = 8
    carry_out(stage)
    ((at, _),) = stage.journal.published
    assert pytest.approx(at) == 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3 * 2
    assert len(stage.venue.placed) == 1
