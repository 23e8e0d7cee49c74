"""Trades once and in order, whatever the venue's stream and history do; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services._connector_kit.errors import (
    RETRY_REFUSED,
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
)
from services._connector_kit.market_data import trade_feed
from services._connector_kit.market_data.trade_feed import LastTrade, TradeFeed, VenueTrade
from services._runtime.supervise import TransientError
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.virtual_time import run_virtually

LONG_ENOUGH = 600.0


def tick(trade_id: int, made_later: int = 0) -> VenueTrade:
    """The trade of that id."""
    return VenueTrade(trade_id, 1_000_000 + trade_id + made_later, 100.0, 0.5, "buy")


class Venue:
    """A history of trades; what `faults` holds is raised first, one a call."""

    def __init__(self, ids: Iterable[int] = (), *, page: int = 3) -> None:
        self.ids = list(ids)
        self.made_later = 0  # milliseconds, than the first life's trades were
        self.faults: list[Exception] = []
        self.calls: list[float] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self._page = page

    async def after(self, first_id: int) -> list[VenueTrade]:
        """A page from *first_id* on: Binance's way."""
        await self._call()
        return [self.tick(n) for n in sorted(self.ids) if n >= first_id][: self._page]

    async def latest(self, _: int) -> list[VenueTrade]:
        """The latest page, whatever was asked: Luno's way."""
        await self._call()
        return [self.tick(n) for n in sorted(self.ids)[-self._page :]]

    def tick(self, trade_id: int) -> VenueTrade:
        """The trade of that id, in this life of the venue."""
        return tick(trade_id, self.made_later)

    def begin_anew(self, last_id: int, first_id: int) -> None:
        """All is deleted, as on a testnet: *first_id* is made a while after *last_id* was."""
        self.made_later += last_id - first_id + trade_feed.ANEW_AFTER + 1
        self.ids = [first_id]

    async def _call(self) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        await self.answers.wait()
        if self.faults:
            raise self.faults.pop(0)


def binance_like(
    scenario: Callable[[TradeFeed, Venue, FakeStreams], Awaitable[None]], last_id: int | None = None
) -> None:
    """Run *scenario* against a feed with contiguous ids and its refilling task."""
    _run(scenario, last_id, contiguous=True)


def luno_like(
    scenario: Callable[[TradeFeed, Venue, FakeStreams], Awaitable[None]], last_id: int | None = None
) -> None:
    """The same where ids may have holes, and the history is its latest page."""
    _run(scenario, last_id, contiguous=False)


def _run(
    scenario: Callable[[TradeFeed, Venue, FakeStreams], Awaitable[None]],
    last_id: int | None,
    *,
    contiguous: bool,
) -> None:
    async def main() -> None:
        streams, venue = FakeStreams(), Venue()
        feed = TradeFeed(
            streams.publisher(),
            venue.after if contiguous else venue.latest,
            contiguous=contiguous,
            last=None if last_id is None else LastTrade(last_id, 1_000_000 + last_id),
        )
        refilling = asyncio.create_task(feed.refill_holes())
        try:
            await scenario(feed, venue, streams)
            assert not refilling.done()
        finally:
            refilling.cancel()
            await asyncio.wait([refilling])

    run_virtually(main())


def test_trades_in_a_row_go_straight_out() -> None:
    """Nothing is asked of the history, nothing waits."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        for n in (7, 8, 9):
            feed.add(tick(n))
        assert streams.trade_ids == [7, 8, 9]
        assert venue.calls == []

    binance_like(scenario)


def test_a_repeated_trade_is_not_published_again() -> None:
    """Repeats and older ones are counted."""

    async def scenario(feed: TradeFeed, _: Venue, streams: FakeStreams) -> None:
        for n in (7, 8, 8, 7, 6, 9):
            feed.add(tick(n))
        assert streams.trade_ids == [7, 8, 9]
        assert feed.counts.repeated == 3

    binance_like(scenario)


def test_a_hole_is_refilled_before_what_follows_it() -> None:
    """Over several pages, while newer trades wait behind it."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 30))
        feed.add(tick(1))
        feed.add(tick(12))
        feed.add(tick(13))
        assert streams.trade_ids == [1]
        await asyncio.sleep(LONG_ENOUGH)
        feed.add(tick(14))
        assert streams.trade_ids == list(range(1, 15))
        assert feed.counts.lost == 0

    binance_like(scenario)


