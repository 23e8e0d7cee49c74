"""Polling without a key, in virtual time: complete, isolated, and within the rate."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from services._connector_kit.errors import RateLimitedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument, MarketStatus
from services._connector_kit.market_data.order_book import LevelBook
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import ANEW_AFTER, LastTrade, VenueTrade
from services._runtime.health import Readiness
from services.luno_connector.polling import poll_market_data
from services.luno_connector.translate import TickerRow, TopOfBook
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.virtual_time import run_virtually


class Rest:
    """A venue of two pairs; what a pair's `faults` say is raised as long as it is there."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.books: dict[str, list[float]] = {}  # when each pair's was asked for
        self.faults: dict[str, Exception] = {}
        self.trade_ids: list[int] = [1, 2, 3]
        self.rates: dict[str, float] = {}  # trades a second, of pairs that trade by themselves
        self.made_before = 0  # trades of such a pair
        self.made_later = 0  # milliseconds, than the first trades
        self.bid = 99.0
        self.market: MarketStatus = "trading"
        self.milliseconds = 1000

    def _call(self, what: str) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        if what in self.faults:
            raise self.faults[what]

    async def tickers(self, pairs: Sequence[str]) -> list[TickerRow]:
        """One row each."""
        self._call("tickers")
        row = self.milliseconds, self.bid, 101.0, 100.0, 5.0, self.market
        return [TickerRow(pair, *row) for pair in pairs]

    async def top_of_book(self, pair: str) -> TopOfBook:
        """One level a side."""
        self._call(pair)
        self.books.setdefault(pair, []).append(self.calls[-1])
        book = LevelBook(1, [(self.bid, 1.0)], [(101.0, 1.0)], limit=1000)
        return TopOfBook(self.milliseconds, book)

    async def trades(self, pair: str) -> list[VenueTrade]:
        """The latest."""
        self._call(pair)
        if pair in self.rates:
            rate = self.rates[pair]
            newest = self.made_before + int(asyncio.get_running_loop().time() * rate)
            page = range(max(1, newest - 99), newest + 1)
            return [VenueTrade(n, int(n * 1000 / rate), 100.0, 1.0, "buy") for n in page]
        at = 1000 + self.made_later
        return [VenueTrade(n, at + n, 100.0, 1.0, "buy") for n in self.trade_ids]


def polled(
    scenario: Callable[[Rest, FakeStreams, Readiness], Awaitable[None]],
    last_trade: LastTrade | None = None,
    statuses: list[FeedStatus] | None = None,
    bases: Sequence[str] = ("XBT", "ETH"),
) -> None:
    """Run *scenario* beside the polling of *bases* in ZAR; their *statuses* are noted."""

    async def main() -> None:
        rest, streams, readiness = Rest(), FakeStreams(), Readiness()
        subscriptions = [
            SymbolSubscription(
                Instrument(f"{base}/ZAR", f"{base}ZAR", base, "ZAR", trading=True),
                streams.publisher("luno", f"{base}/ZAR"),
                FeedStatus(f"{base}/ZAR", readiness),
                last_trade,
            )
            for base in bases
        ]
        if statuses is not None:
            statuses.extend(subscription.status for subscription in subscriptions)
        polling = asyncio.create_task(poll_market_data(rest, subscriptions))
        try:
            await scenario(rest, streams, readiness)
            assert not polling.done()
        finally:
            polling.cancel()
            await asyncio.wait([polling])

    run_virtually(main())


def ids(streams: FakeStreams, pair: str) -> list[int]:
    """The published trades of one pair."""
    return [int(t.trade_id or 0) for t in streams.trades if t.symbol.replace("/", "") == pair]


def test_new_trades_come_once_and_in_order_and_old_ones_never() -> None:
    """The first poll says where now is."""

    async def scenario(rest: Rest, streams: FakeStreams, _: Readiness) -> None:
        await asyncio.sleep(10.0)
        assert streams.trades == []
        rest.trade_ids += [4, 5]
        await asyncio.sleep(10.0)
        rest.trade_ids += [6]
        await asyncio.sleep(10.0)
        assert ids(streams, "XBTZAR") == ids(streams, "ETHZAR") == [4, 5, 6]

    polled(scenario)


def test_a_restart_goes_on_where_the_stream_ends() -> None:
    """Trades made meanwhile are published, as far as the venue still tells them."""

    async def scenario(_: Rest, streams: FakeStreams, __: Readiness) -> None:
        await asyncio.sleep(10.0)
        assert ids(streams, "XBTZAR") == [2, 3]

    polled(scenario, last_trade=LastTrade(1, 1001))


