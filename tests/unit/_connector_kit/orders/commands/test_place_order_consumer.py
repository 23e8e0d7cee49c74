"""How commands are read and claimed: what may be sent, when, and what is looked at again."""

from dataclasses import replace

import pytest

from services._connector_kit.orders.commands.place_order_consumer import (
    ConsumerTimings,
    PlaceOrderConsumer,
)
from services._connector_kit.orders.execution.evidence import ExecutorTimings
from services._connector_kit.orders.execution.no_credentials import NoCredentialsExecutor
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import CommandEntry, DataLossRecord, Rejection
from tests.support.orders.commands import command
from tests.support.orders.commands import record as record_of
from tests.support.orders.core import START, MemoryVenue, OrderHarness, order_of

# After a start or a loss: the validity of what was sent before, and until the venue shows it.
SETTLED = MemoryVenue.validity / 1000 + ConsumerTimings().settle


def record(name: str, entry_id: str | None = None) -> Record:
    """An unanswered record that an earlier process wrote a minute ago."""
    return record_of(
        command(client_order_id=name),
        entry_id=entry_id or f"{START - 60_000}-0",
        timestamp=START - 60_000,
    )


# What may be sent


def test_a_new_command_is_sent_once_at_once() -> None:
    """On a Redis that is known."""
    harness = OrderHarness()
    harness.send("a")
    harness.play(60)
    assert harness.journal.statuses == ["accepted"]
    assert [name for name, _ in harness.venue.calls] == ["check", "place"]
    assert harness.venue.times("place")[0] < 1
    assert harness.journal.pending == {}


def test_no_order_leaves_before_what_was_sent_earlier_has_settled() -> None:
    """A first start: the validity of a request, and until the venue shows its order."""
    harness = OrderHarness()
    harness.queue.kept = None
    harness.send("a")
    harness.play(60)
    (sent,) = harness.venue.times("place")
    assert SETTLED <= sent < SETTLED + 0.5


def test_a_restart_waits_for_the_rest_of_the_settling_only() -> None:
    """It is remembered when a Redis was met that knew nothing."""
    harness = OrderHarness()
    recovery_began_at = START - 6000
    harness.queue.kept = DataLossRecord("redis-1", -1, recovery_began_at + 600_000)
    harness.send("a")
    harness.play(60)
    (sent,) = harness.venue.times("place")
    assert SETTLED - 6 <= sent < SETTLED - 5.5


@pytest.mark.parametrize("refused_for", ["a halt", "a halt, held back before", "its size"])
def test_no_refusal_comes_before_what_was_sent_earlier_has_settled(refused_for: str) -> None:
    """The id may be of an order that Redis forgot, and that the venue shows a little later."""
    harness = OrderHarness()
    harness.queue.kept = None
    harness.venue.orders["a"] = order_of(record("a"))
    harness.venue.found_from = harness.venue.searched_from = SETTLED - 0.5
    if refused_for == "its size":
        harness.venue.unfit = Rejection("max_quantity", "too much")
    else:
        harness.halt = Rejection("halted", "trading is halted")
    if "held back" in refused_for:
        harness.venue.lacking["BTC/USDT"] = Rejection("book_out_of_sync", "no book")
    harness.send("a")
    harness.play(60)
    assert harness.journal.statuses == ["accepted"]


def test_the_timestamp_is_taken_after_the_waits() -> None:
    """Else the request would reach the venue with its validity used up."""
    harness = OrderHarness()
    harness.queue.kept = None
    harness.send("a")
    harness.play(60)
    (sent,) = harness.venue.placed
    assert sent.timestamp == START + round(harness.venue.times("place")[0] * 1000)


