"""The account in virtual time: what the venue knows gets told, whatever the stream does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import cast

import pytest

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders import account
from services._connector_kit.orders.account import AccountDesk
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ledger import Balance, Ledger
from tests.support.account_venue import AccountInMemory, LedgerInMemory, LoopClock, order
from tests.support.metrics import numbers
from tests.support.virtual_time import run_virtually


@dataclass
class Telling:
    """An account desk at work, and what it told."""

    venue: AccountInMemory
    desk: AccountDesk
    ledger: LedgerInMemory
    stopped: list[str]


@asynccontextmanager
async def telling(venue: AccountInMemory, interval: float) -> AsyncIterator[Telling]:
    """The desk at work while the block runs."""
    ledger = LedgerInMemory()
    stopped: list[str] = []
    desk = AccountDesk(venue, cast("Ledger", ledger), LoopClock(), interval, stopped.append)
    task = asyncio.create_task(desk.run())
    try:
        yield Telling(venue, desk, ledger, stopped)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(
    venue: AccountInMemory, story: Callable[[Telling], Awaitable[None]], interval: float = 30.0
) -> None:
    """Tell *story* in virtual time."""

    async def main() -> None:
        async with telling(venue, interval) as now:
            await story(now)

    run_virtually(main())


def test_what_the_venue_knows_at_the_start_is_told() -> None:
    """Open orders and balances; told once, however often they are compared."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(100.0)
        assert now.ledger.events == [("1", "open", 0.0), ("2", "partially_filled", 3.0)]
        assert set(now.ledger.balances) == {("USDT", 1000.0)}

    run(AccountInMemory(order("1"), order("2", filled=3), order("3", "filled", 10)), story)


def test_what_the_stream_doesnt_tell_the_comparison_finds() -> None:
    """A fill, an end, and an order that came and went between two looks."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(1.0)
        now.venue.orders["1"] = order("1", filled=4)
        now.venue.orders["2"] = order("2", "canceled")
        now.venue.orders["3"] = order("3", "filled", 10)
        now.venue.traded = ["1", "3"]
        await asyncio.sleep(30.0)
        assert sorted(now.ledger.events[2:]) == [
            ("1", "partially_filled", 4.0),
            ("2", "canceled", 0.0),
            ("3", "filled", 10.0),
        ]
        assert now.ledger.at == "2"

    run(AccountInMemory(order("1"), order("2")), story)


def test_what_the_stream_tells_is_told_at_once() -> None:
    """And the comparison has nothing to add."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.orders["1"] = order("1", filled=4)
        now.venue.listener.heard(order("1", filled=4))
        now.venue.listener.heard([Balance("BTC", Decimal(4), Decimal(0))])
        await asyncio.sleep(0.01)
        assert now.ledger.events[-1] == ("1", "partially_filled", 4.0)
        assert ("BTC", 4.0) in now.ledger.balances
        await asyncio.sleep(60.0)
        assert len(now.ledger.events) == 2

    run(AccountInMemory(order("1")), story)


def test_a_connection_of_the_stream_brings_a_comparison() -> None:
    """Something may have been missed before it."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(1.0)
        now.venue.orders["1"] = order("1", filled=4)
        assert now.venue.listener is not None
        now.venue.listener.connected()
        await asyncio.sleep(0.01)
        assert now.ledger.events[-1] == ("1", "partially_filled", 4.0)

    run(AccountInMemory(order("1")), story, interval=10_000.0)


@pytest.mark.parametrize("interval", [1.0, 30.0, 45.0, 10_000.0])
@pytest.mark.parametrize("took", [0.0, 3.0])
def test_balances_are_told_at_least_once_a_minute(interval: float, took: float) -> None:
    """However rarely orders are compared, and however slow the venue answers."""

    async def story(now: Telling) -> None:
        times: list[float] = []
        for _ in range(600):
            before = len(times)
            await asyncio.sleep(1.0)
            found = len(now.ledger.balances)
            times += [asyncio.get_running_loop().time()] * (found - before)
        assert len(times) >= 10
        assert max(b - a for a, b in pairwise(times)) <= 60.0

    venue = AccountInMemory()
    venue.took = took
    run(venue, story, interval)


def test_balances_that_moved_are_asked_for_once_a_second_at_most() -> None:
    """However often the stream says so."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(5.0)
        asked = now.venue.calls.count("balances")
        assert now.venue.listener is not None
        now.venue.money = {"BTC": Decimal(1)}
        for _ in range(100):
            now.venue.listener.balances_moved()
            await asyncio.sleep(0.02)
        assert now.venue.calls.count("balances") - asked <= 4
        assert now.ledger.balances[-2:] == [("BTC", 1.0), ("USDT", 0.0)]

    run(AccountInMemory(), story, interval=10_000.0)