def test_after_a_reconnect_the_history_is_asked_before_anything_is_published() -> None:
    """Trades of the time without a socket come first."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(5, 12))
        feed.reconnected()
        feed.add(tick(11))
        feed.add(tick(12))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [6, 7, 8, 9, 10, 11, 12]

    binance_like(scenario, last_id=5)


def test_a_luno_history_fills_the_time_without_a_socket_too() -> None:
    """As far as its one page reaches; its ids may have holes."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = [5, 7, 9]
        feed.reconnected()
        feed.add(tick(9))
        feed.add(tick(14))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [7, 9, 14]

    luno_like(scenario, last_id=5)


def test_a_first_start_asks_for_no_history() -> None:
    """What came before the first trade is not our business."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        feed.reconnected()
        feed.add(tick(500))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [500]
        assert venue.calls == []

    binance_like(scenario)


def test_a_reconnect_during_a_refill_loses_and_repeats_nothing() -> None:
    """The hole it may have made is looked at when the first one is closed."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 20))
        venue.answers.clear()
        feed.add(tick(1))
        feed.add(tick(4))
        await asyncio.sleep(1.0)  # the refill waits for its answer
        feed.reconnected()
        feed.add(tick(8))
        venue.answers.set()
        await asyncio.sleep(LONG_ENOUGH)
        feed.reconnected()
        venue.answers.clear()
        await asyncio.sleep(1.0)
        for n in range(9, 22):
            feed.add(tick(n))
        venue.answers.set()
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == list(range(1, 22))
        assert feed.counts.lost == 0

    binance_like(scenario)


def test_trouble_with_the_history_is_waited_out() -> None:
    """As often as it takes, and as long as a rate limit says."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 9))
        venue.faults = [
            TransientError("down"),
            RateLimitedError("slow down", retry_after=100.0),
            *(TransientError("down") for _ in range(20)),
        ]
        feed.add(tick(1))
        feed.add(tick(5))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [1, 2, 3, 4, 5]
        assert venue.calls[2] - venue.calls[1] >= 100.0

    binance_like(scenario)


@pytest.mark.parametrize("count", range(1, trade_feed.MOST_REFUSALS))
def test_a_key_that_was_refused_by_mistake_loses_no_trade(count: int) -> None:
    """The history is asked again after a while; Luno's holes show in no id."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 4))
        venue.faults = [FeedStoppedError("bad key") for _ in range(count)]
        feed.reconnected()
        feed.add(tick(4))
        venue.ids.append(4)
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [2, 3, 4]
        assert all(b - a >= RETRY_REFUSED for a, b in pairwise(venue.calls[: count + 1]))

    binance_like(scenario, last_id=1)
    luno_like(scenario, last_id=1)


@pytest.mark.parametrize(
    "refusals",
    [[RejectedError("no", code="-1")], [FeedStoppedError("bad key")] * trade_feed.MOST_REFUSALS],
    ids=["a no", "a key that is no good"],
)
def test_a_history_that_refuses_gives_the_hole_up_and_counts_what_is_lost(
    refusals: list[Exception],
) -> None:
    """The feed goes on with what comes after."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.faults = list(refusals)
        feed.add(tick(1))
        feed.add(tick(5))
        await asyncio.sleep(LONG_ENOUGH)
        feed.add(tick(6))
        assert streams.trade_ids == [1, 5, 6]
        assert feed.counts.lost == 3

    binance_like(scenario)


def test_a_history_that_lags_is_asked_again() -> None:
    """A venue's query side may know a trade later than its stream."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = [1]
        feed.add(tick(1))
        feed.add(tick(4))
        await asyncio.sleep(2.5)
        venue.ids = [1, 2, 3, 4]
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [1, 2, 3, 4]
        assert feed.counts.lost == 0

    binance_like(scenario)


def test_a_luno_history_that_lags_behind_the_stream_is_asked_again() -> None:
    """Until it shows the first trade that the stream told since the reconnect."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = [5]
        feed.reconnected()
        feed.add(tick(8))
        await asyncio.sleep(1.5)
        venue.ids = [5, 6, 8]
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [6, 8]

    luno_like(scenario, last_id=5)


def test_a_luno_stream_that_breaks_while_its_history_is_asked_loses_nothing() -> None:
    """What waited before the second break may have a hole behind it that no id shows."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids, venue._page = [11, 12, 13], 10
        venue.answers.clear()
        feed.reconnected()
        await asyncio.sleep(1)
        feed.add(tick(13))
        feed.reconnected()
        feed.add(tick(15))
        venue.answers.set()
        await asyncio.sleep(0.01)
        venue.ids += [14, 15]
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [11, 12, 13, 14, 15]

    luno_like(scenario, last_id=10)


