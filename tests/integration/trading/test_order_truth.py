"""An order is its symbol, its id and its life of the venue; and it is published with all its fills.

On Binance, whose ids are unique within their symbol only, and whose testnet begins anew.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, NO_LIMITS, TradingDesk, settled, told_fills
from tests.support.ports import quiet_port
from tests.support.venues.simulated import simulator

BTC, ETH = "BTC/USDT", "ETH/USDT"
FIRST_ID = 512_726_567
# The crowd stands still: no ids but the orders' own are given out.
QUIET = "0.001"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[TradingDesk]:
    """A Redis on Binance's side; simulators and connectors are up to the test."""
    server = RedisServer(tmp_path / "redis", quiet_port())
    await server.start()
    try:
        async with open_redis(server.url, "test") as redis:
            yield TradingDesk(MARKETS[0], redis, server.url, quiet_port(), tmp_path)
    finally:
        await server.stop()


@asynccontextmanager
async def venue(desk: TradingDesk, **settings: str) -> AsyncIterator[None]:
    """One life of the venue: what it knew in another, it has forgotten."""
    symbols = ",".join(desk.market.venue.symbols)
    chosen = {
        "SIMULATOR_SYMBOLS": symbols,
        "SIMULATOR_RATE": QUIET,
        "SIMULATOR_FIRST_ID": str(FIRST_ID),
        **settings,
    }
    async with simulator(desk.simulator_port, desk.folder, **chosen):
        yield


async def placed(desk: TradingDesk, client_order_id: str, symbol: str, **fields: Any) -> int:
    """Place an order; its id at the venue."""
    await desk.order(client_order_id=client_order_id, symbol=symbol, **fields)
    answer = await desk.response(client_order_id)
    assert answer.status == "accepted", answer
    return int(answer.order_id or 0)


async def test_equal_order_ids_on_two_symbols_are_two_orders(desk: TradingDesk) -> None:
    """Each is published under its own client order id, with its own fills."""
    async with venue(desk), desk.connector():
        rests: dict[str, Any] = {"quantity": 0.1, "price": await desk.far_below(ETH)}
        ids = {
            BTC: await placed(desk, "btc-0", BTC),
            ETH: await placed(desk, "eth-0", ETH, **rests),
        }
        names = {BTC: "btc-0", ETH: "eth-0"}
        for number in range(1, 50):
            if ids[BTC] == ids[ETH]:
                break
            behind = min(ids, key=lambda symbol: ids[symbol])
            names[behind] = f"{behind[:3].lower()}-{number}"
            terms = rests if behind == ETH else {}
            ids[behind] = await placed(desk, names[behind], behind, **terms)
        assert ids[BTC] == ids[ETH]
        filled = await desk.status(names[BTC], "filled")
        opened = await desk.status(names[ETH], "open")
        assert (filled.symbol, opened.symbol) == (BTC, ETH)
        assert filled.order_id == opened.order_id == str(ids[ETH])
        assert opened.remaining_quantity == 0.1
        before = await desk.statuses(names[BTC])
        await desk.move_market(rests["price"] * 0.9, ETH)
        await desk.status(names[ETH], "filled")
        await settled(desk, names[ETH])
        assert {e.symbol for e in await desk.statuses(names[ETH])} == {ETH}
        assert await desk.statuses(names[BTC]) == before


async def test_ids_that_start_again_are_other_orders(desk: TradingDesk) -> None:
    """After a reset: the old ones are over, and the new ones have their own names and fills."""
    async with AsyncExitStack() as stack:
        async with venue(desk):
            await stack.enter_async_context(desk.connector(RECONCILE_INTERVAL="2"))
            old = {
                "a0": await placed(desk, "a0", BTC),
                "a1": await placed(desk, "a1", BTC, price=await desk.far_below()),
            }
            await desk.status("a0", "filled")
            await desk.status("a1", "open")
        async with venue(desk):
            await desk.reconnected()
            new = {
                "b0": await placed(desk, "b0", BTC),
                "b1": await placed(desk, "b1", BTC, price=await desk.far_below()),
            }
            assert list(new.values()) == list(old.values())
            await desk.status("b0", "filled")
            await settled(desk, "b0")
            await desk.status("b1", "open")
            last = await desk.status("a1", "expired")
            assert (last.venue_status, last.filled_quantity) == ("LOST", 0.0)
            assert (await desk.statuses("a0"))[-1].status == "filled"
            assert told_fills(await desk.statuses("a0")) == 0.002


