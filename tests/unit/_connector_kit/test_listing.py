"""The listing is kept up to date, and the last one where the exchange doesn't say."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.listing import EVERY, keep_listed
from services._connector_kit.market_data.desk import MarketDesk
from services._connector_kit.orders.gate import LiveBook, OrderGate
from services._connector_kit.orders.wing import Trading
from services._connector_kit.traffic import Traffic
from services._connector_kit.world import World
from tests.support.limits import venue_limits
from tests.support.virtual_time import run_virtually

BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True)
ETH = Instrument("ETH/USDT", "ETHUSDT", "ETH", "USDT", trading=True)
COARSE = TradingRules(price=Range(Decimal("0.1")))


class Venue:
    """An exchange that lists what it is told to, or fails."""

    name = "venue"
    world: World = "simulator"

    def __init__(self) -> None:
        self.traffic = Traffic(venue_limits())
        self.listed: list[Instrument] = [BTC, ETH]
        self.fault: Exception | None = None
        self.asked: list[Sequence[str]] = []

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """What is listed."""
        self.asked.append(symbols)
        if self.fault:
            raise self.fault
        return self.listed

    async def stream_market_data(self, desks: Sequence[MarketDesk]) -> None:
        """Nothing is streamed here."""
        raise AssertionError(desks)

    def trading(
        self,
        instruments: Mapping[str, Instrument],
        gate: OrderGate,
        book: Callable[[str], LiveBook | None],
    ) -> Trading | None:
        """Nothing is traded here."""
        raise AssertionError(instruments, gate, book)


def kept(
    venue: Venue, looks: Callable[[dict[str, Instrument]], Coroutine[None, None, None]]
) -> None:
    """Keep BTC and ETH listed while *looks* runs, in virtual time."""

    async def run() -> None:
        instruments = {instrument.symbol: instrument for instrument in (BTC, ETH)}
        keeping = asyncio.create_task(keep_listed(venue, instruments))
        await looks(instruments)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    run_virtually(run())


async def a_while() -> None:
    """Until it was looked again, and the answer taken."""
    await asyncio.sleep(EVERY + 1)


def test_a_halted_symbol_is_seen_and_so_is_a_resumed_one() -> None:
    """Within minutes; the other symbols stay as they are."""
    venue = Venue()

    async def looks(instruments: dict[str, Instrument]) -> None:
        venue.listed = [replace(BTC, trading=False), ETH]
        await a_while()
        assert instruments == {"BTC/USDT": replace(BTC, trading=False), "ETH/USDT": ETH}
        venue.listed = [BTC, ETH]
        await a_while()
        assert instruments == {"BTC/USDT": BTC, "ETH/USDT": ETH}
        assert venue.asked == [["BTC/USDT", "ETH/USDT"]] * 2

    kept(venue, looks)


def test_rules_that_changed_are_taken_over_and_a_delisted_symbol_is_halted() -> None:
    """Its last rules stay; more symbols than were asked for are none of ours."""
    venue = Venue()

    async def looks(instruments: dict[str, Instrument]) -> None:
        other = Instrument("XRP/USDT", "XRPUSDT", "XRP", "USDT", trading=True)
        venue.listed = [other, replace(ETH, rules=COARSE)]
        await a_while()
        assert instruments == {
            "BTC/USDT": replace(BTC, trading=False),
            "ETH/USDT": replace(ETH, rules=COARSE),
        }

    kept(venue, looks)


@pytest.mark.parametrize(
    "fault", [TransientError("down"), RejectedError("no"), FeedStoppedError("bad key")]
)
def test_where_the_exchange_does_not_say_the_last_listing_stays(fault: Exception) -> None:
    """And it is asked again."""
    venue = Venue()

    async def looks(instruments: dict[str, Instrument]) -> None:
        venue.fault = fault
        await a_while()
        assert instruments == {"BTC/USDT": BTC, "ETH/USDT": ETH}
        venue.fault, venue.listed = None, [BTC, replace(ETH, trading=False)]
        await a_while()
        assert not instruments["ETH/USDT"].trading

    kept(venue, looks)