def test_a_luno_history_is_looked_at_twice_when_the_market_is_quiet() -> None:
    """A trade made just before the reconnect may show up a second late."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = [5]
        feed.reconnected()
        await asyncio.sleep(0.5)
        venue.ids = [5, 6]
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [6]

    luno_like(scenario, last_id=5)


def test_a_hole_the_history_never_fills_is_given_up_and_counted() -> None:
    """After some misses; what waited goes out."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = [1, 2]
        feed.add(tick(1))
        feed.add(tick(6))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [1, 2, 6]
        assert feed.counts.lost == 3
        assert len(venue.calls) <= 1 + trade_feed.MOST_MISSES

    binance_like(scenario)


def test_a_hole_within_the_history_is_counted() -> None:
    """Ids that the venue itself doesn't have."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = [1, 3, 4, 7, 8]
        feed.add(tick(1))
        feed.add(tick(8))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [1, 3, 4, 7, 8]
        assert feed.counts.lost == 3

    binance_like(scenario)


def test_a_hole_too_large_to_refill_is_given_up_at_once() -> None:
    """Days of trades are history, which is not our business."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        far = 10 + trade_feed.MOST_REFILLED
        feed.add(tick(far))
        await asyncio.sleep(LONG_ENOUGH)
        feed.add(tick(far + 1))
        assert streams.trade_ids == [far, far + 1]
        assert feed.counts.lost == far - 2
        assert venue.calls == []

    binance_like(scenario, last_id=1)


def test_trades_that_wait_are_bounded_while_the_history_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond the bound the hole is given up, though the venue has not answered yet."""
    monkeypatch.setattr(trade_feed, "MOST_HELD", 50)

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 200))
        venue.answers.clear()
        feed.add(tick(1))
        for n in range(10, 60):
            feed.add(tick(n))
            await asyncio.sleep(1.0)
        assert streams.trade_ids == [1, *range(10, 60)]
        assert feed.counts.lost == 8
        venue.answers.set()
        await asyncio.sleep(LONG_ENOUGH)
        feed.add(tick(60))
        assert streams.trade_ids == [1, *range(10, 61)]

    binance_like(scenario)


def test_two_holes_in_what_waits_are_refilled_one_after_the_other() -> None:
    """What waited behind the first goes out up to the second."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 31))
        for n in (1, 5, 6, 20, 21, 30):
            feed.add(tick(n))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == list(range(1, 31))

    binance_like(scenario)


@given(
    st.lists(st.sampled_from(["told", "told", "lost", "repeated", "reconnect", "fault", "pause"])),
    st.integers(1, 7),
)
def test_a_complete_history_gives_every_trade_once_and_in_order(
    steps: list[str], page: int
) -> None:
    """Any mix of lost and repeated frames, reconnects and faults."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue._page = page
        made = 1
        venue.ids.append(made)
        feed.add(tick(made))
        for step in [*steps, "told"]:
            if step in ("told", "lost"):
                made += 1
                venue.ids.append(made)
            if step in ("told", "repeated"):
                feed.add(tick(made))
            elif step == "reconnect":
                feed.reconnected()
            elif step == "fault":
                venue.faults.append(TransientError("down"))
            elif step == "pause":
                await asyncio.sleep(0.7)
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == list(range(1, made + 1))
        assert feed.counts.lost == 0

    binance_like(scenario)


def test_ids_that_restart_are_followed_from_the_first_on() -> None:
    """A testnet that was reset: what was made before the first that was told is refilled."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        feed.add(tick(5_000_000))
        venue.begin_anew(5_000_000, 1000)
        venue.ids += range(1001, 1006)
        with capture_logs() as logs:
            feed.add(venue.tick(1005))
            feed.add(venue.tick(1006))
            await asyncio.sleep(LONG_ENOUGH)
            feed.add(venue.tick(1007))
        assert streams.trade_ids == [5_000_000, *range(1000, 1008)]
        assert feed.counts.lost == 0
        (said,) = (line for line in logs if line["event"] == "venue_ids_restarted")
        assert (said["last"], said["first"]) == (5_000_000, 1000)

    binance_like(scenario)


def test_ids_that_restarted_during_an_outage_are_followed() -> None:
    """The last id comes from the stream, and is above all that the venue has."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.begin_anew(5_000_000, 7)
        venue.ids.append(8)
        feed.reconnected()
        feed.add(venue.tick(8))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [7, 8]

    binance_like(scenario, last_id=5_000_000)


def test_a_history_whose_ids_restarted_is_published_without_a_stream() -> None:
    """Luno's way: the latest page alone shows it."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        feed.add(tick(900))
        venue.begin_anew(900, 7)
        venue.ids += [8, 9]
        feed.reconnected()
        await asyncio.sleep(LONG_ENOUGH)
        feed.add(venue.tick(10))
        assert streams.trade_ids == [900, 7, 8, 9, 10]
        assert (feed.counts.lost, feed.counts.repeated) == (0, 0)

    luno_like(scenario)