def test_nothing_is_concluded_before_the_venues_time_is_known() -> None:
    """Our own clock may be an hour ahead: an order of just now would be given up at once."""
    harness = OrderHarness()
    harness.venue.time_known_from = 120.0
    entry = harness.entry("a")
    harness.left_pending(entry)
    harness.queue.others = [replace(entry, redelivered=True)]  # XAUTOCLAIM gives it once more
    harness.journal.records["b"] = record("b")
    harness.play(240)
    assert harness.journal.reasons == ["not_found", "not_found"]
    (b, _), (a, _) = harness.journal.published
    late = (
        120
        + harness.venue.validity / 1000
        + ExecutorTimings().margin
        + ExecutorTimings().missed_for
    )
    assert 120 < b < 135
    assert late <= a < late + 4 * ExecutorTimings().longest_poll


def test_an_entry_that_another_process_may_have_started_is_never_sent() -> None:
    """An earlier process read it; its record may be lost."""
    harness = OrderHarness()
    harness.left_pending(harness.entry("a"))
    harness.play(60)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["not_found"]


def test_what_another_consumer_left_is_taken_over_and_never_sent() -> None:
    """It may have sent it."""
    harness = OrderHarness()
    harness.queue.others = [replace(harness.entry("a"), redelivered=True)]
    harness.play(60)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["not_found"]


def test_an_entry_whose_delivery_was_lost_is_never_sent() -> None:
    """Nothing tells it from one that was begun with."""
    harness = OrderHarness()
    harness.queue.reads_lost = 1
    harness.send("a")
    harness.play(60)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["not_found"]


def test_an_entry_that_was_read_and_not_started_is_still_sent() -> None:
    """The claim of the one before it failed."""
    harness = OrderHarness()
    harness.queue.failures["claim"] = 1
    harness.send("a", "b")
    harness.play(4)
    assert [sent.client_order_id for sent in harness.venue.placed] == ["a", "b"]
    assert harness.journal.statuses == ["accepted", "accepted"]


def test_a_command_from_before_a_loss_of_data_is_never_sent() -> None:
    """Redis lost data at second 5: what came in until then may have been carried out."""
    harness = OrderHarness()
    harness.at(5, lambda: harness.queue.lose_everything("redis-2"))
    harness.at(5, lambda: setattr(harness.queue, "newest", START + 4500))
    harness.at(6, lambda: harness.queue.queued.append(harness.entry("a", at=4.5)))
    harness.play(90)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["not_found"]


def test_after_a_loss_of_data_a_later_command_is_looked_up_before_it_is_sent() -> None:
    """Its id may be one that was carried out."""
    harness = OrderHarness()
    harness.at(5, lambda: harness.queue.lose_everything("redis-2"))
    harness.at(5, lambda: setattr(harness.queue, "newest", START + 4500))
    harness.send("a", at=8)
    harness.play(60)
    assert [name for name, _ in harness.venue.calls] == ["find", "search", "check", "place"]
    assert harness.venue.times("place")[0] >= 5 + SETTLED


def test_what_the_rules_refuse_is_rejected_and_not_sent() -> None:
    """It was never sized."""
    harness = OrderHarness(unfit=Rejection("price_out_of_bounds", "too low"))
    harness.send("a")
    harness.play(30)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["price_out_of_bounds"]


def test_the_venue_is_waited_for_within_the_commands_age() -> None:
    """A ban that is over before."""
    harness = OrderHarness(ready_from=6.0)
    harness.send("a")
    harness.play(30)
    (sent,) = harness.venue.times("place")
    assert 6 <= sent < 7


def test_a_venue_that_is_not_ready_in_time_is_not_waited_for() -> None:
    """The command is refused when it would be too old."""
    harness = OrderHarness(ready_from=60.0)
    harness.send("a")
    harness.play(100)
    assert harness.venue.placed == []
    ((at, answer),) = harness.journal.published
    assert answer.status == "rejected"
    assert 9 <= at <= 11


# Age


@pytest.mark.parametrize(
    ("sent_at", "reason"), [(-9.0, None), (-10.5, "expired"), (0.9, None), (1.5, "clock")]
)
def test_a_command_is_sent_at_its_time_or_not_at_all(sent_at: float, reason: str | None) -> None:
    """By Redis's clock: at most ten seconds old, and at most one ahead."""
    harness = OrderHarness()
    harness.queue.queued.append(harness.entry("a", at=sent_at))
    harness.play(30)
    assert harness.journal.reasons == [reason]
    assert len(harness.venue.placed) == (0 if reason else 1)