async def test_a_fill_elsewhere_is_found_after_a_reset_though_the_stream_is_silent(
    desk: TradingDesk,
) -> None:
    """Its trade id lies far below the last one that was looked at."""
    async with AsyncExitStack() as stack:
        async with venue(desk, SIMULATOR_FIRST_ID="5000000"):
            await stack.enter_async_context(desk.connector(RECONCILE_INTERVAL="2"))
            await placed(desk, "a0", BTC)
            await desk.status("a0", "filled")

            async def marked() -> bool:
                mark = await desk.redis.get(f"{desk.name}:state:trades_mark")
                return b"5000" in (mark or b"")

            await eventually_async(marked)
        async with venue(desk, SIMULATOR_FIRST_ID="1000"):
            silent: dict[str, Any] = {"endpoint": "user_stream", "action": "drop", "count": None}
            await desk.reconnected()
            await desk.fault("", **silent)
            await desk.place_elsewhere("elsewhere", await desk.marketable())
            found = await desk.status("elsewhere", "filled")
            assert found.external
            await settled(desk, "elsewhere")


async def test_an_order_with_more_fills_than_a_page_has_is_published_with_all(
    desk: TradingDesk,
) -> None:
    """More than a thousand; the stream is silent, so that they are fetched."""
    async with (
        venue(desk, SIMULATOR_BOOK_ORDERS="3000", SIMULATOR_FUNDS="USDT:1000000000"),
        desk.connector(
            RECONCILE_INTERVAL="2",
            RISK_MAX_NOTIONAL="USDT:100000000",
            RISK_MAX_QUANTITY="ETH:1000",
            **NO_LIMITS,
        ),
    ):
        await desk.fault("", endpoint="user_stream", action="drop", count=None)
        price = desk.on_tick((await desk.book(ETH)).asks[0].price * 1.05)
        await desk.order(
            client_order_id="big", symbol=ETH, quantity=600.0, price=price, time_in_force="IOC"
        )
        answer = await desk.response("big")
        assert answer.status == "accepted", answer
        await desk.status("big", "filled", "expired")
        (order,) = await desk.at_venue("big")
        assert len(order["fills"]) > 1000
        events = await desk.statuses("big")
        trades = [trade for event in events for trade in event.trades or ()]
        assert sorted(t.trade_id or "" for t in trades) == sorted(
            str(fill["trade_id"]) for fill in order["fills"]
        )
        assert told_fills(events) == pytest.approx(float(order["filled_quantity"]))
        assert all(event.fills_complete is None for event in events)


async def test_a_status_waits_for_fills_that_the_venue_shows_late(desk: TradingDesk) -> None:
    """And is published once, with them; what they pay as well."""
    async with venue(desk), desk.connector(RECONCILE_INTERVAL="2"):
        await desk.fault("", endpoint="user_stream", action="drop", count=None)
        await desk.fault("late", fills_late_ms=4000)
        await placed(desk, "late", BTC)
        await desk.status("late", "filled")
        (event,) = await desk.statuses("late")
        assert event.fills_complete is None
        assert told_fills([event]) == event.filled_quantity == 0.002
        assert event.fee


async def test_fills_that_stay_away_are_said_to_be_missing_and_follow(desk: TradingDesk) -> None:
    """The status doesn't wait for ever."""
    async with venue(desk), desk.connector(RECONCILE_INTERVAL="2"):
        await desk.fault("", endpoint="user_stream", action="drop", count=None)
        await desk.fault("late", fills_late_ms=15_000)
        await placed(desk, "late", BTC)
        first = await desk.status("late", "filled")
        assert (first.fills_complete, first.trades) == (False, None)
        await settled(desk, "late")
        assert [e.fills_complete for e in await desk.statuses("late")] == [False, None]


@pytest.mark.parametrize("silent", [False, True], ids=["told", "compared"])
async def test_an_order_amended_elsewhere_is_published_with_what_remains(
    desk: TradingDesk, *, silent: bool
) -> None:
    """Under our client order id, whatever Binance calls it since; then filled with that much."""
    async with venue(desk), desk.connector(RECONCILE_INTERVAL="2"):
        price = await desk.far_below()
        order_id = await placed(desk, "mine", BTC, price=price, quantity=0.004)
        await desk.status("mine", "open")
        if silent:
            await desk.fault("", endpoint="user_stream", action="drop", count=None)
        await desk.amend_elsewhere(str(order_id), 0.001)

        async def amended() -> bool:
            return (await desk.statuses("mine"))[-1].remaining_quantity == 0.001

        await eventually_async(amended)
        await desk.move_market(price * 0.9)
        filled = await desk.status("mine", "filled")
        assert (filled.filled_quantity, filled.remaining_quantity) == (0.001, 0.0)
        await settled(desk, "mine")
        events = await desk.events("order_status")
        assert {(e.client_order_id, e.external) for e in events} == {("mine", False)}
