"""The fees that an account pays: fetched from the exchange again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError
from services._connector_kit.instruments import Instrument
from services._runtime.supervise import FailureLog, TransientError

# In seconds: rates change once a day at most, and a price is that of a fee, not of an order.
EVERY = 600.0
AFTER_FAILURE = 30.0
# Between two symbols: market data shares the rate limit.
BETWEEN = 1.0
# What is signed by a clock that isn't measured yet may be refused.
CLOCK_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Fees:
    """Rates, as shares of a fill; `prices`: of third assets that may pay, in the quote asset."""

    maker: Decimal
    taker: Decimal
    prices: Mapping[str, Decimal] = field(default_factory=dict)


# Raises what the kit's `errors` lists.
FetchFees = Callable[[Instrument], Awaitable[Fees]]


async def keep_fees_fresh(
    fetch: FetchFees,
    clock: VenueClock,
    configured: Mapping[str, Instrument],
    publish: Callable[[str, Fees], None],
) -> None:
    """*publish* the fees of each symbol until cancelled; those that can't be fetched stay."""
    failures = FailureLog("fees_not_known")
    while True:
        failed = False
        await clock.known(CLOCK_WITHIN)
        for symbol, instrument in list(configured.items()):
            try:
                publish(symbol, await fetch(instrument))
            except (TransientError, RejectedError, FeedStoppedError) as e:
                failed = True
                failures.seen(e, symbol=symbol)
            await asyncio.sleep(BETWEEN)
        if not failed:
            failures.over()
        await asyncio.sleep(AFTER_FAILURE if failed else EVERY)
