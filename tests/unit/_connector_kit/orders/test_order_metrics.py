"""Commands by their outcome, what is unknown and for how long, and each hop of an order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderStatusUpdateEvent, Trade
from services._connector_kit.orders.commands.answers import (
    accepted,
    outcome_unknown,
    rejected,
    replayed,
    unreadable,
)
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.order_metrics import OrderMetrics, outcome_recorder
from services._connector_kit.orders.ports import (
    Claim,
    CommandEntry,
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    VenueAcceptance,
    VenueOrder,
)
from tests.support.metrics import Numbers, numbers
from tests.support.orders.commands import record

AT = 1_700_000_000_000
ENTRY = CommandEntry("place_order", f"{AT}-0", b"", redelivered=False)
FOUND = VenueOrder("28", "order-1", "0")


def shown(counts: OrderMetrics) -> Numbers:
    """The metrics, without what is 0, and without the moments at which counting began."""
    found = numbers(counts.metrics())
    return {key: n for key, n in found.items() if n and not key[0].endswith("_created")}


def wire(answer: Any) -> bytes:
    """An answer as it is published."""
    return bytes(answer.model_dump_json().encode())


def refused(reason_code: str) -> bytes:
    """The answer to an order that is refused."""
    return wire(rejected(record().order, ENTRY, Rejection(reason_code, "no"), AT))


@pytest.mark.parametrize(
    ("answer", "outcome", "reason_code"),
    [
        (wire(accepted(record(), FOUND, AT)), "accepted", None),
        (refused("max_notional"), "rejected", "max_notional"),
        (refused("not_found"), "rejected", "not_found"),
        (refused("expired"), "expired", "expired"),
        (unreadable({}, ENTRY, "no JSON", AT), "unreadable", "invalid_command"),
    ],
)
def test_an_answered_order_counts_once_and_a_refusal_with_its_reason(
    answer: bytes, outcome: str, reason_code: str | None
) -> None:
    """Expired and unreadable orders are outcomes of their own: they say who is to be asked."""
    counts = OrderMetrics()
    counts.answered(ENTRY, answer)
    wanted: Numbers = {("order_commands_total", "place_order", outcome): 1}
    if reason_code is not None:
        wanted["order_refusals_total", reason_code] = 1
    assert shown(counts) == wanted


def test_a_repeated_answer_does_not_count_as_a_new_rejection() -> None:
    """The order was refused once."""
    counts = OrderMetrics()
    closed = record().closed(rejected(record().order, ENTRY, Rejection("halted", "no"), AT))
    counts.answered(ENTRY, wire(replayed(closed, ENTRY)))
    found = shown(counts)
    assert found["order_commands_total", "place_order", "replayed"] == 1
    assert ("order_refusals_total", "halted") not in found


def test_an_unknown_order_counts_until_any_instance_closes_it() -> None:
    """Its age is the time since it was claimed, by the venue's clock."""
    now = AT + 61_000
    counts = OrderMetrics(lambda: now)
    older, newer = record(entry_id="1-0"), record(entry_id="2-0", timestamp=AT + 60_000)
    for _ in range(2):  # said again where the venue still can't be asked
        counts.unknown_published(older)
    counts.unknown_published(newer)
    found = shown(counts)
    assert found["order_commands_total", "place_order", "unknown"] == 2
    assert found["orders_unknown",] == 2
    assert found["order_unknown_oldest_seconds",] == 61
    counts.closed("1-0")
    assert shown(counts)["order_unknown_oldest_seconds",] == 1
    counts.closed("2-0")
    assert ("orders_unknown",) not in shown(counts)
    assert ("order_unknown_oldest_seconds",) not in shown(counts)


def test_an_order_that_an_earlier_run_left_unknown_is_unknown_still() -> None:
    """It is told by the record that a claim meets; another entry's record is that entry's."""
    counts = OrderMetrics(lambda: AT)
    mine = record(entry_id="1-0")
    counts.claimed(mine, Claim(mine.marked_unknown(), AT), 0.0)
    counts.claimed(record(entry_id="2-0"), Claim(mine.marked_unknown(), AT), 0.0)
    assert shown(counts)["orders_unknown",] == 1
    counts.closed("1-0")
    assert ("orders_unknown",) not in shown(counts)


