"""Halting while a bot floods a connector with cancels of ids that nobody knows."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from tests.integration.tradectl.hand import TRADECTL, Ended, ended, started
from tests.integration.trading.flood import pour, unknown_cancels
from tests.support.attempts import Attempts
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.halt import open_at_venue
from tests.support.orders.trading import MARKETS, NO_LIMITS, Market, TradingDesk, trading_desk
from tests.support.venues.simulated import LUNO

pytestmark = pytest.mark.timeout(360)

# From the halt command to the last cancelled order, in seconds; tradectl's start is among them.
WITHIN = 8.0
# At which a buy rests.
PRICES = {"binance": 30_000.0, "luno": 600_000.0}


async def place_many(desk: TradingDesk, number: int) -> list[str]:
    """Orders that rest, once all of them are published as open."""
    price = await desk.far_below()
    ids = [await desk.order(price=price) for _ in range(number)]
    await published(desk, "open", number)
    return ids


async def published(desk: TradingDesk, status: str, number: int) -> None:
    """Wait until that many orders have been published with that status."""

    async def there() -> bool:
        events = await desk.events("order_status")
        return len({event.order_id for event in events if event.status == status}) >= number

    await eventually_async(there, within=60.0)


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
    tmp_path: Path, market: Market, number: int, attempt: Attempts
) -> None:
    """All orders are cancelled within seconds, each is published so, and the operator is told."""
    async with trading_desk(market, tmp_path, **NO_LIMITS) as desk, desk.connector():
        orders = await place_many(desk, 14)
        cancels = f"{desk.name}:commands:cancel_order"
        await pour(desk.redis, cancels, unknown_cancels(desk, number))
        end, took = await halted(desk, tmp_path)
        assert (end.code, took < WITHIN) == (0, True), (took, end)
        attempt("bot", f"delay a halt by {number} cancels of unknown ids", took >= WITHIN)
        for order in orders:
            assert [event.status for event in await desk.statuses(order)] == ["open", "canceled"]


async def place_many_elsewhere(desk: TradingDesk, number: int) -> None:
    """Orders that rest, before a connector is there, in a minute of their own."""
    price = PRICES[desk.market.venue.exchange]
    for first in range(0, number, 10):
        batch = range(first, min(first + 10, number))
        await asyncio.gather(*(desk.place_elsewhere(f"elsewhere-{i}", price) for i in batch))
        if first == 80:  # Binance takes 100 in ten seconds
            await next_interval(10.0)
    assert await open_at_venue(desk) == number
    await next_interval(60.0)


async def next_interval(seconds: float) -> None:
    """Wait until the venue's next interval of its limits begins."""
    now = time.time() // seconds
    await eventually(lambda: time.time() // seconds > now, within=seconds + 10.0)


@pytest.mark.parametrize(
    ("market", "within"),
    [(MARKETS[0], WITHIN), (MARKETS[1], 75.0)],
    ids=lambda value: value.venue.name if isinstance(value, Market) else "",
)
async def test_many_orders_are_cancelled_as_fast_as_the_venue_allows(
    tmp_path: Path, market: Market, within: float
) -> None:
    """Binance: by one request. Luno: 60 calls at once at least, then 150 a minute."""
    async with trading_desk(market, tmp_path, **NO_LIMITS) as desk:
        await place_many_elsewhere(desk, 150)
        async with desk.connector():
            if market.venue is not LUNO:
                await published(desk, "open", 150)
            end, took = await halted(desk, tmp_path)
            assert (end.code, took < within) == (0, True), (took, end)
            await published(desk, "canceled", 150)
        if market.venue is LUNO:
            assert re.search(r"\d+ of 150 done, about \d+ s left", end.err), end.err