def test_ids_that_restart_are_followed_and_reported() -> None:
    """All of the venue's latest page is of its new life; a repeated older page is none."""
    statuses: list[FeedStatus] = []

    async def scenario(rest: Rest, streams: FakeStreams, _: Readiness) -> None:
        rest.trade_ids = [8998, 8999]  # a page of before: older, and of the same life
        await asyncio.sleep(10.0)
        assert streams.trades == []
        rest.trade_ids, rest.made_later = [1, 2], 9000 + ANEW_AFTER
        with capture_logs() as logs:
            await asyncio.sleep(10.0)
            rest.trade_ids += [3]
            await asyncio.sleep(10.0)
        assert ids(streams, "XBTZAR") == ids(streams, "ETHZAR") == [1, 2, 3]
        said = [line for line in logs if line["event"] == "venue_ids_restarted"]
        assert [(line["pair"], line["first"]) for line in said] == [("XBTZAR", 1), ("ETHZAR", 1)]
        assert all("venue_ids_restarted" in str(s.report().reason) for s in statuses)
        assert {status.report().trades_lost for status in statuses} == {0}

    polled(scenario, last_trade=LastTrade(9000, 10_000), statuses=statuses)


def test_never_more_than_half_of_lunos_300_calls_a_minute() -> None:
    """In good times, and while nothing works."""

    async def scenario(rest: Rest, _: FakeStreams, __: Readiness) -> None:
        await asyncio.sleep(120.0)
        rest.faults["tickers"] = TransientError("down")
        await asyncio.sleep(120.0)
        for start in rest.calls:
            assert sum(start <= call < start + 60.0 for call in rest.calls) <= 155

    polled(scenario)


def test_a_busy_pair_is_asked_more_often_and_loses_nothing() -> None:
    """90 trades a second are 180 in a round, and a page holds 100; the other pair still comes."""

    async def scenario(rest: Rest, streams: FakeStreams, _: Readiness) -> None:
        rest.rates["XBTZAR"] = 10.0
        await asyncio.sleep(10.0)
        for rate in (30.0, 60.0, 90.0):  # it becomes busy, it doesn't jump
            rest.rates["XBTZAR"] = rate
            await asyncio.sleep(10.0)
        steady = asyncio.get_running_loop().time()
        rest.trade_ids += [4, 5]
        published = len(ids(streams, "XBTZAR"))
        await asyncio.sleep(60.0)
        found = ids(streams, "XBTZAR")[published:]
        assert found == list(range(found[0], found[0] + len(found)))
        assert len(found) > 59 * 90
        assert ids(streams, "ETHZAR") == [4, 5]
        assert sum(call > steady for call in rest.calls) <= 155

    polled(scenario)


def test_a_pair_that_was_busy_before_we_came_loses_nothing() -> None:
    """A full page tells by its own times how soon the next must be asked for."""

    async def scenario(rest: Rest, streams: FakeStreams, _: Readiness) -> None:
        rest.rates["XBTZAR"], rest.made_before = 60.0, 1000
        await asyncio.sleep(30.0)
        assert len(ids(streams, "XBTZAR")) > 27 * 60
        assert statuses[0].report().trades_lost == 0

    statuses: list[FeedStatus] = []
    polled(scenario, statuses=statuses)


def test_trades_beyond_a_page_are_counted_and_reported() -> None:
    """Nobody can have it without a key; the status says how much that was."""

    async def scenario(rest: Rest, streams: FakeStreams, _: Readiness) -> None:
        await asyncio.sleep(10.0)
        rest.trade_ids = list(range(201, 301))
        with capture_logs() as logs:
            await asyncio.sleep(10.0)
        assert ids(streams, "XBTZAR") == list(range(201, 301))
        lost = [line for line in logs if line["event"] == "trades_lost"]
        assert [(line["first"], line["last"]) for line in lost] == [(4, 200), (4, 200)]
        assert statuses[0].report().trades_lost == 197

    statuses: list[FeedStatus] = []
    polled(scenario, statuses=statuses)


def test_one_pairs_trouble_is_its_own() -> None:
    """The other goes on being published, and each says how it is."""

    async def scenario(rest: Rest, streams: FakeStreams, readiness: Readiness) -> None:
        rest.faults["XBTZAR"] = RejectedError("suspended", code="ErrMarketUnavailable")
        await asyncio.sleep(30.0)
        assert {book.symbol for book in streams.books} == {"ETH/ZAR"}
        parts = readiness.report()["parts"]
        assert parts == {"feed XBT/ZAR": "stale: suspended", "feed ETH/ZAR": "ok"}
        rest.faults.clear()
        await asyncio.sleep(30.0)
        assert readiness.ready

    polled(scenario)


