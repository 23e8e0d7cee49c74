"""The account in virtual time: what the venue knows gets told, whatever the stream does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise, repeat
from typing import cast

import pytest
from structlog.testing import capture_logs

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account import (
    account_health,
    balance_publisher,
    missing_fills,
    reconciler,
)
from services._connector_kit.orders.account import venue as account_venue
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import Fill, OrderStatusReport, Status
from services._connector_kit.orders.account.published_balances import (
    PER_MILLISECOND,
    PublishedBalances,
)
from services._connector_kit.orders.account.reconciler import AccountReconciler
from services._connector_kit.orders.account.venue import Balance, PushedBalances
from services._connector_kit.orders.keys import OrderRef
from tests.support.metrics import numbers
from tests.support.orders.account import (
    NOW,
    AccountInMemory,
    BalancesInMemory,
    LedgerInMemory,
    order,
)
from tests.support.virtual_time import LoopClock, run_virtually

# A version after that of every snapshot.
NEXT = (NOW + 1) * PER_MILLISECOND


@dataclass
class Reconciling:
    """An account desk at work, and what it told."""

    venue: AccountInMemory
    reconciler: AccountReconciler
    ledger: LedgerInMemory
    balances: BalancesInMemory
    health: AccountHealth
    changes: list[str | None]


def code(health: AccountHealth) -> str | None:
    """Why new orders are refused."""
    return None if health.fault is None else health.fault.reason_code


@asynccontextmanager
async def reconciling(venue: AccountInMemory, interval: float) -> AsyncIterator[Reconciling]:
    """The desk at work while the block runs."""
    ledger = LedgerInMemory()
    balances = BalancesInMemory()
    health = AccountHealth(LoopClock())
    changes: list[str | None] = []
    codes = [code(health)]

    def on_change() -> None:
        if code(health) != codes[-1]:
            codes.append(code(health))
            changes.append(code(health))

    health.on_change = on_change
    reconciler = AccountReconciler(
        venue,
        cast("Ledger", ledger),
        cast("PublishedBalances", balances),
        LoopClock(),
        interval,
        health,
    )
    task = asyncio.create_task(reconciler.run())
    try:
        yield Reconciling(venue, reconciler, ledger, balances, health, changes)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(
    venue: AccountInMemory, story: Callable[[Reconciling], Awaitable[None]], interval: float = 30.0
) -> None:
    """Tell *story* in virtual time."""

    async def main() -> None:
        async with reconciling(venue, interval) as now:
            await story(now)

    run_virtually(main())


def test_the_venues_open_orders_and_balances_are_published_at_the_start() -> None:
    """Open orders and balances; told once, however often they are compared."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(100.0)
        assert now.ledger.events == [("1", "open", 0.0), ("2", "partially_filled", 3.0)]
        assert set(now.balances.published) == {("USDT", 1000.0)}

    run(AccountInMemory(order("1"), order("2", filled=3), order("3", "filled", 10)), story)


def test_the_comparison_finds_changes_that_the_stream_misses() -> None:
    """A fill, an end, and an order that came and went between two looks."""

    async def story(now: Reconciling) -> None:
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


def test_changes_from_the_stream_are_published_at_once() -> None:
    """And the comparison has nothing to add."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.orders["1"] = order("1", filled=4)
        now.venue.listener.received(order("1", filled=4))
        now.venue.listener.received(PushedBalances([Balance("BTC", Decimal(4), Decimal(0))], NEXT))
        await asyncio.sleep(0.01)
        assert now.ledger.events[-1] == ("1", "partially_filled", 4.0)
        assert ("BTC", 4.0) in now.balances.published
        await asyncio.sleep(60.0)
        assert len(now.ledger.events) == 2

    run(AccountInMemory(order("1")), story)


def test_a_connection_of_the_stream_brings_a_comparison() -> None:
    """Something may have been missed before it."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        now.venue.orders["1"] = order("1", filled=4)
        assert now.venue.listener is not None
        now.venue.listener.connected()
        await asyncio.sleep(0.01)
        assert now.ledger.events[-1] == ("1", "partially_filled", 4.0)

    run(AccountInMemory(order("1")), story, interval=10_000.0)


