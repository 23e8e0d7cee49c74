"""A venue's orders, with each POST timed and counted."""

import time
from collections.abc import Callable

from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.order_metrics import OrderMetrics
from services._connector_kit.orders.ports import (
    ExecutionVenue,
    PlaceOutcome,
    Rejection,
    VenueAcceptance,
)


class TimedVenue:
    """The port `ExecutionVenue` by *venue*; *requests* counts the POSTs by their outcome.

    *on_key_refused* is told what the venue says where it refuses the key to an order.
    """

    def __init__(
        self,
        venue: ExecutionVenue,
        counts: OrderMetrics,
        requests: dict[str, int],
        on_key_refused: Callable[[str], None],
    ) -> None:
        self.validity = venue.validity
        self.milliseconds = venue.milliseconds
        self.knows_time = venue.knows_time
        self.lacks = venue.lacks
        self.ready = venue.ready
        self.size = venue.size
        self.check = venue.check
        self.find = venue.find
        self.search = venue.search
        self._venue = venue
        self._counts = counts
        self._requests = requests
        self._on_key_refused = on_key_refused

    async def place(self, record: Record) -> PlaceOutcome:
        """Send the one POST."""
        sent = time.monotonic()
        outcome = await self._venue.place(record)
        self._counts.venue_answered(record, time.monotonic() - sent)
        self._requests[_kind(outcome)] += 1
        if isinstance(outcome, Rejection) and outcome.about_key:
            self._on_key_refused(outcome.message)
        return outcome


def _kind(outcome: PlaceOutcome) -> str:
    match outcome:
        case VenueAcceptance():
            return "ok"
        case Rejection(reason_code="rate_limited"):
            return "rate_limited"
        case Rejection(about_key=True):
            return "key_refused"
        case Rejection():
            return "rejected"
        case _:
            return "transient"
