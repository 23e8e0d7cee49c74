"""Orders that were given up are watched for, and reported if the venue has them after all."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from services._connector_kit.errors import RejectedError
from services._connector_kit.orders.commands.answers import rejected
from services._connector_kit.orders.execution.late_order_watch import INTERVAL, watch_late_orders
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import CommandEntry, Rejection
from tests.support.orders.commands import command, record
from tests.support.orders.core import START, OrderHarness, order_of
from tests.support.virtual_time import LoopClock, run_virtually


def given_up(name: str = "order-1") -> Record:
    """A record that was closed as not found."""
    taken = record(command(client_order_id=name))
    entry = CommandEntry("place_order", taken.entry_id, b"", redelivered=False)
    refusal = Rejection("not_found", "no such order")
    answer = rejected(taken.order, entry, refusal, START, taken, provisional=True)
    return taken.closed(answer, provisional=True)


def watched(harness: OrderHarness, until: float) -> None:
    """Watch until that second."""

    async def watch() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(until):
                await watch_late_orders(harness.venue, harness.journal, LoopClock())

    run_virtually(watch())


def test_a_late_order_is_reported_within_a_minute() -> None:
    """Its record says accepted from then on, and it is looked for no longer."""
    harness = OrderHarness(found_from=90.0)
    harness.journal.records["order-1"] = given_up()
    harness.venue.orders["order-1"] = order_of(given_up())
    watched(harness, 600)
    ((corrected, order),) = harness.journal.corrected
    assert order == order_of(given_up())
    assert '"accepted"' in (corrected.answer or "")
    assert harness.venue.times("find") == [0, INTERVAL, 2 * INTERVAL]


def test_another_programs_order_under_the_id_is_not_a_late_order() -> None:
    """An order is recognised by its terms."""
    harness = OrderHarness()
    harness.journal.records["order-1"] = given_up()
    harness.venue.orders["order-1"] = replace(order_of(given_up()), side="sell")
    watched(harness, 200)
    assert harness.journal.corrected == []


def test_a_venue_that_refuses_to_say_of_one_keeps_no_other_waiting() -> None:
    """Nor does a journal in trouble end the watch."""
    harness = OrderHarness(silent_until=90.0, fault=RejectedError("no", code="-1121"))
    harness.journal.failures = 1
    harness.journal.records = {name: given_up(name) for name in ("a", "b")}
    harness.venue.orders = {name: order_of(given_up(name)) for name in ("a", "b")}
    watched(harness, 200)
    assert [order.client_order_id for _, order in harness.journal.corrected] == ["a", "b"]
