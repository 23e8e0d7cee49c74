"""Halting while a bot floods a connector with cancels of ids that nobody knows."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.tradectl.hand import TRADECTL, Ended, ended, started
from tests.support.eventually import eventually_async
from tests.support.trading import MARKETS, Market, TradingDesk, trading_desk
from tests.support.venues import LUNO

pytestmark = pytest.mark.timeout(360)

FAST = {"RISK_ORDERS_PER_MINUTE": "100000", "ORDER_COMMAND_MAX_AGE": "120"}
# From the halt command to the last cancelled order, in seconds; tradectl's start is among them.
WITHIN = 8.0


async def open_at_venue(desk: TradingDesk) -> int:
    """How many orders are open, by the venue's own truth."""
    return sum(order["state"] == "open" for order in (await desk.ledger())["orders"])


async def place_many(desk: TradingDesk, number: int) -> list[str]:
    """Orders that rest, once all of them are published as open."""
    price = await desk.far_below()
    ids = [await desk.order(price=price) for _ in range(number)]

    async def all_open() -> bool:
        told = {event.client_order_id for event in await desk.events("order_status")}
        return set(ids) <= told

    await eventually_async(all_open, within=200.0)
    return ids


async def flood(desk: TradingDesk, number: int) -> None:
    """Cancels of ids that were never used, as fast as Redis takes them."""
    redis: Any = desk.redis
    stream = f"{desk.name}:commands:cancel_order"
    pipeline = redis.pipeline(transaction=False)
    for _ in range(number):
        cancel = {"symbol": desk.market.symbol, "client_order_id": uuid4().hex}
        pipeline.xadd(stream, {"data": json.dumps(cancel)})
    await pipeline.execute()


async def halted(desk: TradingDesk, tmp_path: Path) -> tuple[Ended, float]:
    """Have tradectl halt: how it ended, and after how many seconds no order was open any more."""
    began = time.monotonic()
    async with started(tmp_path, desk.redis_url, *TRADECTL, "halt", "flooded") as process:

        async def none_open() -> bool:
            return await open_at_venue(desk) == 0

        await eventually_async(none_open, within=120.0)
        took = time.monotonic() - began
        return await ended(process), took


@pytest.mark.parametrize("number", [150, 3000])
@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)
async def test_a_flood_of_unknown_cancels_delays_no_halt(
    tmp_path: Path, market: Market, number: int
) -> None:
    """All orders are cancelled within seconds, each is published so, and the operator is told."""
    async with trading_desk(market, tmp_path, **FAST) as desk, desk.connector():
        orders = await place_many(desk, 14)
        await flood(desk, number)
        end, took = await halted(desk, tmp_path)
        assert (end.code, took < WITHIN) == (0, True), (took, end)
        for order in orders:
            assert [event.status for event in await desk.statuses(order)] == ["open", "canceled"]


@pytest.mark.parametrize(
    ("market", "within"),
    [(MARKETS[0], WITHIN), (MARKETS[1], 60.0)],
    ids=lambda value: value.venue.name if isinstance(value, Market) else "",
)
async def test_many_orders_are_cancelled_as_fast_as_the_venue_allows(
    tmp_path: Path, market: Market, within: float
) -> None:
    """Binance: by one request. Luno: 60 calls at once, and 150 a minute, of which it is told."""
    async with trading_desk(market, tmp_path, **FAST) as desk, desk.connector():
        await place_many(desk, 150)
        end, took = await halted(desk, tmp_path)
        assert (end.code, took < within) == (0, True), (took, end)
        told = [event for event in await desk.events("order_status") if event.status == "canceled"]
        assert len(told) == 150
        if market.venue is LUNO:
            assert "of 150 done, about" in end.err
