"""Luno's user stream, frame by frame: which orders are asked for, what is doubted, what ends it."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from pydantic import SecretStr

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import AccountListener
from services._connector_kit.orders.commands.request_ports import VenueOpenOrder
from services._connector_kit.rate_limit import Priority
from services._connector_kit.venue_stats import SocketStats
from services.luno_connector.account import LISTED_FOR_MS, LunoAccount
from services.luno_connector.rest_orders import OrderRest
from services.luno_connector.settings import LunoSettings
from tests.support.eventually import eventually
from tests.support.orders.account import order
from tests.support.venues.listings import listing
from tests.support.virtual_time import LoopClock

XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)
ETH = Instrument("ETH/ZAR", "ETHZAR", "ETH", "ZAR", trading=True)


class Rest:
    """Luno's REST: it knows every order, until a fault is put in."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.with_their_fills: list[bool] = []
        self.canceled: list[str] = []
        self.completed: list[str] = []
        self.faults: list[Exception] = []
        self.found = order("BX1", symbol="XBT/ZAR")
        self.over: list[OrderStatusReport] = []
        self.listed: list[tuple[set[str], int]] = []

    async def report(
        self,
        *,
        order_id: str | None,
        client_order_id: str | None,
        priority: Priority = Priority.BALANCES,
        fills: bool = True,
    ) -> OrderStatusReport:
        """An order."""
        self.asked.append(order_id)
        self.with_their_fills.append(fills)
        if self.faults:
            raise self.faults.pop(0)
        return self.found if order_id is None else self.found._replace(order_id=order_id)

    async def with_fills(self, report: OrderStatusReport) -> OrderStatusReport:
        """A listed order."""
        self.completed.append(report.order_id)
        return report

    async def cancel(self, order_id: str) -> None:
        """Take its word for it."""
        self.canceled.append(order_id)

    async def closed(self, symbols: Collection[str], since: int) -> list[OrderStatusReport]:
        """The listing of closed orders."""
        self.listed.append((set(symbols), since))
        return [report for report in self.over if report.created >= since]


def account(rest: Rest) -> LunoAccount:
    """The account on that REST."""
    settings = LunoSettings.model_construct(
        luno_stream_url="ws://127.0.0.1",
        luno_api_key_id=SecretStr("key"),
        luno_api_secret_key=SecretStr("secret"),
    )
    listed = listing(XBT, others=[ETH])
    return LunoAccount(cast("OrderRest", rest), VenueClock(), settings, listed, SocketStats())


def status(order_id: str, market: str = "XBTZAR") -> dict[str, Any]:
    """An order changed."""
    update = {"order_id": order_id, "client_order_id": "", "market_id": market, "status": "PENDING"}
    return {"type": "order_status", "timestamp": 1, "order_status_update": update}


def fill(order_id: str) -> dict[str, Any]:
    """An order was filled."""
    update = {"order_id": order_id, "market_id": "XBTZAR", "base_fill": "1.0", "base_delta": "0.4"}
    return {"type": "order_fill", "timestamp": 1, "order_fill_update": update}


@asynccontextmanager
async def asking(luno: LunoAccount, listener: AccountListener) -> AsyncIterator[None]:
    """Changed orders are asked for while the block runs."""
    task = asyncio.create_task(luno._ask_for_changed(listener))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_order_that_changed_is_asked_for_once() -> None:
    """However many frames say so; one of another market isn't."""
    rest, listener = Rest(), AccountListener(AccountHealth(LoopClock()))
    luno = account(rest)
    for frame in (status("BX1"), fill("BX1"), status("BX2"), fill("BX1"), status("BX3", "DOGEZAR")):
        luno._on_text(json.dumps(frame).encode(), listener)
    async with asking(luno, listener):
        await eventually(lambda: listener.queue.qsize() == 2)
    assert rest.asked == ["BX1", "BX2"]


@pytest.mark.parametrize("error", [TransientError("silence"), RejectedError("no such order")])
async def test_an_order_that_cant_be_read_is_left_to_the_comparison(error: Exception) -> None:
    """The others are told."""
    rest, listener = Rest(), AccountListener(AccountHealth(LoopClock()))
    rest.faults = [error]
    luno = account(rest)
    for name in ("BX1", "BX2"):
        luno._on_text(json.dumps(status(name)).encode(), listener)
    async with asking(luno, listener):
        await eventually(lambda: listener.queue.qsize() == 1)
    assert listener.reconcile_requested.is_set()


def test_a_balance_that_moved_is_asked_for() -> None:
    """The frame has an account's number, not its asset."""
    listener = AccountListener(AccountHealth(LoopClock()))
    frame = {"type": "balance_update", "balance_update": {"account_id": 8, "balance": "1.0"}}
    account(Rest())._on_text(json.dumps(frame).encode(), listener)
    assert listener.balances_requested.is_set()
    assert not listener.reconcile_requested.is_set()