@pytest.mark.parametrize("interval", [1.0, 30.0, 45.0, 10_000.0])
@pytest.mark.parametrize("took", [0.0, 3.0])
def test_balances_are_published_at_least_once_a_minute(interval: float, took: float) -> None:
    """However rarely orders are compared, and however slow the venue answers."""

    async def story(now: Reconciling) -> None:
        times: list[float] = []
        for _ in range(600):
            before = len(times)
            await asyncio.sleep(1.0)
            found = len(now.balances.published)
            times += [asyncio.get_running_loop().time()] * (found - before)
        assert len(times) >= 10
        assert max(b - a for a, b in pairwise(times)) <= 60.0

    venue = AccountInMemory()
    venue.took = took
    run(venue, story, interval)


def test_balances_that_moved_are_asked_for_once_a_second_at_most() -> None:
    """However often the stream says so."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(5.0)
        asked = now.venue.calls.count("balances")
        assert now.venue.listener is not None
        now.venue.money = {"BTC": Decimal(1)}
        for _ in range(100):
            now.venue.listener.balances_changed()
            await asyncio.sleep(0.02)
        assert now.venue.calls.count("balances") - asked <= 4
        assert now.balances.published[-2:] == [("BTC", 1.0), ("USDT", 0.0)]

    run(AccountInMemory(), story, interval=10_000.0)


def test_an_event_that_redis_rejects_is_published_once_redis_recovers() -> None:
    """It isn't left to the next comparison."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        publish_complete, failures = (
            now.ledger.publish_complete,
            [TransientError("Redis is in trouble")],
        )

        async def failing_once(report: OrderStatusReport) -> bool:
            if failures:
                raise failures.pop()
            return await publish_complete(report)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(now.ledger, "publish_complete", failing_once)
            assert now.venue.listener is not None
            now.venue.orders["1"] = order("1", filled=4)
            now.venue.listener.received(order("1", filled=4))
            await asyncio.sleep(3.0)
        assert failures == []
        assert now.ledger.events[-1] == ("1", "partially_filled", 4.0)

    run(AccountInMemory(order("1")), story)


def test_an_order_that_an_earlier_run_saw_accepted_is_asked_for_at_the_start() -> None:
    """It is over by now: it is not among the open orders."""

    async def story(now: Reconciling) -> None:
        now.ledger.waiting = {OrderRef("BTC/USDT", "1"): "client-1"}
        await asyncio.sleep(5.0)
        assert now.ledger.events == [("1", "canceled", 0.0)]

    run(AccountInMemory(order("1", "canceled")), story)


def test_an_accepted_order_is_looked_at_a_second_later() -> None:
    """Where the stream was silent."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(5.0)
        now.venue.orders["1"] = order("1", "filled", 10)
        now.ledger.waiting[OrderRef("BTC/USDT", "1")] = "client-1"
        now.reconciler.order_accepted()
        await asyncio.sleep(1.1)
        assert now.ledger.events == [("1", "filled", 10.0)]
        assert now.ledger.waiting == {}

    run(AccountInMemory(), story, interval=10_000.0)


def test_an_order_that_the_venue_doesnt_show_is_asked_for_again() -> None:
    """For ten minutes: it may be slow; and what was traded before isn't passed over."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        now.venue.hidden = {"1", "2"}
        now.venue.orders["2"] = order("2", "filled", 10)
        now.venue.traded = ["2"]
        await asyncio.sleep(reconciler.LOST_AFTER - 35.0)
        assert now.ledger.events == [("1", "open", 0.0)]
        assert now.ledger.at == "0"
        now.venue.hidden = {"1"}
        await asyncio.sleep(31.0)
        assert now.ledger.events[1:] == [("2", "filled", 10.0)]
        assert now.ledger.at == "1"
        assert len(await now.ledger.open_orders()) == 1

    run(AccountInMemory(order("1")), story)


