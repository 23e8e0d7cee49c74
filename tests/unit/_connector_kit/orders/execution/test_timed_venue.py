"""A venue's POSTs, timed and counted on their way through."""

from typing import Any, cast

import pytest

from services._connector_kit.orders.execution.no_credentials import NoCredentialsVenue
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.timed_venue import TimedVenue
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import (
    ExecutionVenue,
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    VenueAcceptance,
    VenueOrder,
)
from tests.support.metrics import numbers
from tests.support.orders import command, record


class OneAnswer(NoCredentialsVenue):
    """A venue that has one answer to every POST."""

    validity = 4321

    def __init__(self, answer: PlaceOutcome) -> None:
        self.answer = answer

    async def place(self, record: Record) -> PlaceOutcome:
        """That one."""
        return self.answer


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (VenueAcceptance(VenueOrder("28", "order-1", "0")), "ok"),
        (Rejection("exchange_rejected", "no money"), "rejected"),
        (Rejection("exchange_rejected", "the key", about_key=True), "key_refused"),
        (Rejection("rate_limited", "too many"), "rate_limited"),
        (OutcomeUnknown("no answer"), "transient"),
    ],
)
async def test_each_post_counts_by_its_outcome_and_is_timed(
    answer: PlaceOutcome, outcome: str
) -> None:
    """The answer goes on as it is."""
    counts, requests = OrderMetrics(), dict.fromkeys(("ok", "rejected", outcome), 0)
    refusals: list[str] = []
    timed = TimedVenue(OneAnswer(answer), counts, requests, refusals.append)
    assert await timed.place(record()) is answer
    assert {name: n for name, n in requests.items() if n} == {outcome: 1}
    assert refusals == (["the key"] if outcome == "key_refused" else [])
    assert numbers(counts.metrics())["order_hop_seconds_count", "venue"] == 1


async def test_all_else_is_the_venues_own() -> None:
    """Nothing is asked twice, or judged anew."""
    venue = OneAnswer(OutcomeUnknown(""))
    timed: ExecutionVenue = TimedVenue(venue, OrderMetrics(), {}, lambda _: None)
    assert timed.validity == 4321
    assert timed.size(command()) == venue.size(command())
    for name in ("milliseconds", "ready", "check", "find", "search"):
        assert getattr(timed, name) == getattr(cast(Any, venue), name)
