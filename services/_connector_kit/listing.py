"""What an exchange lists, kept as it is now: symbols are halted, resumed, and get other rules."""

import asyncio
from dataclasses import replace

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.protocol import Exchange
from services._runtime.supervise import Trouble

log = structlog.get_logger()

# In between the exchange itself refuses what it no longer takes.
EVERY = 180.0


async def keep_listed(
    exchange: Exchange, instruments: dict[str, Instrument], *, every: float = EVERY
) -> None:
    """Keep *instruments* (by symbol) up to date in place; runs until cancelled.

    Where the exchange doesn't say, the last ones stay. One that it no longer lists isn't trading.
    """
    trouble = Trouble("listing_delayed")
    while True:
        await asyncio.sleep(every)
        try:
            found = await exchange.instruments(list(instruments))
        except (TransientError, RejectedError, FeedStoppedError) as e:
            trouble.seen(e)
            continue
        trouble.over()
        listed = {instrument.symbol: instrument for instrument in found}
        for symbol, known in instruments.items():
            now = listed.get(symbol) or replace(known, trading=False)
            if now != known:
                log.warning("instrument_changed", symbol=symbol, trading=now.trading)
                instruments[symbol] = now