def test_an_open_order_that_the_venue_lost_gets_a_last_status() -> None:
    """Not before ten minutes of denials without a break; and should it show it then, it is open."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        now.venue.hidden = {"1"}
        await asyncio.sleep(reconciler.LOST_AFTER - 60.0)
        now.venue.hidden = set()
        await asyncio.sleep(60.0)
        now.venue.hidden = {"1"}
        await asyncio.sleep(reconciler.LOST_AFTER - 30.0)
        assert now.ledger.events == [("1", "open", 0.0)]
        await asyncio.sleep(90.0)
        last = now.ledger.statuses[-1]
        assert (last.status, last.venue_status) == ("expired", "LOST")
        assert (last.client_order_id, last.remaining_quantity) == ("client-1", 10.0)
        assert await now.ledger.open_orders() == []
        asked = now.venue.calls.count("report")
        await asyncio.sleep(600.0)
        assert now.venue.calls.count("report") == asked
        now.venue.hidden = set()
        await asyncio.sleep(60.0)
        assert now.ledger.events == [("1", "open", 0.0), ("1", "expired", 0.0), ("1", "open", 0.0)]

    run(AccountInMemory(order("1")), story)


def test_an_order_that_the_venue_archived_has_ended() -> None:
    """It says so: there is nothing to wait for."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        now.venue.archived = {"1"}
        await asyncio.sleep(31.0)
        last = now.ledger.statuses[-1]
        assert (last.status, last.venue_status) == ("expired", "ARCHIVED")
        assert await now.ledger.open_orders() == []

    run(AccountInMemory(order("1")), story)


def test_an_order_with_other_terms_than_were_published_is_asked_for() -> None:
    """Amended elsewhere, while the stream was silent; an older list changes nothing."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        now.venue.orders["1"] = order("1", quantity=Decimal(5), version=2)
        now.venue.orders["2"] = order("2", prevented=Decimal(4), version=2)
        now.venue.orders["3"] = order("3", quantity=Decimal(5), version=0)
        await asyncio.sleep(31.0)
        assert [(e.order_id, e.status, e.remaining_quantity) for e in now.ledger.statuses[3:]] == [
            ("1", "open", 5.0),
            ("2", "open", 6.0),
        ]
        asked = now.venue.calls.count("report")
        await asyncio.sleep(60.0)
        assert now.venue.calls.count("report") == asked

    run(AccountInMemory(*(order(i, version=1) for i in "123")), story)


def test_an_open_order_of_another_life_is_asked_for() -> None:
    """The venue was reset, and gave the id to another order."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        now.venue.orders["1"] = order("1", created=NOW + 60_000, client_order_id="b")
        asked = now.venue.calls.count("report")
        await asyncio.sleep(31.0)
        assert now.venue.calls.count("report") == asked + 1

    run(AccountInMemory(order("1", created=NOW, client_order_id="a")), story)


def fills(*numbers: int) -> tuple[Fill, ...]:
    """Fills of 1 at 100."""
    return tuple(Fill(str(n), NOW, Decimal(100), Decimal(1), "BNB", Decimal(1)) for n in numbers)


def filled(count: int, status: Status, *numbers: int) -> OrderStatusReport:
    """So many are filled, and these fills are shown."""
    return order("1", status, count, fee=None, fills=fills(*numbers))


