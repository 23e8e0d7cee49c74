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
from tests.support.order_core import START, MemoryVenue, Stage, order_of
from tests.support.orders import command
from tests.support.orders import record as record_of

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
    stage = Stage()
    stage.send("a")
    stage.play(60)
    assert stage.journal.statuses == ["accepted"]
    assert [name for name, _ in stage.venue.calls] == ["check", "place"]
    assert stage.venue.times("place")[0] < 1
    assert stage.journal.pending == {}


def test_no_order_leaves_before_what_was_sent_earlier_has_settled() -> None:
    """A first start: the validity of a request, and until the venue shows its order."""
    stage = Stage()
    stage.bus.kept = None
    stage.send("a")
    stage.play(60)
    (sent,) = stage.venue.times("place")
    assert SETTLED <= sent < SETTLED + 0.5


def test_a_restart_waits_for_the_rest_of_the_settling_only() -> None:
    """It is remembered when a Redis was met that knew nothing."""
    stage = Stage()
    began_at = START - 6000
    stage.bus.kept = DataLossRecord("redis-1", -1, began_at + 600_000)
    stage.send("a")
    stage.play(60)
    (sent,) = stage.venue.times("place")
    assert SETTLED - 6 <= sent < SETTLED - 5.5


@pytest.mark.parametrize("refused_for", ["a halt", "a halt, held back before", "its size"])
def test_no_refusal_comes_before_what_was_sent_earlier_has_settled(refused_for: str) -> None:
    """The id may be of an order that Redis forgot, and that the venue shows a little later."""
    stage = Stage()
    stage.bus.kept = None
    stage.venue.orders["a"] = order_of(record("a"))
    stage.venue.found_from = stage.venue.searched_from = SETTLED - 0.5
    if refused_for == "its size":
        stage.venue.unfit = Rejection("max_quantity", "too much")
    else:
        stage.halt = Rejection("halted", "trading is halted")
    if "held back" in refused_for:
        stage.venue.lacking["BTC/USDT"] = Rejection("book_out_of_sync", "no book")
    stage.send("a")
    stage.play(60)
    assert stage.journal.statuses == ["accepted"]


def test_the_timestamp_is_taken_after_the_waits() -> None:
    """Else the request would reach the venue with its validity used up."""
    stage = Stage()
    stage.bus.kept = None
    stage.send("a")
    stage.play(60)
    (sent,) = stage.venue.placed
    assert sent.timestamp == START + round(stage.venue.times("place")[0] * 1000)


def test_nothing_is_concluded_before_the_venues_time_is_known() -> None:
    """Our own clock may be an hour ahead: an order of just now would be given up at once."""
    stage = Stage()
    stage.venue.time_known_from = 120.0
    entry = stage.entry("a")
    stage.left_pending(entry)
    stage.bus.others = [replace(entry, redelivered=True)]  # XAUTOCLAIM gives it once more
    stage.journal.records["b"] = record("b")
    stage.play(240)
    assert stage.journal.reasons == ["not_found", "not_found"]
    (b, _), (a, _) = stage.journal.published
    late = (
        120 + stage.venue.validity / 1000 + ExecutorTimings().margin + ExecutorTimings().missed_for
    )
    assert 120 < b < 135
    assert late <= a < late + 4 * ExecutorTimings().longest_poll


def test_an_entry_that_somebody_may_have_begun_with_is_never_sent() -> None:
    """An earlier process read it; its record may be lost."""
    stage = Stage()
    stage.left_pending(stage.entry("a"))
    stage.play(60)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["not_found"]


def test_what_another_consumer_left_is_taken_over_and_never_sent() -> None:
    """It may have sent it."""
    stage = Stage()
    stage.bus.others = [replace(stage.entry("a"), redelivered=True)]
    stage.play(60)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["not_found"]


def test_an_entry_whose_delivery_was_lost_is_never_sent() -> None:
    """Nothing tells it from one that was begun with."""
    stage = Stage()
    stage.bus.reads_lost = 1
    stage.send("a")
    stage.play(60)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["not_found"]


def test_an_entry_that_was_read_and_not_begun_with_is_still_sent() -> None:
    """The claim of the one before it failed."""
    stage = Stage()
    stage.bus.failures["claim"] = 1
    stage.send("a", "b")
    stage.play(4)
    assert [sent.client_order_id for sent in stage.venue.placed] == ["a", "b"]
    assert stage.journal.statuses == ["accepted", "accepted"]


def test_a_command_from_before_a_loss_of_data_is_never_sent() -> None:
    """Redis lost data at second 5: what came in until then may have been carried out."""
    stage = Stage()
    stage.at(5, lambda: stage.bus.lose_everything("redis-2"))
    stage.at(5, lambda: setattr(stage.bus, "newest", START + 4500))
    stage.at(6, lambda: stage.bus.queued.append(stage.entry("a", at=4.5)))
    stage.play(90)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["not_found"]