def test_trouble_with_everything_is_said_of_every_pair_and_passes() -> None:
    """A rate limit too."""

    async def scenario(rest: Rest, streams: FakeStreams, readiness: Readiness) -> None:
        rest.faults["tickers"] = RateLimitedError("too many", retry_after=1.0)
        await asyncio.sleep(30.0)
        assert set(readiness.report()["parts"].values()) == {"stale: too many"}
        rest.faults.clear()
        await asyncio.sleep(30.0)
        assert readiness.ready
        assert streams.books

    polled(scenario)


def test_a_crossed_book_is_not_published() -> None:
    """And the pair isn't ready."""

    async def scenario(rest: Rest, streams: FakeStreams, readiness: Readiness) -> None:
        rest.bid = 101.0
        await asyncio.sleep(10.0)
        assert streams.books == []
        assert not readiness.ready

    polled(scenario)


def test_the_markets_status_is_followed_by_the_ticker() -> None:
    """Of each pair, until it can't be asked any more."""
    statuses: list[FeedStatus] = []

    async def scenario(rest: Rest, _: FakeStreams, __: Readiness) -> None:
        told: list[str | None] = []
        statuses[0].on_market = told.append
        for market in ("trading", "post_only", "halted"):
            rest.market = market
            await asyncio.sleep(10.0)
        rest.faults["tickers"] = TransientError("down")
        await asyncio.sleep(10.0)
        changes = [now for before, now in pairwise(["", *told]) if now != before]
        assert changes == ["trading", "post_only", "halted", None]

    polled(scenario, statuses=statuses)


def test_an_older_book_than_the_last_is_not_published() -> None:
    """A cache on the way may answer with one."""

    async def scenario(rest: Rest, streams: FakeStreams, _: Readiness) -> None:
        await asyncio.sleep(3.0)
        rest.milliseconds, rest.bid = 500, 98.0
        await asyncio.sleep(10.0)
        assert {book.bids[0].price for book in streams.books} == {99.0}

    polled(scenario)


@pytest.mark.parametrize(("pairs", "age"), [(2, 2), (10, 8), (20, 16), (45, 36)])
def test_a_polled_pair_says_so_and_how_old_its_book_becomes(pairs: int, age: int) -> None:
    """A round within half of Luno's limit takes that long, and no longer."""
    statuses: list[FeedStatus] = []

    async def scenario(rest: Rest, _: FakeStreams, readiness: Readiness) -> None:
        await asyncio.sleep(200.0)
        assert readiness.ready
        assert {s.report().state for s in statuses} == {"polled"}
        reasons = {s.report().reason for s in statuses}
        assert reasons == {f"asked for by REST, up to {age} s old"}
        gaps = [b - a for calls in rest.books.values() for a, b in pairwise(calls)]
        assert len(rest.books) == pairs
        assert age - 0.5 <= max(gaps) < age + 0.5

    polled(scenario, statuses=statuses, bases=[f"C{number}" for number in range(pairs)])


def test_busy_pairs_make_the_others_older_and_that_is_said() -> None:
    """Between any two calls the trades of the busy one are asked for."""
    statuses: list[FeedStatus] = []

    async def scenario(rest: Rest, _: FakeStreams, __: Readiness) -> None:
        rest.rates["C0ZAR"], rest.made_before = 60.0, 1000
        await asyncio.sleep(120.0)
        gaps = [b - a for a, b in pairwise(rest.books["C1ZAR"])]
        assert statuses[1].report().reason == f"asked for by REST, up to {gaps[-1]:.0f} s old"
        assert gaps[-1] > 12.0

    polled(scenario, statuses=statuses, bases=[f"C{number}" for number in range(10)])


def test_no_order_is_judged_by_the_book_of_a_pair_that_can_not_be_asked() -> None:
    """Until it can be again."""

    async def main() -> None:
        rest, streams = Rest(), FakeStreams()
        publisher = streams.publisher("luno", "XBT/ZAR")
        instrument = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)
        subscription = SymbolSubscription(
            instrument, publisher, FeedStatus("XBT/ZAR", Readiness()), None
        )
        polling = asyncio.create_task(poll_market_data(rest, [subscription]))
        await asyncio.sleep(5.0)
        known = [publisher.live_book is not None]
        rest.faults["XBTZAR"] = TransientError("down")
        await asyncio.sleep(5.0)
        known.append(publisher.live_book is not None)
        rest.faults.clear()
        await asyncio.sleep(10.0)
        known.append(publisher.live_book is not None)
        polling.cancel()
        await asyncio.wait([polling])
        assert known == [True, False, True]

    run_virtually(main())