def test_a_status_waits_for_fills_that_the_venue_shows_late() -> None:
    """It is published whole, some seconds later."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.orders["1"] = filled(10, "filled", 1, 2, 3)
        now.venue.listener.received(filled(10, "filled", 3))
        await asyncio.sleep(5.0)
        assert now.ledger.events == [("1", "open", 0.0)]
        now.venue.orders["1"] = filled(10, "filled", *range(10))
        await asyncio.sleep(2.0)
        (last,) = now.ledger.statuses[1:]
        assert (last.status, last.filled_quantity, last.fills_complete) == ("filled", 10.0, None)
        assert len(last.trades or ()) == 10
        asked = now.venue.calls.count("report")
        await asyncio.sleep(10.0)
        assert now.venue.calls.count("report") == asked

    run(AccountInMemory(order("1", fee=None)), story, interval=10_000.0)


def test_an_order_with_a_fee_of_its_own_is_published_before_its_fills() -> None:
    """They are asked for every second until they are there, and follow by themselves."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        own = {"fee": {"BTC": Decimal("0.01")}}
        whole = order("1", "filled", 10, **own, fills=fills(*range(10)))
        now.venue.orders["1"] = whole._replace(fills=fills(1, 2, 3))
        now.venue.listener.received(now.venue.orders["1"])
        await asyncio.sleep(0.5)
        first = now.ledger.statuses[-1]
        assert (first.status, first.filled_quantity, first.fee) == ("filled", 10.0, {"BTC": 0.01})
        assert (first.fills_complete, len(first.trades or ())) == (False, 3)
        await asyncio.sleep(4.0)
        now.venue.orders["1"] = whole
        await asyncio.sleep(2.0)
        last = now.ledger.statuses[-1]
        assert (last.fills_complete, len(last.trades or ())) == (None, 7)
        assert len(now.ledger.statuses) == 3
        asked = now.venue.calls.count("report")
        await asyncio.sleep(20.0)
        assert now.venue.calls.count("report") == asked

    run(AccountInMemory(order("1")), story, interval=10_000.0)


def test_fills_of_such_an_order_that_stay_away_are_asked_for_later() -> None:
    """Not every second for ever; the comparison finds them, for a day."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.orders["1"] = order("1", "filled", 10)
        now.venue.listener.received(now.venue.orders["1"])
        await asyncio.sleep(missing_fills.FILLS_TIMEOUT + 2.0)
        asked = now.venue.calls.count("report")
        await asyncio.sleep(60.0)
        assert now.venue.calls.count("report") <= asked + 3
        now.venue.orders["1"] = order("1", "filled", 10, fills=fills(*range(10)))
        await asyncio.sleep(31.0)
        assert now.ledger.statuses[-1].fills_complete is None
        assert sum(len(e.trades or ()) for e in now.ledger.statuses) == 10

    run(AccountInMemory(order("1")), story)


def test_a_status_whose_fills_stay_away_says_so_and_they_follow() -> None:
    """With the comparison that finds them, under the same status."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.orders["1"] = filled(10, "filled", 1, 2, 3)
        now.venue.listener.received(filled(9, "partially_filled", 2))
        now.venue.listener.received(filled(10, "filled", 3))
        await asyncio.sleep(missing_fills.FILLS_TIMEOUT + 2.0)
        first = now.ledger.statuses[1:]
        assert [e.fills_complete for e in first] == [False] * len(first)
        assert first[-1].status == "filled"
        assert {t.trade_id for e in first for t in e.trades or ()} == {"1", "2", "3"}
        now.venue.orders["1"] = filled(10, "filled", *range(10))
        await asyncio.sleep(31.0)
        last = now.ledger.statuses[-1]
        assert (last.status, last.fills_complete) == ("filled", None)
        assert len(last.trades or ()) == 7

    run(AccountInMemory(order("1", fee=None)), story)


