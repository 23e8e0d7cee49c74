"""What is listed: kept up to date, and looked up where the settings don't name it."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument, MarketStatus, Range, TradingRules
from services._connector_kit.listing import EVERY, Listing, UnlistedError
from tests.support.virtual_time import run_virtually

BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True)
ETH = Instrument("ETH/USDT", "ETHUSDT", "ETH", "USDT", trading=True)
XRP = Instrument("XRP/USDT", "XRPUSDT", "XRP", "USDT", trading=True)
SOL = Instrument("SOL/USDT", "SOLUSDT", "SOL", "USDT", trading=True)
COARSE = TradingRules(price=Range(Decimal("0.1")))


class Venue:
    """An exchange that lists what it is told to, or fails; BTC and ETH are configured."""

    def __init__(self) -> None:
        self.listed: list[Instrument] = [BTC, ETH]
        self.fault: Exception | None = None
        self.asked: list[list[str]] = []
        self.in_use: set[str] = set()
        self.in_use_fault: Exception | None = None
        self.listing = Listing(self.instruments, [BTC, ETH])

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """Those asked for; where one isn't listed, all."""
        self.asked.append(list(symbols))
        if self.fault:
            raise self.fault
        found = [i for i in self.listed if i.symbol in symbols]
        return found if len(found) == len(symbols) else self.listed

    async def symbols_in_use(self) -> Collection[str]:
        """The symbols of the orders that aren't over."""
        if self.in_use_fault:
            raise self.in_use_fault
        return self.in_use


def kept(venue: Venue, looks: Callable[[], Coroutine[None, None, None]]) -> None:
    """Keep the listing fresh while *looks* runs, in virtual time."""

    async def run() -> None:
        keeping = asyncio.create_task(venue.listing.keep_fresh(venue.symbols_in_use))
        await looks()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    run_virtually(run())


async def a_while() -> None:
    """Until it was looked again, and the answer taken."""
    await asyncio.sleep(EVERY + 1)


def test_a_halted_symbol_is_seen_and_so_is_a_resumed_one() -> None:
    """Within minutes; the other symbols stay as they are."""
    venue = Venue()
    held = venue.listing.configured  # by others: it is changed in place

    async def looks() -> None:
        venue.listed = [replace(BTC, trading=False), ETH]
        await a_while()
        assert held == {"BTC/USDT": replace(BTC, trading=False), "ETH/USDT": ETH}
        venue.listed = [BTC, ETH]
        await a_while()
        assert held == venue.listing.served == {"BTC/USDT": BTC, "ETH/USDT": ETH}
        assert venue.asked == [["BTC/USDT", "ETH/USDT"]] * 2

    kept(venue, looks)


def test_rules_that_changed_are_taken_over_and_a_delisted_symbol_is_halted() -> None:
    """Its last rules stay; more symbols than were asked for are none of ours."""
    venue = Venue()

    async def looks() -> None:
        venue.listed = [XRP, replace(ETH, rules=COARSE)]
        await a_while()
        assert venue.listing.configured == {
            "BTC/USDT": replace(BTC, trading=False),
            "ETH/USDT": replace(ETH, rules=COARSE),
        }
        assert venue.listing.served == venue.listing.configured

    kept(venue, looks)


@pytest.mark.parametrize(
    "fault", [TransientError("down"), RejectedError("no"), FeedStoppedError("bad key")]
)
def test_where_the_exchange_does_not_say_the_last_listing_stays(fault: Exception) -> None:
    """And it is asked again."""
    venue = Venue()

    async def looks() -> None:
        venue.fault = fault
        await a_while()
        assert venue.listing.configured == {"BTC/USDT": BTC, "ETH/USDT": ETH}
        venue.fault, venue.listed = None, [BTC, replace(ETH, trading=False)]
        await a_while()
        assert not venue.listing.configured["ETH/USDT"].trading

    kept(venue, looks)


def test_a_symbol_with_an_order_is_served_until_that_is_over() -> None:
    """It is kept up to date too, and takes no new orders; nothing is released unasked."""
    venue = Venue()
    venue.listed = [BTC, ETH, XRP]

    async def looks() -> None:
        await venue.listing.serve_all({"XRP/USDT", "DOGE/USDT"})
        venue.in_use = {"XRP/USDT", "DOGE/USDT"}
        venue.listed = [BTC, ETH, replace(XRP, rules=COARSE)]
        await a_while()
        assert venue.listing.served["XRP/USDT"].rules == COARSE
        assert venue.asked[-1] == ["BTC/USDT", "ETH/USDT", "XRP/USDT"]
        venue.in_use, venue.in_use_fault = set(), TransientError("no Redis")
        await a_while()
        assert "XRP/USDT" in venue.listing.served
        venue.in_use_fault = None
        await a_while()
        assert venue.listing.served == {"BTC/USDT": BTC, "ETH/USDT": ETH}
        assert venue.listing.named("XRPUSDT") is None

    kept(venue, looks)