def test_after_a_loss_of_data_a_later_command_is_looked_up_before_it_is_sent() -> None:
    """Its id may be one that was carried out."""
    stage = Stage()
    stage.at(5, lambda: stage.bus.lose_everything("redis-2"))
    stage.at(5, lambda: setattr(stage.bus, "newest", START + 4500))
    stage.send("a", at=8)
    stage.play(60)
    assert [name for name, _ in stage.venue.calls] == ["find", "search", "check", "place"]
    assert stage.venue.times("place")[0] >= 5 + SETTLED


def test_what_the_rules_refuse_is_rejected_and_not_sent() -> None:
    """It was never sized."""
    stage = Stage(unfit=Rejection("price_out_of_bounds", "too low"))
    stage.send("a")
    stage.play(30)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["price_out_of_bounds"]


def test_the_venue_is_waited_for_within_the_commands_age() -> None:
    """A ban that is over before."""
    stage = Stage(ready_from=6.0)
    stage.send("a")
    stage.play(30)
    (sent,) = stage.venue.times("place")
    assert 6 <= sent < 7


def test_a_venue_that_is_not_ready_in_time_is_not_waited_for() -> None:
    """The command is refused when it would be too old."""
    stage = Stage(ready_from=60.0)
    stage.send("a")
    stage.play(100)
    assert stage.venue.placed == []
    ((at, answer),) = stage.journal.published
    assert answer.status == "rejected"
    assert 9 <= at <= 11


# Age


@pytest.mark.parametrize(
    ("sent_at", "reason"), [(-9.0, None), (-10.5, "expired"), (0.9, None), (1.5, "clock")]
)
def test_a_command_is_sent_at_its_time_or_not_at_all(sent_at: float, reason: str | None) -> None:
    """By Redis's clock: at most ten seconds old, and at most one ahead."""
    stage = Stage()
    stage.bus.queued.append(stage.entry("a", at=sent_at))
    stage.play(30)
    assert stage.journal.reasons == [reason]
    assert len(stage.venue.placed) == (0 if reason else 1)


def test_a_command_that_grew_too_old_while_it_was_claimed_is_not_sent() -> None:
    """The reply to the claim was long under way: its age is judged after the claim, too."""
    stage = Stage()
    stage.bus.claim_takes = 10.5
    stage.send("a")
    stage.play(40)
    assert stage.venue.placed == []
    assert stage.journal.reasons == ["expired"]


def test_age_is_judged_by_the_clock_that_gave_the_entry_its_id() -> None:
    """Redis's clock may be an hour ahead of the venue's."""
    stage = Stage()
    stage.bus.ahead = 3_600_000
    stage.bus.queued.append(stage.entry("a", at=3599.0))
    stage.play(30)
    assert stage.journal.statuses == ["accepted"]


# What is looked at again


def test_what_is_under_way_is_claimed_again_after_a_loss_of_data() -> None:
    """Its claim is lost: only a new record says that it may have been sent."""
    stage = Stage(place_takes=300.0)
    stage.send("a")
    stage.at(5, lambda: stage.bus.lose_everything("redis-2"))
    stage.at(5, lambda: setattr(stage.bus, "newest", START))
    stage.play(20)
    assert [claimed.sendable for _, claimed in stage.bus.claims] == [True, False]
    assert len(stage.venue.placed) == 1


def test_what_is_under_way_is_claimed_once() -> None:
    """However often it is seen pending."""
    stage = Stage(place_takes=50.0)
    stage.send("a")
    stage.play(49)
    assert len(stage.bus.claims) == 1
    assert stage.venue.times("find") == []


def test_a_claim_that_failed_is_made_again_at_once() -> None:
    """What is pending is looked at after each error."""
    stage = Stage()
    stage.bus.failures["claim"] = 1
    stage.send("a", at=1)
    stage.play(3)
    assert stage.journal.statuses == ["accepted"]


def test_what_is_pending_is_looked_at_every_few_seconds() -> None:
    """Also where there was no error."""
    stage = Stage()
    entry = stage.entry("a")
    stage.at(6.5, lambda: stage.left_pending(entry))
    stage.play(13)
    assert [round(at) for at, _ in stage.bus.claims] == [12]


def test_all_entries_get_their_turn() -> None:
    """More than may be under way at once."""
    stage = Stage()
    names = [f"order-{i}" for i in range(3 * PlaceOrderConsumer.MOST_IN_FLIGHT)]
    stage.send(*names)
    stage.play(10)
    assert sorted(sent.client_order_id for sent in stage.venue.placed) == sorted(names)


def test_however_often_claims_fail_there_is_room_for_the_next() -> None:
    """More failures than orders may be under way."""
    stage = Stage()
    stage.bus.failures["claim"] = 2 * PlaceOrderConsumer.MOST_IN_FLIGHT
    stage.send("a", at=1)
    stage.send("b", at=50)
    stage.play(60)
    assert stage.journal.reasons == ["expired", None]