def test_a_late_repetition_is_none_of_a_new_life() -> None:
    """A smaller id with a later time, while the venue's history goes on from the last one."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue.ids = list(range(1, 12))
        feed.add(tick(10))
        odd = VenueTrade(4, tick(10).milliseconds + trade_feed.ANEW_AFTER + 1, 100.0, 0.5, "buy")
        feed.add(odd)
        await asyncio.sleep(LONG_ENOUGH)
        assert (feed.counts.repeated, len(venue.calls)) == (1, 1)
        feed.add(odd)  # known by now: nobody is asked again
        feed.add(tick(11))
        assert streams.trade_ids == [10, 11]
        assert (feed.counts.repeated, len(venue.calls)) == (2, 1)

    binance_like(scenario)


def test_a_repetition_that_is_not_much_later_causes_no_request() -> None:
    """Times of neighbouring trades may stand the other way round."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        feed.add(tick(10))
        at = tick(10).milliseconds + trade_feed.ANEW_AFTER
        feed.add(VenueTrade(9, at, 100.0, 0.5, "buy"))
        await asyncio.sleep(LONG_ENOUGH)
        assert (venue.calls, feed.counts.repeated) == ([], 1)

    binance_like(scenario)


def test_a_venue_without_history_holds_a_limited_number_of_trades(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded; what comes once the venue answers is followed."""
    monkeypatch.setattr(trade_feed, "MOST_HELD", 20)

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        feed.add(tick(900))
        venue.begin_anew(900, 1)
        venue.ids = list(range(1, 100))
        venue.answers.clear()
        for n in range(1, 21):
            feed.add(venue.tick(n))
            await asyncio.sleep(0)
        assert (streams.trade_ids, feed.counts.repeated) == ([900], 20)
        venue.answers.set()
        await asyncio.sleep(LONG_ENOUGH)
        venue.made_later += trade_feed.ANEW_AFTER
        feed.add(venue.tick(21))
        await asyncio.sleep(LONG_ENOUGH)
        feed.add(venue.tick(100))
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == [900, *range(1, 101)]

    binance_like(scenario)


class Lives:
    """A venue whose ids begin anew now and then, told to a feed."""

    def __init__(self, feed: TradeFeed, venue: Venue) -> None:
        self.published: list[int] = []  # what it should be
        self._feed = feed
        self._venue = venue
        self._told: list[VenueTrade] = []
        self.tell(10)

    def tell(self, trade_id: int) -> None:
        """A trade is made, and told."""
        self._venue.ids.append(trade_id)
        self.published.append(trade_id)
        self._told.append(self._venue.tick(trade_id))
        self._feed.add(self._told[-1])

    async def go_on(self, step: str) -> None:
        """Something happens."""
        if step == "anew":
            await asyncio.sleep(LONG_ENOUGH)
            self._venue.begin_anew(self.published[-1], 1)
            self.published.append(1)  # which nobody tells
            self._told.clear()
            self.tell(2)
            await asyncio.sleep(LONG_ENOUGH)
        elif step == "told":
            self.tell(self.published[-1] + 1)
        elif step == "repeated":
            self._feed.add(self._told[len(self._told) // 2])
        elif step == "reconnect":
            self._feed.reconnected()
        elif step == "fault":
            self._venue.faults.append(TransientError("down"))
        elif step == "pause":
            await asyncio.sleep(0.7)


@pytest.mark.parametrize("run", [binance_like, luno_like])
@example(steps=["told", "reconnect", "told", "reconnect", "repeated"])
@example(steps=["reconnect", "told", "told", "reconnect", "repeated"])
@given(
    steps=st.lists(
        st.sampled_from(["told", "told", "told", "repeated", "reconnect", "fault", "pause", "anew"])
    )
)
def test_each_life_of_a_venue_is_published_once_and_in_order(
    run: Callable[[Callable[[TradeFeed, Venue, FakeStreams], Awaitable[None]]], None],
    steps: list[str],
) -> None:
    """Whatever is repeated late: an older trade has an older time, and begins nothing anew."""

    async def scenario(feed: TradeFeed, venue: Venue, streams: FakeStreams) -> None:
        venue._page = 1000
        lives = Lives(feed, venue)
        for step in steps:
            await lives.go_on(step)
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.trade_ids == lives.published
        assert feed.counts.lost == 0

    with capture_logs() as logs:
        run(scenario)
    restarts = [line for line in logs if line["event"] == "venue_ids_restarted"]
    assert len(restarts) == steps.count("anew")