@pytest.mark.parametrize("error", [TransientError("silence"), RejectedError("no")])
def test_a_held_status_is_published_though_the_venue_gives_no_answer(error: Exception) -> None:
    """With the fills that came with it."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.faults = [error] * 1000
        now.venue.listener.received(filled(10, "filled", 3))
        await asyncio.sleep(missing_fills.FILLS_TIMEOUT + 2.0)
        last = now.ledger.statuses[-1]
        assert (last.status, last.fills_complete) == ("filled", False)
        assert [t.trade_id for t in last.trades or ()] == ["3"]

    run(AccountInMemory(order("1", fee=None)), story, interval=10_000.0)


def test_a_venue_that_hangs_doesnt_keep_a_held_status_back() -> None:
    """Twice the time it may take, at most."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        now.venue.took = 10_000.0
        now.venue.listener.received(filled(10, "filled", 3))
        await asyncio.sleep(2 * missing_fills.FILLS_TIMEOUT)
        assert now.ledger.statuses[-1].fills_complete is False

    run(AccountInMemory(order("1", fee=None)), story, interval=10_000.0)


def test_events_beyond_the_bound_are_made_up_for_by_a_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are counted, and none is lost."""
    monkeypatch.setattr(account_venue, "QUEUE_SIZE", 3)

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(1.0)
        assert now.venue.listener is not None
        for filled in range(1, 9):
            now.venue.orders["1"] = order("1", filled=filled)
            now.venue.listener.received(now.venue.orders["1"])
        dropped = now.venue.listener.dropped
        assert dropped > 0
        assert numbers(now.reconciler.metrics()) == {("account_events_dropped_total",): dropped}
        await asyncio.sleep(1.0)
        assert now.ledger.events[-1] == ("1", "partially_filled", 8.0)

    run(AccountInMemory(order("1")), story, interval=10_000.0)


@pytest.mark.parametrize("error", [TransientError("silence"), RejectedError("no")])
def test_trouble_is_waited_out(error: Exception) -> None:
    """The next try tells it."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(60.0)
        assert now.ledger.events == [("1", "open", 0.0)]
        assert ("USDT", 1000.0) in now.balances.published
        assert now.changes[-1] is None

    venue = AccountInMemory(order("1"))
    venue.faults = [error] * 9
    run(venue, story)


@pytest.mark.parametrize("where", ["stream", "open_orders", "report", "balances"])
def test_a_refused_key_is_tried_again_every_half_minute(where: str) -> None:
    """By the stream or by REST: one stray refusal stops new orders until the next try, no more."""
    refused = FeedStoppedError("Binance refused the key")

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        assert code(now.health) is None
        now.venue.orders["1"] = order("1", filled=4)
        assert now.venue.listener is not None
        if where == "stream":
            now.venue.stop_listening(refused)
        else:
            now.venue.refuses[where] = refused
            now.venue.listener.balances_changed()
            now.venue.listener.missed()
        await asyncio.sleep(1.0)
        fault = now.health.fault
        assert fault is not None
        assert fault.reason_code == "key_refused"
        assert "Binance refused the key" in fault.message
        tries = now.venue.calls.count(where)
        await asyncio.sleep(28.0)
        assert now.health.fault is not None
        assert now.venue.calls.count(where) == tries
        now.venue.refuses.clear()
        await asyncio.sleep(3.0)
        assert code(now.health) is None
        assert now.ledger.events[-1] == ("1", "partially_filled", 4.0)
        connected_again = ["account_unavailable"] if where == "stream" else []
        assert now.changes == [None, "key_refused", *connected_again, None]

    run(AccountInMemory(order("1")), story)


def test_a_key_that_stays_refused_is_tried_for_ever_and_said_once() -> None:
    """And it is no longer the key once the venue is merely silent."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        now.venue.refuses["open_orders"] = FeedStoppedError("Binance refused the key")
        await asyncio.sleep(600.0)
        assert now.venue.calls.count("open_orders") >= 19
        assert now.changes == [None, "key_refused"]
        now.venue.refuses["open_orders"] = TransientError("silence")
        await asyncio.sleep(30.0)
        assert now.changes == [None, "key_refused", "account_unavailable"]

    run(AccountInMemory(), story)


def test_a_key_that_is_refused_to_an_order_stops_new_orders_for_half_a_minute() -> None:
    """One that may read, but not trade: only an order can tell, so the next one tries again."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        assert code(now.health) is None
        now.health.order_refused("Luno: ErrInsufficientPerms")
        await asyncio.sleep(20.0)
        now.health.order_refused("Luno: ErrInsufficientPerms")
        await asyncio.sleep(29.0)
        fault = now.health.fault
        assert fault is not None
        assert fault.reason_code == "key_refused"
        assert "ErrInsufficientPerms" in fault.message
        await asyncio.sleep(2.0)
        assert code(now.health) is None
        assert now.changes == [None, "key_refused", None]

    run(AccountInMemory(), story)