def test_an_accepted_order_is_looked_at_a_second_later() -> None:
    """Where the stream was silent."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(5.0)
        now.venue.orders["1"] = order("1", "filled", 10)
        now.ledger.waiting.add(OrderRef("BTC/USDT", "1"))
        now.desk.order_accepted()
        await asyncio.sleep(1.1)
        assert now.ledger.events == [("1", "filled", 10.0)]
        assert now.ledger.waiting == set()

    run(AccountInMemory(), story, interval=10_000.0)


def test_an_order_that_the_venue_doesnt_show_is_asked_for_again() -> None:
    """For an hour: it may be slow; and what was traded before isn't passed over."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(1.0)
        now.venue.hidden = {"1", "2"}
        now.venue.orders["2"] = order("2", "filled", 10)
        now.venue.traded = ["2"]
        await asyncio.sleep(600.0)
        assert now.ledger.events == [("1", "open", 0.0)]
        assert now.ledger.at == "0"
        now.venue.hidden = {"1"}
        await asyncio.sleep(31.0)
        assert now.ledger.events[1:] == [("2", "filled", 10.0)]
        assert now.ledger.at == "1"
        assert len(await now.ledger.open_orders()) == 1
        await asyncio.sleep(account.DENIED_FOR)
        assert await now.ledger.open_orders() == []

    run(AccountInMemory(order("1")), story)


def test_events_beyond_the_bound_are_made_up_for_by_a_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are counted, and none is lost."""
    monkeypatch.setattr(account, "MOST_WAITING", 3)

    async def story(now: Telling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        for filled in range(1, 9):
            now.venue.orders["1"] = order("1", filled=filled)
            now.venue.listener.heard(now.venue.orders["1"])
        dropped = now.venue.listener.dropped
        assert dropped > 0
        assert numbers(now.desk.metrics()) == {("account_events_dropped_total",): dropped}
        await asyncio.sleep(1.0)
        assert now.ledger.events[-1] == ("1", "partially_filled", 8.0)

    run(AccountInMemory(order("1")), story, interval=10_000.0)


@pytest.mark.parametrize("error", [TransientError("silence"), RejectedError("no")])
def test_trouble_is_waited_out(error: Exception) -> None:
    """The next try tells it."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(60.0)
        assert now.ledger.events == [("1", "open", 0.0)]
        assert ("USDT", 1000.0) in now.ledger.balances
        assert now.stopped == []

    venue = AccountInMemory(order("1"))
    venue.faults = [error] * 9
    run(venue, story)


@pytest.mark.parametrize("where", ["stream", "rest"])
def test_a_refused_key_ends_it_and_it_says_so(where: str) -> None:
    """By the stream or by REST; the rest of the connector goes on."""

    async def story(now: Telling) -> None:
        await asyncio.sleep(1.0)
        refused = FeedStoppedError("Binance refused the key")
        if where == "stream":
            now.venue.stop_listening(refused)
        else:
            now.venue.faults.append(refused)
        await asyncio.sleep(60.0)
        assert now.stopped == ["Binance refused the key"]
        calls = len(now.venue.calls)
        await asyncio.sleep(600.0)
        assert len(now.venue.calls) == calls

    run(AccountInMemory(), story)
