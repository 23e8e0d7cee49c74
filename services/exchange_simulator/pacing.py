"""Scheduling of the traders: at a fixed rate, or as fast as the process can."""

import asyncio
from collections.abc import Sequence
from itertools import cycle

from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.traders import Traders

# The longest run of actions in seconds; between runs the event loop serves clients.
TIME_SLICE = 0.002
# A wake-up costs more than an action: at low rates several actions share one. Seconds.
MIN_SLEEP = 0.01
# Actions that are further behind than this are skipped. Seconds.
MAX_LAG = 1.0
TICK_INTERVAL = 0.1


async def drive(all_traders: Sequence[Traders], rate: float) -> None:
    """Let the traders of each market act *rate* times a second; 0 = as fast as possible."""
    now = asyncio.get_running_loop().time
    turns = cycle(all_traders)
    interval = 1 / (rate * len(all_traders)) if rate else 0.0
    due = now()
    while True:
        started = now()
        due = max(due, started - MAX_LAG) if rate else started
        while due <= started and now() - started < TIME_SLICE:
            next(turns).act()
            due += interval
        ahead = due - now()
        await asyncio.sleep(max(ahead, MIN_SLEEP) if rate and ahead > 0 else 0.0)


async def tick(feeds: Sequence[BinanceFeed]) -> None:
    """Publish the Binance streams that are due every 100 ms and every second."""
    now = asyncio.get_running_loop().time
    due = now()
    count = 0
    while True:
        for feed in feeds:
            feed.tick(second=count % 10 == 0)
        count += 1
        due = max(due + TICK_INTERVAL, now() - TICK_INTERVAL)
        await asyncio.sleep(max(due - now(), 0.0))
