"""The account's own fees: asked for again and again, in virtual time."""

import asyncio
from decimal import Decimal

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.fees import AFTER_FAILURE, BETWEEN, EVERY, Fees, keep_fees_fresh
from services._connector_kit.instruments import Instrument
from tests.support.virtual_time import run_virtually

SYMBOLS = ("BTC/USDT", "ETH/USDT")
LISTED = {s: Instrument(s, s.replace("/", ""), s[:3], s[4:], trading=True) for s in SYMBOLS}
CLOCK_KNOWN = 5.0
FEES = Fees(Decimal("0.0009"), Decimal("0.001"))


class Venue:
    """It tells the fees of each symbol, but of those with a fault."""

    def __init__(self, **faults: Exception) -> None:
        self.faults = faults
        self.asked: list[tuple[float, str]] = []

    async def fees(self, instrument: Instrument) -> Fees:
        """What the account pays."""
        self.asked.append((asyncio.get_running_loop().time() - CLOCK_KNOWN, instrument.base))
        if fault := self.faults.get(instrument.base):
            raise fault
        return FEES


async def fetch() -> int:
    """The exchange's time."""
    return 0


def told(venue: Venue, until: float) -> dict[str, Fees]:
    """What was told within so many seconds of the first question: the clock is measured first."""
    known: dict[str, Fees] = {}

    async def run() -> None:
        clock = VenueClock(lambda: 0)
        asking = asyncio.create_task(keep_fees_fresh(venue.fees, clock, LISTED, known.__setitem__))
        await asyncio.sleep(CLOCK_KNOWN)
        assert venue.asked == []
        await clock.measure(fetch)
        await asyncio.wait([asking], timeout=until)
        assert not asking.done()
        asking.cancel()

    run_virtually(run())
    return known


def test_each_symbol_is_asked_for_one_after_the_other_and_again_later() -> None:
    """Not all at once: market data has the same budget."""
    venue = Venue()
    assert told(venue, EVERY + 3 * BETWEEN) == dict.fromkeys(SYMBOLS, FEES)
    again = 2 * BETWEEN + EVERY
    first = [(0.0, "BTC"), (BETWEEN, "ETH")]
    assert venue.asked == [*first, (again, "BTC")]


def test_a_failed_fee_request_does_not_delay_other_symbols() -> None:
    """It is asked again soon, whether the exchange said no or nothing."""
    for fault in (TransientError("no answer"), RejectedError("no such pair")):
        venue = Venue(BTC=fault)
        assert told(venue, 2 * BETWEEN + AFTER_FAILURE + 0.1) == {"ETH/USDT": FEES}
        assert [base for _, base in venue.asked] == ["BTC", "ETH", "BTC"]
