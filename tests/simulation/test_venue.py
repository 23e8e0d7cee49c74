"""The simulated venue keeps the rules that the promise leans on."""

import asyncio
import random
from dataclasses import replace

import msgspec
import pytest

from common_models import PlaceOrderCommand
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    VenueAcceptance,
    VenueOrder,
)
from tests.simulation.faults import Faults, certain
from tests.simulation.loop import run
from tests.simulation.plan import VENUES
from tests.simulation.process import Trouble
from tests.simulation.venue import FaultyVenue, Way
from tests.simulation.venue_order import Order, VenueKind

WAYS: tuple[Way, ...] = ("find", "search")


def record_at(venue: FaultyVenue, kind: str = "market", late: int = 0) -> Record:
    """A request for an order of that type, signed *late* milliseconds ago."""
    command = PlaceOrderCommand(
        client_order_id="a",
        symbol="BTC/USDT",
        type="limit" if kind == "limit" else "market",
        side="buy",
        quantity=1,
        price=100 if kind == "limit" else None,
    )
    return Record(
        client_order_id="a",
        entry_id="1-0",
        command=command.model_dump_json(),
        timestamp=int(venue.milliseconds()) - late,
        validity=5000,
        sendable=True,
    )


async def send(venue: FaultyVenue, record: Record) -> PlaceOutcome:
    """One POST, and what its sender is told."""
    told: asyncio.Future[PlaceOutcome | Trouble] = asyncio.Future()
    venue.post(record, told.set_result)
    outcome = await told
    assert not isinstance(outcome, Trouble)
    return outcome


async def ask(venue: FaultyVenue, way: Way) -> VenueOrder | None:
    """What the venue says of the order."""
    told: asyncio.Future[VenueOrder | Trouble | None] = asyncio.Future()
    venue.ask(way, "a", told.set_result)
    found = await told
    assert not isinstance(found, Trouble)
    return found


def open_venue(kind: VenueKind, faults: Faults | None = None, seed: int = 1) -> FaultyVenue:
    """A venue on the running loop; without faults if none are named."""
    venue = FaultyVenue(
        kind, random.Random(seed), faults or Faults(), lambda _: None, lenient=False
    )
    venue.on_executed = fill_market_order
    return venue


def fill_market_order(order: Order) -> None:
    """It closes at once; a limit order rests."""
    if order.command.type == "market":
        order.fill_whole(order.created)


@pytest.mark.parametrize(("kind", "orders"), [("binance", 2), ("luno", 1)])
def test_the_id_of_a_closed_order(kind: VenueKind, orders: int) -> None:
    """Binance takes it a second time; Luno never does."""

    async def main() -> int:
        venue = open_venue(kind)
        assert isinstance(await send(venue, record_at(venue)), VenueAcceptance)
        await send(venue, record_at(venue))
        return len(venue.orders)

    assert run(main, 1) == orders


@pytest.mark.parametrize("kind", VENUES)
def test_the_id_of_an_open_order_is_refused_as_a_duplicate(kind: VenueKind) -> None:
    """Which is no refusal of the order: it is there."""

    async def main() -> None:
        venue = open_venue(kind)
        assert isinstance(await send(venue, record_at(venue, "limit")), VenueAcceptance)
        assert await send(venue, record_at(venue, "limit")) == OutcomeUnknown("duplicate")
        assert len(venue.orders) == 1

    run(main, 1)


@pytest.mark.parametrize("kind", VENUES)
@pytest.mark.parametrize("late", [5001, -1500])
def test_a_request_outside_its_time_is_not_carried_out(kind: VenueKind, late: int) -> None:
    """Too old, or from too far in the future."""

    async def main() -> None:
        venue = open_venue(kind)
        outcome = await send(venue, record_at(venue, late=late))
        assert isinstance(outcome, OutcomeUnknown if kind == "binance" else Rejection)
        assert venue.orders == []

    run(main, 1)


def test_the_time_is_checked_again_before_matching() -> None:
    """What waits too long in the queue never reaches the engine; what is in it may take longer."""

    async def main() -> list[int]:
        late_by = []
        for seed in range(300):
            venue = open_venue("binance", certain("late"), seed)
            record = record_at(venue)
            await send(venue, record)
            await asyncio.sleep(60)
            late_by += [order.created - record.timestamp for order in venue.orders]
        return late_by

    late_by = run(main, 1)
    assert 30 < len(late_by) < 270
    assert max(late_by) < 5000 + 8000
    assert max(late_by) > 5000


@pytest.mark.parametrize(
    ("fault", "orders", "told"),
    [
        ("lost", 0, OutcomeUnknown),
        ("fails_before", 0, OutcomeUnknown),
        ("fails_after", 1, OutcomeUnknown),
        ("no_reply", 1, OutcomeUnknown),
        ("refused", 0, Rejection),
    ],
)
def test_each_fault_does_what_its_name_says(fault: str, orders: int, told: type) -> None:
    """To the ledger, and to the sender."""

    async def main() -> None:
        venue = open_venue("binance", certain(fault))
        assert isinstance(await send(venue, record_at(venue)), told)
        await asyncio.sleep(60)
        assert len(venue.orders) == orders

    run(main, 1)


def test_hidden_orders_show_up_after_a_while() -> None:
    """Queries and searches miss the order, each in its own time, for five minutes at most."""

    async def main() -> None:
        venue = open_venue("binance", replace(certain("hidden"), no_reply=1.0))
        await send(venue, msgspec.structs.replace(record_at(venue), entry_id="2-0"))
        await asyncio.sleep(1)
        (order,) = venue.orders
        hidden = [way for way in WAYS if await ask(venue, way) is None]
        assert hidden
        assert [look.way for look in venue.misses["a"]] == hidden
        await asyncio.sleep(310)
        assert [await ask(venue, way) for way in WAYS] == [order.as_told()] * 2
        assert len(venue.misses["a"]) == len(hidden)

    run(main, 1)