def test_a_fault_that_changes_its_reason_shows_the_latest_one() -> None:
    """At once, and no second error in the log."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        messages: list[str] = []

        def on_change() -> None:
            messages.append(now.health.fault.message if now.health.fault else "up")

        now.health.on_change = on_change
        with capture_logs() as logs:
            now.health.down("balances", "no answer")
            await asyncio.sleep(6.0)
            now.health.down("balances", "LUNO_ACCOUNTS names ZAR:1")
            await asyncio.sleep(1.0)
            now.health.up("balances")
            await asyncio.sleep(1.0)
        assert messages[0].endswith("balances: no answer")
        assert messages[1].endswith("balances: LUNO_ACCOUNTS names ZAR:1")
        assert messages[2:] == ["up"]
        said = [line["event"] for line in logs if line["event"].startswith("account_")]
        assert said == ["account_down", "account_up"]

    run(AccountInMemory(), story)


def test_no_order_leaves_before_the_account_was_connected_and_compared() -> None:
    """A comparison that began before the connection proves nothing."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(20.0)
        assert now.venue.calls.count("open_orders") == 1
        fault = now.health.fault
        assert fault is not None
        assert fault.reason_code == "account_unavailable"
        assert "stream" in fault.message
        assert "comparison" not in fault.message
        assert now.venue.listener is not None
        now.venue.took = 2.0
        now.venue.listener.connected()
        await asyncio.sleep(3.0)
        fault = now.health.fault
        assert fault is not None
        assert "comparison" in fault.message
        await asyncio.sleep(2.0)
        assert now.health.fault is None
        assert now.changes == [None]

    venue = AccountInMemory()
    venue.connects = False
    run(venue, story)