def test_a_command_that_grew_too_old_while_it_was_claimed_is_not_sent() -> None:
    """The reply to the claim was long under way: its age is judged after the claim, too."""
    harness = OrderHarness()
    harness.queue.claim_takes = 10.5
    harness.send("a")
    harness.play(40)
    assert harness.venue.placed == []
    assert harness.journal.reasons == ["expired"]


def test_age_is_judged_by_the_clock_that_gave_the_entry_its_id() -> None:
    """Redis's clock may be an hour ahead of the venue's."""
    harness = OrderHarness()
    harness.queue.ahead = 3_600_000
    harness.queue.queued.append(harness.entry("a", at=3599.0))
    harness.play(30)
    assert harness.journal.statuses == ["accepted"]


# What is looked at again


def test_what_is_under_way_is_claimed_again_after_a_loss_of_data() -> None:
    """Its claim is lost: only a new record says that it may have been sent."""
    harness = OrderHarness(place_takes=300.0)
    harness.send("a")
    harness.at(5, lambda: harness.queue.lose_everything("redis-2"))
    harness.at(5, lambda: setattr(harness.queue, "newest", START))
    harness.play(20)
    assert [claimed.sendable for _, claimed in harness.queue.claims] == [True, False]
    assert len(harness.venue.placed) == 1


def test_what_is_under_way_is_claimed_once() -> None:
    """However often it is seen pending."""
    harness = OrderHarness(place_takes=50.0)
    harness.send("a")
    harness.play(49)
    assert len(harness.queue.claims) == 1
    assert harness.venue.times("find") == []


def test_a_claim_that_failed_is_made_again_at_once() -> None:
    """What is pending is looked at after each error."""
    harness = OrderHarness()
    harness.queue.failures["claim"] = 1
    harness.send("a", at=1)
    harness.play(3)
    assert harness.journal.statuses == ["accepted"]


def test_what_is_pending_is_looked_at_every_few_seconds() -> None:
    """Also where there was no error."""
    harness = OrderHarness()
    entry = harness.entry("a")
    harness.at(6.5, lambda: harness.left_pending(entry))
    harness.play(13)
    assert [round(at) for at, _ in harness.queue.claims] == [12]


def test_all_entries_get_their_turn() -> None:
    """More than may be under way at once."""
    harness = OrderHarness()
    names = [f"order-{i}" for i in range(3 * PlaceOrderConsumer.MAX_IN_FLIGHT)]
    harness.send(*names)
    harness.play(10)
    assert sorted(sent.client_order_id for sent in harness.venue.placed) == sorted(names)


def test_however_often_claims_fail_there_is_room_for_the_next() -> None:
    """More failures than orders may be under way."""
    harness = OrderHarness()
    harness.queue.failures["claim"] = 2 * PlaceOrderConsumer.MAX_IN_FLIGHT
    harness.send("a", at=1)
    harness.send("b", at=50)
    harness.play(60)
    assert harness.journal.reasons == ["expired", None]


def test_only_so_many_are_under_way_at_once() -> None:
    """Reading waits."""
    harness = OrderHarness(place_takes=100.0)
    harness.send(*(f"order-{i}" for i in range(2 * PlaceOrderConsumer.MAX_IN_FLIGHT)))
    harness.play(9)
    assert len(harness.venue.placed) == PlaceOrderConsumer.MAX_IN_FLIGHT


def test_without_the_lease_nothing_is_read() -> None:
    """Another instance is active."""
    harness = OrderHarness()
    harness.queue.active = lambda now: now >= 5
    harness.send("a")
    harness.play(9)
    ((at, _),) = harness.queue.claims
    assert at >= 5


# The book of record


def test_an_unanswered_record_without_an_entry_is_resolved_at_start() -> None:
    """Its entry was deleted."""
    harness = OrderHarness()
    harness.journal.records["a"] = record("a")
    harness.venue.orders["a"] = order_of(record("a"))
    harness.play(3)
    assert harness.journal.statuses == ["accepted"]


