"""What is open is cancelled without Redis, until nothing is left, in virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.commands.cancel_open import (
    AGAIN_AFTER,
    LATEST_ARRIVAL,
    cancel_open,
    cancel_when_full,
)
from services._connector_kit.orders.commands.request_ports import RequestVenue
from tests.support.virtual_time import LoopClock, run_virtually


@dataclass
class FakeVenue:
    """Has open orders, each from a moment on; `faults` are raised first, one by one."""

    opens_at: dict[str, float]
    faults: list[Exception] = field(default_factory=list)
    cancel_faults: dict[str, list[Exception]] = field(default_factory=dict)
    cancelled: list[tuple[float, str, Any]] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    async def open_orders(self) -> list[Any]:
        """What is open now."""
        now = asyncio.get_running_loop().time()
        self.looks.append(now)
        if self.faults:
            raise self.faults.pop(0)
        return [
            SimpleNamespace(symbol="BTC/USDT", order_id=name, client_order_id="c" + name)
            for name, at in self.opens_at.items()
            if at <= now and name not in self.gone
        ]

    async def cancel(self, symbol: str, **what: Any) -> str:
        """It is gone, unless that fails."""
        assert symbol == "BTC/USDT"
        name = what["order_id"]
        if self.cancel_faults.get(name):
            raise self.cancel_faults[name].pop(0)
        self.gone.add(name)
        now = asyncio.get_running_loop().time()
        self.cancelled.append((now, name, (what["client_order_id"], what["keep"])))
        return str(name)


def end_of(venue: FakeVenue) -> float:
    """When it is done."""

    async def run() -> float:
        await cancel_open(cast(RequestVenue, venue), LoopClock())
        return asyncio.get_running_loop().time()

    return run_virtually(run())


def test_all_that_is_open_is_cancelled_at_once_under_its_own_id() -> None:
    """And it looks again until no POST can be under way any more."""
    venue = FakeVenue({"1": 0.0, "2": 0.0})
    assert end_of(venue) == LATEST_ARRIVAL
    assert venue.cancelled == [(0.0, "1", (None, "c1")), (0.0, "2", (None, "c2"))]


def test_an_order_that_appears_late_is_cancelled_too() -> None:
    """Its POST was under way; one more look finds nothing."""
    venue = FakeVenue({"1": 0.0, "late": LATEST_ARRIVAL - 1})
    assert end_of(venue) == LATEST_ARRIVAL + AGAIN_AFTER
    assert venue.cancelled[-1][:2] == (LATEST_ARRIVAL, "late")


@pytest.mark.parametrize(
    ("fault", "again_after"),
    [
        (TransientError("busy"), AGAIN_AFTER),
        (TransientError("banned", retry_after=60.0), 60.0),
        (RejectedError("no", code="-1"), AGAIN_AFTER),
        (FeedStoppedError("key refused"), AGAIN_AFTER),
    ],
)
def test_a_venue_that_fails_is_asked_again(fault: Exception, again_after: float) -> None:
    """As often as it takes; a ban is waited out."""
    venue = FakeVenue({"1": 0.0}, faults=[fault])
    end_of(venue)
    assert [at for at, *_ in venue.cancelled] == [again_after]


@pytest.mark.parametrize("fault", [RejectedError("filled", code="x"), TransientError("busy")])
def test_a_cancel_that_fails_is_tried_again(fault: Exception) -> None:
    """A refusal doesn't keep the others from being cancelled."""
    venue = FakeVenue({"1": 0.0, "2": 0.0}, cancel_faults={"1": [fault]})
    end_of(venue)
    at = {name: when for when, name, _ in venue.cancelled}
    assert at["1"] == AGAIN_AFTER
    assert at["2"] == (0.0 if isinstance(fault, RejectedError) else AGAIN_AFTER)


def test_it_is_done_each_time_that_redis_is_full() -> None:
    """And not before."""

    async def run() -> list[float]:
        venue, full = FakeVenue({}), asyncio.Event()
        work = cast(Callable[..., Any], cancel_when_full)(full, venue, LoopClock())
        task = asyncio.create_task(work)
        for _ in range(2):
            await asyncio.sleep(100)
            full.set()
        await asyncio.sleep(100)
        task.cancel()
        return venue.looks

    assert run_virtually(run()) == [
        start + after for start in (100, 200) for after in (0, 5, 10, 15)
    ]
