"""What an exchange takes of the account's own fills: asked again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError
from services._connector_kit.instruments import Instrument
from services._runtime.supervise import TransientError, Trouble

# In seconds: rates change once a day at most, and a price is that of a fee, not of an order.
EVERY = 600.0
AFTER_FAILURE = 30.0
# Between two symbols: market data is asked for within the same budget.
BETWEEN = 1.0
# What is signed by a clock that isn't measured yet may be refused.
CLOCK_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Fees:
    """Shares of a fill; `prices`: what one of a third asset that pays is worth in the quote."""

    maker: Decimal
    taker: Decimal
    prices: Mapping[str, Decimal] = field(default_factory=dict)


# Raises what the kit's `errors` lists.
AskFees = Callable[[Instrument], Awaitable[Fees]]


async def keep_asking(
    ask: AskFees,
    clock: VenueClock,
    configured: Mapping[str, Instrument],
    tell: Callable[[str, Fees], None],
) -> None:
    """*tell* the fees of each symbol until cancelled; those that can't be had now stay as told."""
    trouble = Trouble("fees_not_known")
    while True:
        failed = False
        await clock.known(CLOCK_WITHIN)
        for symbol, instrument in list(configured.items()):
            try:
                tell(symbol, await ask(instrument))
            except (TransientError, RejectedError, FeedStoppedError) as e:
                failed = True
                trouble.seen(e, symbol=symbol)
            await asyncio.sleep(BETWEEN)
        if not failed:
            trouble.over()
        await asyncio.sleep(AFTER_FAILURE if failed else EVERY)
