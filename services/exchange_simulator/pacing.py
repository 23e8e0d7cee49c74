"""When the traders act: at a rate, or as fast as this process can."""

import asyncio
from collections.abc import Sequence
from itertools import cycle

from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.traders import Traders

# The event loop is given back this often, in seconds: clients are served in between.
TIME_SLICE = 0.002
# A wake-up costs more than an action: at low rates a few are done together.
MIN_SLEEP = 0.01
# Further behind than this, in seconds, what wasn't done in time is left out.
MAX_LAG = 1.0
TICK_INTERVAL = 0.1


async def drive(all_traders: Sequence[Traders], rate: float) -> None:
    """Let each crowd act *rate* times a second, in turn; 0 = as fast as it can."""
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
    """Send what the Binance streams send every 100 ms and every second."""
    now = asyncio.get_running_loop().time
    due = now()
    count = 0
    while True:
        for feed in feeds:
            feed.tick(second=count % 10 == 0)
        count += 1
        due = max(due + TICK_INTERVAL, now() - TICK_INTERVAL)
        await asyncio.sleep(max(due - now(), 0.0))