def test_only_so_many_are_under_way_at_once() -> None:
    """Reading waits."""
    stage = Stage(place_takes=100.0)
    stage.send(*(f"order-{i}" for i in range(2 * PlaceOrderConsumer.MOST_IN_FLIGHT)))
    stage.play(9)
    assert len(stage.venue.placed) == PlaceOrderConsumer.MOST_IN_FLIGHT


def test_without_the_lease_nothing_is_read() -> None:
    """Another instance is active."""
    stage = Stage()
    stage.bus.active = lambda now: now >= 5
    stage.send("a")
    stage.play(9)
    ((at, _),) = stage.bus.claims
    assert at >= 5


# The book of record


def test_an_unanswered_record_without_an_entry_is_resolved_at_start() -> None:
    """Its entry was deleted."""
    stage = Stage()
    stage.journal.records["a"] = record("a")
    stage.venue.orders["a"] = order_of(record("a"))
    stage.play(3)
    assert stage.journal.statuses == ["accepted"]


def test_it_is_resolved_after_an_error_and_every_half_minute() -> None:
    """Each walk resolves what is not under way."""
    stage = Stage()
    stage.at(5, lambda: stage.bus.failures.update(new_entries=1))
    stage.play(70)
    first, after_error, *later = (round(at) for at in stage.journal.walks)
    assert (first, after_error) == (2, 7)
    assert len(later) == 2
    assert all(30 <= at - 30 * i - after_error < 35 for i, at in enumerate(later))


def test_a_takeover_begins_with_what_the_other_instance_left() -> None:
    """Not half a minute later."""
    stage = Stage()
    stage.bus.active = lambda now: not 4 <= now < 12
    stage.at(10, lambda: stage.journal.records.update(a=record("a")))
    stage.venue.orders["a"] = order_of(record("a"))
    stage.play(16)
    assert stage.journal.statuses == ["accepted"]


def test_what_is_under_way_is_not_resolved_beside_it() -> None:
    """Its answer comes from its own POST."""
    stage = Stage(place_takes=100.0)
    stage.send("a")
    stage.play(90)
    assert len(stage.journal.walks) > 1
    assert stage.venue.times("find") == []


def test_a_record_is_resolved_by_one_task() -> None:
    """Though later walks find it unanswered again."""
    stage = Stage(silent_until=1000.0)
    stage.journal.records["a"] = record("a")
    stage.play(100)
    assert stage.journal.unclear_calls == 1
    assert len(stage.venue.times("find")) <= 100 / 2 + 3


def test_a_record_that_was_left_open_is_looked_at_again() -> None:
    """Without keys nobody can resolve it; each walk tries."""
    stage = Stage(placing=NoCredentialsExecutor)
    stage.journal.records["a"] = record("a")
    stage.play(70)
    assert stage.journal.unclear_calls == 3
    assert stage.journal.statuses == ["unknown"]


def test_only_so_many_records_are_resolved_at_once() -> None:
    """The venue's budget is for new orders."""
    stage = Stage(silent_until=1000.0)
    names = [f"order-{i}" for i in range(3 * PlaceOrderConsumer.MOST_RECOVERIES)]
    stage.journal.records = {n: record(n, f"{START - 60_000}-{n[6:]}") for n in names}
    stage.play(30)
    assert stage.journal.unclear_calls == PlaceOrderConsumer.MOST_RECOVERIES


# What can't be read


def test_a_command_without_an_id_gets_that_of_its_entry() -> None:
    """The same entry read twice is the same command."""
    stage = Stage()
    data = b'{"symbol": "BTC/USDT", "type": "limit", "side": "buy", "quantity": 1, "price": 2}'
    entry = CommandEntry("place_order", f"{START}-7", data, redelivered=False)
    stage.bus.queued.append(entry)
    stage.play(5)
    assert stage.venue.placed[0].client_order_id == f"x{START}-7"


@pytest.mark.parametrize(("data", "answers"), [(b'{"client_order_id": "a"}', 1), (b"{", 0)])
def test_what_cannot_be_read_is_answered_where_it_has_an_id(data: bytes, answers: int) -> None:
    """And goes to the dead letters."""
    stage = Stage()
    stage.bus.queued.append(CommandEntry("place_order", f"{START}-7", data, redelivered=False))
    stage.play(5)
    assert stage.journal.reasons == ["invalid_command"] * answers
    assert len(stage.journal.dead_letters) == 1
    assert stage.journal.pending == {}


def test_an_entry_that_was_deleted_is_acknowledged_and_nothing_is_published() -> None:
    """Its record is found by the walk, if there is one."""
    stage = Stage()
    stage.left_pending(
        CommandEntry("place_order", f"{START}-7", b"", redelivered=True, deleted=True)
    )
    stage.play(5)
    assert stage.journal.pending == {}
    assert stage.journal.published == []
    assert stage.journal.dead_letters == []
