"""A real connector at a venue that bans it, or takes no more of its account's orders."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services._connector_kit.orders.commands.request_ports import GIVE_UP_AFTER
from tests.support.eventually import eventually, eventually_async
from tests.support.metrics import page
from tests.support.orders.trading import MARKETS, Market, TradingDesk, trading_desk
from tests.support.venues.simulated import LUNO

pytestmark = pytest.mark.timeout(180)

# What a connector does anyway it does often here: in any two seconds something would be asked.
BUSY = {"RECONCILE_INTERVAL": "1", "BOOK_AUDIT_INTERVAL": "1"}
ENDPOINTS = {
    "binance": (
        *("place", "cancel", "query", "open_orders", "orders", "trades", "balances"),
        *("permissions", "connect", "subscribe", "time", "market_data"),
    ),
    "luno": (
        *("place", "cancel", "query", "open_orders", "trades", "balances"),
        *("connect", "market_data"),
    ),
}
BAN = 6  # seconds
# What was on its way when the venue said no still arrives.
UNDER_WAY = 1.0

Act = Callable[[TradingDesk], Awaitable[Any]]


async def ask_for_balances(desk: TradingDesk) -> None:
    """Have the connector ask the venue, and wait for no answer."""
    content = {"client_request_id": uuid4().hex, "exchange": desk.market.venue.exchange}
    await desk.send("request_balance", content)


async def lose_the_account_stream(desk: TradingDesk) -> None:
    """Have the connector connect again."""
    await desk.end_sessions("user_stream")


async def place(desk: TradingDesk) -> None:
    """Have the connector place an order."""
    await desk.order(price=await desk.far_below())


# How a connector is made to ask for each.
ACTS: Mapping[str, Act] = {
    "connect": lose_the_account_stream,
    "subscribe": lose_the_account_stream,
    "balances": ask_for_balances,
    "place": place,
}


@pytest.mark.parametrize(
    ("market", "endpoint", "status"),
    [
        (MARKETS[0], "connect", 429),
        (MARKETS[0], "subscribe", 418),
        (MARKETS[0], "subscribe", 429),
        (MARKETS[0], "balances", 418),
        (MARKETS[0], "place", 429),
        (MARKETS[1], "connect", 429),
        (MARKETS[1], "balances", 429),
        (MARKETS[1], "place", 429),
    ],
    ids=lambda value: value.venue.name if isinstance(value, Market) else str(value),
)
async def test_in_a_ban_nothing_is_asked_and_no_socket_is_opened(
    tmp_path: Path, market: Market, endpoint: str, status: int
) -> None:
    """Wherever the ban was met, it holds for all of the venue, for as long as the venue said."""
    async with trading_desk(market, tmp_path, **BUSY) as desk, desk.connector():
        refused = {"execute": "never", "answer": "error", "status": status, "retry_after": BAN}
        ban = await desk.fault("", endpoint=endpoint, **refused)
        # These change nothing: they count what arrives.
        for each in ENDPOINTS[market.venue.exchange]:
            await desk.fault("", endpoint=each, count=None)
        await ACTS[endpoint](desk)

        async def banned() -> bool:
            return (await desk.struck())[ban] == 1

        await eventually_async(banned)
        began = time.monotonic()
        for stream in ("market_stream", "user_stream"):
            await desk.end_sessions(stream)
        before = 0

        async def asked_again() -> bool:
            nonlocal before
            arrived = sum((await desk.struck()).values())
            if time.monotonic() - began < UNDER_WAY:
                before = arrived
            return arrived > before

        await eventually_async(asked_again)
        assert time.monotonic() - began > BAN - UNDER_WAY

        async def works_again() -> bool:
            order = await desk.order(price=await desk.far_below())
            return bool((await desk.response(order)).status == "accepted")

        await eventually_async(works_again, within=40.0)  # once the book is in sync


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)
async def test_on_a_new_redis_an_order_is_answered_during_a_ban(
    tmp_path: Path, market: Market
) -> None:
    """Nobody can look whether the venue has it already: `unknown` within its maximum age.

    It isn't sent, now or later.
    """
    async with trading_desk(market, tmp_path) as desk, desk.connector():
        price = await desk.far_below()
        status = 429 if market.venue is LUNO else 418
        refused = {"execute": "never", "answer": "error", "status": status, "retry_after": 600}
        ban = await desk.fault("", endpoint="balances", **refused)
        await ask_for_balances(desk)

        async def banned() -> bool:
            return (await desk.struck())[ban] == 1

        await eventually_async(banned)
        given = time.monotonic()
        order = await desk.order(price=price)

        async def answered() -> bool:
            return bool(await desk.responses(order))

        await eventually_async(answered, within=30.0)
        assert (
            time.monotonic() - given < 15.0
        )  # its maximum age, 10 s, and what a busy machine needs
        (answer,) = await desk.responses(order)
        assert (answer.status, answer.order_id) == ("unknown", None)
        assert "bans this address" in (answer.error_message or "")
        assert await desk.arrivals(order) == 0


async def use_up_the_orders_elsewhere(desk: TradingDesk, price: float) -> None:
    """Place orders past the connector until the account may place no more for ten seconds."""
    await eventually(lambda: time.time() % 10.0 < 1.0)  # most of the interval is still to come
    refused: list[BaseException] = []
    while not refused:
        orders = (desk.place_elsewhere(uuid4().hex, price) for _ in range(60))
        results = await asyncio.gather(*orders, return_exceptions=True)
        refused = [result for result in results if result is not None]
    assert {getattr(error, "code", error) for error in refused} == {-1015}


async def waits(desk: TradingDesk) -> Mapping[str, float]:
    """How long the connector waits for what, by its metrics."""
    found = await page(desk.health_port)
    names = ("new_orders_wait_seconds", "venue_ban_seconds")
    return {name: found[name,] for name in names}


async def test_the_accounts_limit_of_orders_holds_new_orders_only(tmp_path: Path) -> None:
    """Another client used it up: a cancel, a query and balances are answered meanwhile.

    The order that ran into it is rejected; the next waits until the ten seconds are over.
    """
    settings = {"ORDER_COMMAND_MAX_AGE": "20", "RISK_ORDERS_PER_MINUTE": "100000"}
    async with trading_desk(MARKETS[0], tmp_path, **settings) as desk, desk.connector():
        price = await desk.far_below()
        resting = await desk.order(price=price)
        await desk.status(resting, "open")
        await use_up_the_orders_elsewhere(desk, price)
        answer = await desk.response(await desk.order(price=price))
        assert (answer.status, answer.reason_code) == ("rejected", "rate_limited")
        assert "-1015" in (answer.error_message or "")
        waiting = await waits(desk)
        assert 0.0 < waiting["new_orders_wait_seconds"] < 11.0
        assert waiting["venue_ban_seconds"] == 0.0
        began = time.monotonic()
        following = await desk.order(price=price)
        ours = {"symbol": desk.market.symbol, "client_order_id": resting}
        answers = await asyncio.gather(
            desk.request("query_order", **ours),
            desk.request("request_balance", exchange="binance"),
            desk.request("cancel_order", **ours),
        )
        assert [answer.status for answer in answers] == ["done"] * 3
        assert time.monotonic() - began < 20.0 < GIVE_UP_AFTER
        assert (await desk.response(following)).status == "accepted"
        assert await desk.arrivals(following) == 1
