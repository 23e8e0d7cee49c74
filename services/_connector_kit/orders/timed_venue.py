"""A venue's orders, with each POST timed and counted."""

import time

from services._connector_kit.orders.counts import OrderCounts
from services._connector_kit.orders.ports import Placed, PlaceOutcome, Refused, Venue
from services._connector_kit.orders.record import Record


class TimedVenue:
    """The port `Venue`, carried out by *venue*; *requests* counts the POSTs by their outcome."""

    def __init__(self, venue: Venue, counts: OrderCounts, requests: dict[str, int]) -> None:
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

    async def place(self, record: Record) -> PlaceOutcome:
        """Send the one POST."""
        sent = time.monotonic()
        outcome = await self._venue.place(record)
        self._counts.venue_answered(record, time.monotonic() - sent)
        self._requests[_kind(outcome)] += 1
        return outcome


def _kind(outcome: PlaceOutcome) -> str:
    match outcome:
        case Placed():
            return "ok"
        case Refused(reason_code="rate_limited"):
            return "rate_limited"
        case Refused():
            return "rejected"
        case _:
            return "transient"