@pytest.mark.parametrize("what", ["stream", "open_orders", "balances"])
def test_a_short_outage_of_the_account_stops_no_order_and_a_long_one_does(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds are short; the change is said when they are over."""
    for module in (reconciler, balance_publisher):
        monkeypatch.setattr(module, "full_jitter", lambda: repeat(0.5))
    silence = TransientError("silence")

    def away(now: Reconciling) -> None:
        assert now.venue.listener is not None
        if what == "stream":
            now.venue.listener.disconnected("silence")
        else:
            now.venue.refuses[what] = silence
            now.venue.listener.missed()
            now.venue.listener.balances_changed()

    def back(now: Reconciling) -> None:
        assert now.venue.listener is not None
        now.venue.refuses.clear()
        now.venue.listener.connected()

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        away(now)
        # The waits between the tries add to what REST was silent.
        await asyncio.sleep(account_health.GRACE - 0.1 if what == "stream" else 1.9)
        assert now.changes == [None]
        back(now)
        await asyncio.sleep(30.0)
        assert now.changes == [None]
        away(now)
        await asyncio.sleep(account_health.GRACE + 0.1 + balance_publisher.MIN_INTERVAL)
        assert now.changes == [None, "account_unavailable"]
        assert now.health.fault is not None
        assert "silence" in now.health.fault.message
        back(now)
        await asyncio.sleep(10.0)
        assert now.changes == [None, "account_unavailable", None]

    run(AccountInMemory(), story)


def test_a_balance_asked_for_before_one_was_pushed_is_not_published_after_it() -> None:
    """The answer is dropped, and asked for again; what was requested is published."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        assert now.venue.listener is not None
        now.venue.took = 0.4
        requested = asyncio.create_task(now.reconciler.balances.request(["USDT"]))
        now.venue.listener.balances_changed()
        await asyncio.sleep(0.2)
        now.venue.money["USDT"] = Decimal(900)
        now.venue.listener.received(
            PushedBalances([Balance("USDT", Decimal(900), Decimal(0))], NEXT)
        )
        await requested
        await asyncio.sleep(5.0)
        messages = [amount for _, amount in now.balances.published]
        assert messages == [1000.0, 900.0, 900.0]

    run(AccountInMemory(), story, interval=10_000.0)


def test_a_comparison_that_began_before_the_connection_proves_nothing() -> None:
    """What was missed in between shows in the next one only."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        assert now.venue.listener is not None
        now.venue.listener.disconnected("gone")
        now.venue.took = 4.0  # a comparison asks twice
        now.venue.listener.missed()
        await asyncio.sleep(1.0)
        now.venue.listener.connected()
        await asyncio.sleep(8.0)
        assert code(now.health) == "account_unavailable"
        await asyncio.sleep(8.0)
        assert code(now.health) is None

    run(AccountInMemory(), story, interval=10_000.0)


def test_a_key_refused_while_an_accepted_order_is_polled_does_not_end_the_reconciler() -> None:
    """The comparison that follows finds it refused too, and later tells the order."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        now.venue.orders["1"] = order("1", filled=4)
        now.ledger.waiting[OrderRef("BTC/USDT", "1")] = "client-1"
        now.venue.refuses["report"] = FeedStoppedError("Binance refused the key")
        now.reconciler.order_accepted()
        await asyncio.sleep(2.0)
        assert code(now.health) == "key_refused"
        now.venue.refuses.clear()
        await asyncio.sleep(31.0)
        assert code(now.health) is None
        assert now.ledger.events == [("1", "partially_filled", 4.0)]

    run(AccountInMemory(), story, interval=10_000.0)


def test_an_outage_during_a_refusal_counts_from_the_refusal() -> None:
    """Five seconds from the first thing that failed."""

    async def story() -> None:
        health = AccountHealth(LoopClock())
        health.connected()
        health.up("comparison")
        await asyncio.sleep(100.0)
        health.refused("balances", "no")
        await asyncio.sleep(1.0)
        health.down("stream", "gone")
        health.up("balances")
        assert code(health) is None
        await asyncio.sleep(account_health.GRACE - 1.1)
        assert code(health) is None
        await asyncio.sleep(0.2)
        assert code(health) == "account_unavailable"

    run_virtually(story())


def test_a_push_that_may_be_old_is_not_published_and_the_venue_is_asked() -> None:
    """Its version is that of one that was published, or less."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        assert now.venue.listener is not None
        now.venue.listener.received(
            PushedBalances([Balance("USDT", Decimal(900), Decimal(0))], NEXT)
        )
        now.venue.listener.received(
            PushedBalances([Balance("USDT", Decimal(950), Decimal(0))], NEXT)
        )
        now.venue.money["USDT"] = Decimal(800)
        await asyncio.sleep(1.5)
        assert [amount for _, amount in now.balances.published] == [1000.0, 900.0, 800.0]

    run(AccountInMemory(), story, interval=10_000.0)


def test_an_answer_that_was_overtaken_is_asked_for_again() -> None:
    """What has changed since isn't left to the next minute."""

    async def story(now: Reconciling) -> None:
        await asyncio.sleep(10.0)
        assert now.venue.listener is not None
        now.venue.took = 0.4
        now.venue.listener.balances_changed()
        await asyncio.sleep(0.2)
        now.venue.listener.received(
            PushedBalances([Balance("USDT", Decimal(900), Decimal(0))], NEXT)
        )
        now.venue.money["USDT"] = Decimal(800)
        await asyncio.sleep(2.5)
        assert [amount for _, amount in now.balances.published] == [1000.0, 900.0, 800.0]

    run(AccountInMemory(), story, interval=10_000.0)