def test_it_is_resolved_after_an_error_and_every_half_minute() -> None:
    """Each walk resolves what is not under way."""
    harness = OrderHarness()
    harness.at(5, lambda: harness.queue.failures.update(new_entries=1))
    harness.play(70)
    first, after_error, *later = (round(at) for at in harness.journal.walks)
    assert (first, after_error) == (2, 7)
    assert len(later) == 2
    assert all(30 <= at - 30 * i - after_error < 35 for i, at in enumerate(later))


def test_a_takeover_begins_with_what_the_other_instance_left() -> None:
    """Not half a minute later."""
    harness = OrderHarness()
    harness.queue.active = lambda now: not 4 <= now < 12
    harness.at(10, lambda: harness.journal.records.update(a=record("a")))
    harness.venue.orders["a"] = order_of(record("a"))
    harness.play(16)
    assert harness.journal.statuses == ["accepted"]


def test_what_is_under_way_is_not_resolved_beside_it() -> None:
    """Its answer comes from its own POST."""
    harness = OrderHarness(place_takes=100.0)
    harness.send("a")
    harness.play(90)
    assert len(harness.journal.walks) > 1
    assert harness.venue.times("find") == []


def test_a_record_is_resolved_by_one_task() -> None:
    """Though later walks find it unanswered again."""
    harness = OrderHarness(silent_until=1000.0)
    harness.journal.records["a"] = record("a")
    harness.play(100)
    assert harness.journal.unknown_calls == 1
    assert len(harness.venue.times("find")) <= 100 / 2 + 3


def test_a_record_that_was_left_open_is_looked_at_again() -> None:
    """Without keys nobody can resolve it; each walk tries."""
    harness = OrderHarness(executor=NoCredentialsExecutor)
    harness.journal.records["a"] = record("a")
    harness.play(70)
    assert harness.journal.unknown_calls == 3
    assert harness.journal.statuses == ["unknown"]


def test_only_so_many_records_are_resolved_at_once() -> None:
    """The venue's budget is for new orders."""
    harness = OrderHarness(silent_until=1000.0)
    names = [f"order-{i}" for i in range(3 * PlaceOrderConsumer.MAX_RECOVERIES)]
    harness.journal.records = {n: record(n, f"{START - 60_000}-{n[6:]}") for n in names}
    harness.play(30)
    assert harness.journal.unknown_calls == PlaceOrderConsumer.MAX_RECOVERIES


# What can't be read


def test_a_command_without_an_id_gets_that_of_its_entry() -> None:
    """The same entry read twice is the same command."""
    harness = OrderHarness()
    data = b'{"symbol": "BTC/USDT", "type": "limit", "side": "buy", "quantity": 1, "price": 2}'
    entry = CommandEntry("place_order", f"{START}-7", data, redelivered=False)
    harness.queue.queued.append(entry)
    harness.play(5)
    assert harness.venue.placed[0].client_order_id == f"x{START}-7"


@pytest.mark.parametrize(("data", "answers"), [(b'{"client_order_id": "a"}', 1), (b"{", 0)])
def test_what_cannot_be_read_is_answered_where_it_has_an_id(data: bytes, answers: int) -> None:
    """And goes to the dead letters."""
    harness = OrderHarness()
    harness.queue.queued.append(CommandEntry("place_order", f"{START}-7", data, redelivered=False))
    harness.play(5)
    assert harness.journal.reasons == ["invalid_command"] * answers
    assert len(harness.journal.dead_letters) == 1
    assert harness.journal.pending == {}


def test_an_entry_that_was_deleted_is_acknowledged_and_nothing_is_published() -> None:
    """Its record is found by the walk, if there is one."""
    harness = OrderHarness()
    harness.left_pending(
        CommandEntry("place_order", f"{START}-7", b"", redelivered=True, deleted=True)
    )
    harness.play(5)
    assert harness.journal.pending == {}
    assert harness.journal.published == []
    assert harness.journal.dead_letters == []
