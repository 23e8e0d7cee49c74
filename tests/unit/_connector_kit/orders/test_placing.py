"""What is said of an order while nobody knows what became of it."""

import asyncio
from collections.abc import Sequence

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.placing import Placing
from services._connector_kit.orders.ports import (
    Entry,
    PlaceOutcome,
    Refused,
    Sized,
    Unclear,
    VenueOrder,
)
from services._connector_kit.orders.record import Record
from tests.support.orders import record
from tests.support.virtual_time import run_virtually

START = 1_700_000_000_000
ENTRY = Entry("place_order", "1700000000000-0", b"", redelivered=True)
ORDER = VenueOrder("28", "order-1", "0")


class LoopClock:
    """The port `Clock`, in the loop's virtual time."""

    def monotonic(self) -> float:
        """Virtual seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SilentVenue:
    """The port `Venue` of one that gives no answer until some virtual second."""

    validity = 5000

    def __init__(self, answers_from: float) -> None:
        self.asked = 0
        self._answers_from = answers_from

    def milliseconds(self) -> int:
        """The record's time, and what has passed since."""
        return START + round(asyncio.get_running_loop().time() * 1000)

    def lacks(self, symbol: str) -> None:
        """Nothing."""
        del symbol

    async def ready(self, within: float) -> bool:
        """At once."""
        return within >= 0

    def size(self, command: PlaceOrderCommand) -> Sized | Refused:
        """As it is."""
        return Sized(str(command.quantity), None)

    async def check(self, record: Record) -> None:
        """Nothing against it."""
        del record

    async def place(self, record: Record) -> PlaceOutcome:
        """No answer."""
        return Unclear(f"no answer to {record.client_order_id}")

    async def find(self, record: Record) -> VenueOrder | None:
        """No answer, for a while."""
        self.asked += 1
        if asyncio.get_running_loop().time() < self._answers_from:
            raise TransientError("the key is refused")
        return VenueOrder("28", record.client_order_id, "0")

    async def search(self, record: Record) -> VenueOrder | None:
        """As `find`."""
        return await self.find(record)


class Kept:
    """The port `Journal`: what was said, and when."""

    def __init__(self, told_from: float = float("inf")) -> None:
        self.said: list[tuple[float, str]] = []
        self._told_from = told_from

    async def get(self, client_order_id: str) -> None:
        """Nothing."""
        del client_order_id

    async def unanswered(self) -> Sequence[Record]:
        """Never called here."""
        return ()

    async def unclear(self, record: Record, entry: Entry, answer: OrderResponseEvent) -> None:
        """Said, where nothing was said before."""
        del record, entry
        if not self.said:
            self._say(answer)

    async def close(self, record: Record, entry: Entry) -> Record:
        """The final answer."""
        del entry
        self._say(OrderResponseEvent.model_validate_json(record.answer or ""))
        return record

    async def answer(self, entry: Entry, answer: bytes | None, dead_letter: str | None) -> None:
        """Never called here."""

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """Never called here."""

    async def told(self, client_order_id: str) -> VenueOrder | None:
        """From some second on the account's events have told of it."""
        del client_order_id
        return ORDER if asyncio.get_running_loop().time() >= self._told_from else None

    async def provisional(self) -> Sequence[Record]:
        """None."""
        return ()

    def _say(self, answer: OrderResponseEvent) -> None:
        self.said.append((asyncio.get_running_loop().time(), answer.status))


def resolved(journal: Kept, venue: SilentVenue) -> list[tuple[float, str]]:
    """What is said, and when, of an order that a killed process left behind."""
    placing = Placing(venue, journal, LoopClock())
    run_virtually(placing.resolve(record(), ENTRY))
    return journal.said


def test_an_order_that_the_venue_leaves_in_the_dark_is_said_to_be_unknown() -> None:
    """Once, when it must have been carried out or never will be; the end of it follows."""
    (first, unknown), (_, final) = resolved(Kept(), SilentVenue(answers_from=60))
    assert (unknown, final) == ("unknown", "accepted")
    assert 20 < first < 23


def test_a_venue_that_answers_in_time_leaves_nothing_unknown() -> None:
    """The end of it is all that is said."""
    ((_, status),) = resolved(Kept(), SilentVenue(answers_from=10))
    assert status == "accepted"


def test_what_the_accounts_events_told_settles_an_order_without_an_answer() -> None:
    """The venue's queries needn't know of it yet."""
    ((at, status),) = resolved(Kept(told_from=3), SilentVenue(answers_from=60))
    assert status == "accepted"
    assert 3 <= at < 6


def test_what_was_told_already_is_not_asked_for() -> None:
    """It costs nothing of the venue's budget."""
    venue = SilentVenue(answers_from=60)
    resolved(Kept(told_from=0), venue)
    assert venue.asked == 0