async def test_served_symbols_have_names_and_take_no_new_orders() -> None:
    """By the exchange's name the account's stream knows them."""
    venue = Venue()
    venue.listed = [BTC, ETH, XRP]
    assert venue.listing.named("XRPUSDT") is None
    assert await venue.listing.serve("XRP/USDT") == XRP
    assert venue.listing.named("XRPUSDT") == XRP
    assert venue.listing.named("BTCUSDT") == BTC
    assert "XRP/USDT" not in venue.listing.configured


async def test_any_listed_symbol_is_looked_up_and_the_exchange_asked_once() -> None:
    """Of an unlisted one it answers with all that there are: then nothing more is asked for."""
    venue = Venue()
    venue.listed = [BTC, ETH, XRP, SOL]
    look_up = venue.listing.look_up
    assert await look_up("BTC/USDT") == BTC
    assert venue.asked == []
    for _ in range(2):
        assert await look_up("XRP/USDT") == XRP
    assert venue.asked == [["XRP/USDT"]]
    for symbol in ("DOGE/USDT", "NOPE/USDT", "DOGE/USDT"):
        assert await look_up(symbol) is None
    assert await look_up("SOL/USDT") == SOL
    assert venue.asked == [["XRP/USDT"], ["DOGE/USDT"]]
    assert venue.listing.served == {"BTC/USDT": BTC, "ETH/USDT": ETH}


def test_a_symbol_that_was_listed_since_is_found_after_the_next_refresh() -> None:
    """What was answered isn't believed for longer."""
    venue = Venue()

    async def looks() -> None:
        assert await venue.listing.look_up("XRP/USDT") is None
        venue.listed = [BTC, ETH, XRP]
        assert await venue.listing.look_up("XRP/USDT") is None
        await a_while()
        assert await venue.listing.look_up("XRP/USDT") == XRP

    kept(venue, looks)


@pytest.mark.parametrize(
    "symbol", ["", "/", "XRP", "XRPUSDT/", "A/B/C", 'X"/USDT', "X /Y", "X" * 21 + "/Y", "a\ud800/B"]
)
async def test_an_invalid_symbol_is_not_requested(symbol: str) -> None:
    """No exchange lists it."""
    venue = Venue()
    assert await venue.listing.look_up(symbol) is None
    with pytest.raises(UnlistedError):
        await venue.listing.serve(symbol)
    assert venue.asked == []


async def test_where_the_exchange_does_not_answer_nothing_is_said_of_a_symbol() -> None:
    """Neither that it is listed nor that it isn't."""
    venue = Venue()
    venue.fault = TransientError("down")
    for _ in range(2):
        with pytest.raises(TransientError):
            await venue.listing.look_up("XRP/USDT")
    venue.fault, venue.listed = None, [XRP]
    assert await venue.listing.look_up("XRP/USDT") == XRP


def test_what_a_markets_stream_says_is_newer_than_the_list() -> None:
    """Half shut, open again, and gone: then the list holds. Who wants to know hears of each."""
    venue, told = Venue(), []
    listing = venue.listing
    listing.on_change = lambda: told.append(listing.configured["BTC/USDT"].market)
    words: tuple[MarketStatus | None, ...]
    words = "trading", "post_only", "post_only", "halted", "trading", "halted", None
    for said in words:
        listing.market_says("BTC/USDT", said)
    assert told == ["post_only", "halted", "trading", "halted", "trading"]
    assert listing.configured == listing.served == {"BTC/USDT": BTC, "ETH/USDT": ETH}


def test_where_either_says_that_nothing_trades_nothing_does() -> None:
    """The list, once it is asked again, and the stream; what isn't shut follows the stream."""
    venue = Venue()
    listing = venue.listing

    async def looks() -> None:
        markets = []
        for listed, said in (
            (replace(BTC, trading=False), "trading"),
            (replace(BTC, post_only=True), "trading"),
            (replace(BTC, post_only=True), None),
            (BTC, "post_only"),
            (BTC, "halted"),
            (BTC, "trading"),
        ):
            venue.listed = [listed, ETH]
            await a_while()
            listing.market_says("BTC/USDT", said)  # type: ignore[arg-type]
            markets.append(listing.configured["BTC/USDT"].market)
            await a_while()
            assert listing.configured["BTC/USDT"].market == markets[-1]
        assert markets == ["halted", "trading", "post_only", "post_only", "halted", "trading"]
        assert listing.configured["ETH/USDT"] == ETH

    kept(venue, looks)