@pytest.mark.parametrize(
    "frame",
    [
        b"rubbish",
        b"[" * 100_000,
        b"\xff\xfe",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"type": "order_status", "order_status_update": null}',
        b'{"type": "order_fill", "order_fill_update": {"market_id": "XBTZAR"}}',
    ],
)
def test_a_frame_that_cant_be_read_is_counted_and_compared_for(frame: bytes) -> None:
    """What it said, the comparison finds out; the stream goes on."""
    listener = AccountListener(AccountHealth(LoopClock()))
    luno = account(Rest())
    luno._on_text(frame, listener)
    assert luno._bad_frames.count == 1
    assert listener.reconcile_requested.is_set()


def test_keep_alives_and_new_kinds_are_ignored() -> None:
    """Nothing follows from them."""
    listener = AccountListener(AccountHealth(LoopClock()))
    luno = account(Rest())
    for frame in (b'""', b'{"type": "something_new"}'):
        luno._on_text(frame, listener)
    assert luno._bad_frames.count == 0
    assert not listener.reconcile_requested.is_set()


def test_a_refusal_ends_the_stream() -> None:
    """A bad key for good, anything else until the next try."""
    for code, error in (
        ("invalid_credentials", FeedStoppedError),
        ("auth_timeout", TransientError),
    ):
        frame = {"error_code": code, "error": "no"}
        with pytest.raises(error):
            account(Rest())._on_text(
                json.dumps(frame).encode(), AccountListener(AccountHealth(LoopClock()))
            )


async def test_a_cancel_is_for_the_order_that_was_named() -> None:
    """Luno takes an id and nothing else: symbol and client id are looked at first."""
    rest = Rest()
    luno = account(rest)
    assert await luno.cancel("XBT/ZAR", order_id="BX7", client_order_id=None) == "BX7"
    assert await luno.cancel("XBT/ZAR", order_id=None, client_order_id="client-BX1") == "BX1"
    assert rest.canceled == ["BX7", "BX1"]
    for symbol, client_order_id in (("ETH/ZAR", None), ("XBT/ZAR", "another")):
        with pytest.raises(RejectedError):
            await luno.cancel(symbol, order_id="BX1", client_order_id=client_order_id)
    rest.found = order("BX1", "filled", 10, symbol="XBT/ZAR")
    with pytest.raises(RejectedError, match="nothing left"):
        await luno.cancel("XBT/ZAR", order_id="BX1", client_order_id=None)
    assert rest.canceled == ["BX7", "BX1"]
    assert not any(rest.with_their_fills)  # no cancel waits for them


async def test_an_order_of_a_symbol_that_is_listed_though_not_configured_is_served() -> None:
    """It is cancelled, heard of and asked for; a symbol that Luno never listed isn't."""
    rest, listener = Rest(), AccountListener(AccountHealth(LoopClock()))
    luno = account(rest)
    luno._on_text(json.dumps(status("BX1", "ETHZAR")).encode(), listener)
    assert luno._changed == {}
    assert not luno.knows("ETH/ZAR")
    rest.found = order("BX1", symbol="ETH/ZAR")
    assert await luno.cancel("ETH/ZAR", order_id="BX1", client_order_id=None) == "BX1"
    assert luno.knows("ETH/ZAR")
    luno._on_text(json.dumps(status("BX1", "ETHZAR")).encode(), listener)
    assert list(luno._changed) == ["BX1"]
    with pytest.raises(RejectedError, match="doesn't list 'DOGE/ZAR'"):
        await luno.report("DOGE/ZAR", order_id="BX1", client_order_id=None)


async def test_an_order_that_is_known_is_cancelled_by_one_request() -> None:
    """It isn't looked at before; and Luno has no request for all of a pair."""
    rest = Rest()
    await account(rest).stop(VenueOpenOrder("XBT/ZAR", "BX1", "ours"))
    assert not await account(rest).stop_all("XBT/ZAR")
    assert (rest.canceled, rest.asked) == (["BX1"], [])


async def test_what_became_of_cancelled_orders_is_asked_for_by_one_listing() -> None:
    """One that is older than a day by itself; none of them is asked for again for its frames."""
    rest, listener = Rest(), AccountListener(AccountHealth(LoopClock()))
    luno = account(rest)
    now = luno.milliseconds()
    young = [order(f"BX{n}", "canceled", symbol="XBT/ZAR", created=now - n) for n in range(3)]
    rest.over = [*young, order("BX9", "canceled", symbol="XBT/ZAR", created=now)]
    for name in ("BX1", "BX7"):
        luno._on_text(json.dumps(status(name)).encode(), listener)
    wanted = [VenueOpenOrder(r.symbol, r.order_id, None, r.created) for r in young]
    old = VenueOpenOrder("XBT/ZAR", "BX8", None, now - 2 * LISTED_FOR_MS)
    found = await luno.became([*wanted, old])
    assert {report.order_id for report in found} == {"BX0", "BX1", "BX2", "BX8"}
    assert rest.listed == [({"XBT/ZAR"}, now - 2)]
    assert rest.asked == ["BX8"]
    assert (rest.completed, rest.with_their_fills) == (["BX0", "BX1", "BX2"], [True])
    assert list(luno._changed) == ["BX7"]


async def test_an_order_that_luno_doesnt_show_is_left_out() -> None:
    """Its cancel was taken; the next comparison publishes it."""
    rest = Rest()
    rest.faults = [RejectedError("no such order")]
    assert await account(rest).became([VenueOpenOrder("XBT/ZAR", "BX1", None)]) == []