def test_each_hop_of_an_order_is_timed_once() -> None:
    """The wait by Redis's clock, the rest by ours; a claim that was made before is no hop."""
    counts = OrderMetrics()
    mine = record(entry_id=f"{AT}-0")
    counts.claimed(mine, Claim(None, AT + 1500), 0.25)
    counts.claimed(mine, Claim(mine, AT + 9000), 9.0)
    counts.venue_answered(mine, 0.5)
    for _ in range(2):
        counts.closed(mine.entry_id)
    found = shown(counts)
    sums = {hop: found["order_hop_seconds_sum", hop] for hop in ("waited", "claimed", "venue")}
    assert sums == {"waited": 1.5, "claimed": 0.25, "venue": 0.5}
    hops = ("waited", "claimed", "venue", "answered")
    assert [found["order_hop_seconds_count", hop] for hop in hops] == [1, 1, 1, 1]


def test_an_entry_of_redis_future_waited_for_nothing() -> None:
    """Its clock was set back; a histogram's sum must not fall."""
    counts = OrderMetrics()
    counts.claimed(record(entry_id=f"{AT + 500}-0"), Claim(None, AT), 0.0)
    assert numbers(counts.metrics())["order_hop_seconds_sum", "waited"] == 0


def status(order_id: str, symbol: str, *fills: int) -> OrderStatusUpdateEvent:
    """What is told of an order, with fills of these moments."""
    return OrderStatusUpdateEvent(
        order_id=order_id,
        symbol=symbol,
        status="open",
        filled_quantity=0,
        remaining_quantity=1,
        exchange="binance",
        trades=[
            Trade(
                symbol=symbol,
                timestamp=datetime.fromtimestamp(at / 1000, UTC),
                price=1,
                quantity=1,
                side="buy",
                exchange="binance",
            )
            for at in fills
        ]
        or None,
    )


def test_a_fill_is_timed_by_the_newest_one_published_with_it() -> None:
    """By the venue's own time; one of its future took no time."""
    counts = OrderMetrics(lambda: AT)
    counts.status_published(status("1", "BTC/USDT"), closed=False)
    counts.status_published(status("1", "BTC/USDT", AT - 900, AT - 250), closed=False)
    counts.status_published(status("1", "BTC/USDT", AT + 250), closed=False)
    found = numbers(counts.metrics())
    assert found["fill_seconds_count",] == 2
    assert found["fill_seconds_sum",] == pytest.approx(0.25)


orders = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["BTC/USDT", "ETH/USDT"]), st.booleans())
)


@given(orders)
def test_open_orders_are_those_whose_last_status_is_not_terminal(
    told: list[tuple[str, str, bool]],
) -> None:
    """Whatever is told of them, in whatever order."""
    counts = OrderMetrics()
    last: dict[tuple[str, str], bool] = {}
    for order_id, symbol, closed in told:
        counts.status_published(status(order_id, symbol), closed=closed)
        last[symbol, order_id] = closed
    still_open = [symbol for (symbol, _), closed in last.items() if not closed]
    found = {key[1]: n for key, n in numbers(counts.metrics()).items() if key[0] == "orders_open"}
    assert found == {symbol: still_open.count(symbol) for _, symbol, _ in told}


def test_unknown_is_an_answer_too_and_ends_the_hop_to_redis() -> None:
    """From the venue's silence to the word that says so."""
    counts = OrderMetrics()
    mine: Record = record()
    counts.venue_answered(mine, 10.0)
    counts.unknown_published(mine)
    counts.answered(ENTRY, wire(outcome_unknown(mine, "no answer", AT)))
    assert numbers(counts.metrics())["order_hop_seconds_count", "answered"] == 1


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (VenueAcceptance(VenueOrder("28", "order-1", "0")), "ok"),
        (Rejection("exchange_rejected", "no money"), "rejected"),
        (Rejection("exchange_rejected", "the key", about_key=True), "key_refused"),
        (Rejection("rate_limited", "too many"), "rate_limited"),
        (OutcomeUnknown("no answer"), "transient"),
    ],
)
def test_each_post_is_counted_by_its_outcome_and_timed(outcome: PlaceOutcome, name: str) -> None:
    """A key that the venue refuses is reported."""
    metrics, requests = OrderMetrics(), dict.fromkeys(("ok", "rejected", name), 0)
    refusals: list[str] = []
    outcome_recorder(metrics, requests, refusals.append)(record(), outcome, 0.5)
    assert {name: n for name, n in requests.items() if n} == {name: 1}
    assert refusals == (["the key"] if name == "key_refused" else [])
    assert numbers(metrics.metrics())["order_hop_seconds_count", "venue"] == 1
