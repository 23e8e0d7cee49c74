"""Joining Binance's diffs to a snapshot, and getting back in sync; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.errors import FeedStoppedError, RateLimitedError, RejectedError
from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._runtime.health import Readiness
from services._runtime.supervise import TransientError
from services.binance_connector.book_sync import BookSync
from services.binance_connector.translate import DepthSnapshot, DepthUpdate
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.virtual_time import run_virtually

LONG_ENOUGH = 300.0


class Venue:
    """A book whose best bid is its update id, so that every state tells which one it is."""

    def __init__(self) -> None:
        self.update_id = 100
        self.faults: list[Exception] = []
        self.fetches: list[float] = []
        self.delay = 0.01

    async def depth(self, _: int) -> DepthSnapshot:
        """The snapshot of now, which arrives after `delay`."""
        self.fetches.append(asyncio.get_running_loop().time())
        if self.faults:
            raise self.faults.pop(0)
        taken = DepthSnapshot(self.update_id, [(float(self.update_id), 1.0)], [(1e6, 1.0)])
        await asyncio.sleep(self.delay)
        return taken

    def update(self) -> DepthUpdate:
        """The next diff: the best bid moves up by two, in two updates."""
        first, last = self.update_id + 1, self.update_id + 2
        gone = [(float(price), 0.0) for price in (self.update_id, first)]
        self.update_id = last
        return DepthUpdate(E=last, s="X", U=first, u=last, b=[*gone, (float(last), 1.0)], a=[])


def synced(
    scenario: Callable[[BookSync, Venue, FakeStreams, Readiness], Awaitable[None]],
) -> None:
    """Run *scenario* beside the task that keeps the book joined."""

    async def main() -> None:
        streams, venue, readiness = FakeStreams(), Venue(), Readiness()
        subscription = SymbolSubscription(
            Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True),
            streams.publisher(),
            FeedStatus("BTC/USDT", readiness),
            None,
        )
        sync = BookSync(subscription, venue.depth, 20)
        joining = asyncio.create_task(sync.keep_joined())
        try:
            await scenario(sync, venue, streams, readiness)
            assert not joining.done()
        finally:
            joining.cancel()
            await asyncio.wait([joining])

    run_virtually(main())


def best_bids(streams: FakeStreams) -> list[int]:
    """The update id of each published book."""
    return [int(book.bids[0].price) for book in streams.books]


def test_updates_before_during_and_after_the_snapshot_make_one_book() -> None:
    """Old ones are dropped, newer ones applied, and the first book is the newest."""

    async def scenario(
        sync: BookSync, venue: Venue, streams: FakeStreams, readiness: Readiness
    ) -> None:
        sync.connected()
        sync.apply(venue.update())
        await asyncio.sleep(0.005)  # the snapshot is on its way
        sync.apply(venue.update())
        assert streams.books == []
        await asyncio.sleep(0.1)
        sync.apply(venue.update())
        assert best_bids(streams) == [104, 106]
        assert readiness.ready

    synced(scenario)


def test_a_quiet_market_is_published_without_waiting_for_an_update() -> None:
    """The snapshot itself, after a moment in which nothing came."""

    async def scenario(
        sync: BookSync, _: Venue, streams: FakeStreams, readiness: Readiness
    ) -> None:
        sync.connected()
        await asyncio.sleep(5.0)
        assert best_bids(streams) == [100]
        assert readiness.ready

    synced(scenario)


def test_a_gap_stops_publishing_until_a_new_snapshot_joins() -> None:
    """And the update that showed it is not lost."""

    async def scenario(
        sync: BookSync, venue: Venue, streams: FakeStreams, readiness: Readiness
    ) -> None:
        sync.connected()
        await asyncio.sleep(5.0)
        venue.update()  # lost
        sync.apply(venue.update())
        assert best_bids(streams) == [100]
        assert not readiness.ready
        await asyncio.sleep(LONG_ENOUGH)
        assert best_bids(streams) == [100, 104]
        assert readiness.ready

    synced(scenario)


def test_a_snapshot_asked_for_by_an_old_socket_is_not_joined_to_a_new_one() -> None:
    """What happened between the two would be missing, and nothing would show it."""

    async def scenario(sync: BookSync, venue: Venue, streams: FakeStreams, _: Readiness) -> None:
        venue.delay = 2.0
        sync.connected()
        await asyncio.sleep(1.0)
        sync.disconnected("gone")
        venue.update()  # told to nobody
        sync.connected()
        await asyncio.sleep(LONG_ENOUGH)
        assert best_bids(streams) == [102]

    synced(scenario)


def test_without_a_socket_nothing_is_joined_or_asked() -> None:
    """A book that nobody keeps up to date is not published."""

    async def scenario(
        sync: BookSync, venue: Venue, streams: FakeStreams, readiness: Readiness
    ) -> None:
        sync.connected()
        sync.disconnected("gone")
        await asyncio.sleep(LONG_ENOUGH)
        assert streams.books == []
        assert len(venue.fetches) <= 1
        assert readiness.report()["parts"]["feed BTC/USDT"] == "stale: gone"

    synced(scenario)


def test_a_snapshot_that_fails_is_asked_for_again_as_the_venue_wishes() -> None:
    """A ban is waited out, and a refusal isn't hammered."""

    async def scenario(sync: BookSync, venue: Venue, streams: FakeStreams, _: Readiness) -> None:
        venue.faults = [
            TransientError("down"),
            RateLimitedError("slow down", retry_after=60.0),
            RejectedError("no such symbol", code="-1121"),
            FeedStoppedError("bad key"),
        ]
        sync.connected()
        await asyncio.sleep(LONG_ENOUGH)
        waits = [b - a for a, b in zip(venue.fetches, venue.fetches[1:], strict=False)]
        assert len(waits) == 4
        assert waits[1] > 59.9
        assert waits[2] > 29.9
        assert waits[3] > 29.9
        assert best_bids(streams) == [100]

    synced(scenario)


def test_an_invalid_snapshot_is_not_published() -> None:
    """A crossed one, then one with a price that is none; then a good one."""

    async def scenario(sync: BookSync, venue: Venue, streams: FakeStreams, _: Readiness) -> None:
        bad = [
            DepthSnapshot(100, [(2.0, 1.0)], [(2.0, 1.0)]),
            DepthSnapshot(100, [(float("nan"), 1.0)], []),
        ]
        good = venue.depth

        async def depth(limit: int) -> DepthSnapshot:
            return bad.pop(0) if bad else await good(limit)

        sync._fetch = depth
        sync.connected()
        await asyncio.sleep(LONG_ENOUGH)
        assert best_bids(streams) == [100]

    synced(scenario)


def test_a_venue_whose_updates_never_fit_is_not_hammered() -> None:
    """Joining again backs off when the book is lost at once each time."""

    async def scenario(sync: BookSync, venue: Venue, _: FakeStreams, __: Readiness) -> None:
        sync.connected()
        for _step in range(3000):  # 5 minutes of a gap in every update
            venue.update()
            sync.apply(venue.update())
            await asyncio.sleep(0.1)
        assert len(venue.fetches) < 200

    synced(scenario)


@given(
    st.lists(
        st.sampled_from(["told", "told", "told", "lost", "pause", "reconnect", "fault"]),
        max_size=60,
    )
)
def test_whatever_happens_only_books_of_the_venue_are_published(steps: list[str]) -> None:
    """Never an older one after a newer one on one socket, and in the end the venue's last."""

    async def scenario(sync: BookSync, venue: Venue, streams: FakeStreams, _: Readiness) -> None:
        sync.connected()
        held = {venue.update_id}
        for step in [*steps, "told"]:
            if step in ("told", "lost"):
                update = venue.update()
                held.add(venue.update_id)
                if step == "told":
                    sync.apply(update)
            elif step == "pause":
                await asyncio.sleep(0.3)
            elif step == "reconnect":
                sync.disconnected("gone")
                sync.connected()
            elif step == "fault":
                venue.faults.append(TransientError("down"))
        await asyncio.sleep(LONG_ENOUGH)
        sync.apply(venue.update())
        held.add(venue.update_id)
        await asyncio.sleep(LONG_ENOUGH)
        told = best_bids(streams)
        assert set(told) <= held
        assert told == sorted(told)
        assert told[-1] == venue.update_id

    synced(scenario)


@given(
    before=st.integers(0, 3),
    during=st.integers(0, 3),
    after=st.integers(0, 3),
    ahead=st.integers(0, 2),
    wrong=st.booleans(),
)
def test_a_book_is_compared_with_rests_at_the_same_update(
    before: int, during: int, after: int, ahead: int, *, wrong: bool
) -> None:
    """Whatever comes while the snapshot is under way: only a wrong book differs, and is lost."""

    async def scenario(sync: BookSync, venue: Venue, _: FakeStreams, __: Readiness) -> None:
        sync.connected()
        await asyncio.sleep(5.0)
        for _step in range(before):
            sync.apply(venue.update())
        if wrong:
            assert sync.book is not None
            sync.book.asks.set(1e6, 2.0)
        late = [venue.update() for _step in range(ahead)]  # REST knows them already
        comparing = asyncio.create_task(sync.compare())
        await asyncio.sleep(venue.delay / 2)
        for update in [*late, *(venue.update() for _step in range(during))]:
            sync.apply(update)
        await asyncio.sleep(venue.delay)
        for _step in range(after):
            sync.apply(venue.update())
        await comparing
        status = sync._subscription.status
        assert status.compared == 1
        assert status.differed == wrong
        await asyncio.sleep(LONG_ENOUGH)
        assert sync.sequence == venue.update_id

    synced(scenario)


def test_where_rest_can_not_be_compared_with_nothing_is_said() -> None:
    """A snapshot from before the book's own updates, and one that the stream never reaches."""

    async def scenario(sync: BookSync, venue: Venue, _: FakeStreams, __: Readiness) -> None:
        await sync.compare()  # no book yet
        sync.connected()
        await asyncio.sleep(5.0)
        earlier = DepthSnapshot(venue.update_id, [(1.0, 9.0)], [(1e6, 1.0)])
        sync.apply(venue.update())
        venue.update_id += 2
        later = DepthSnapshot(venue.update_id, [(1.0, 9.0)], [(1e6, 1.0)])
        for snapshot in (earlier, later):

            async def depth(_: int, found: DepthSnapshot = snapshot) -> DepthSnapshot:
                return found

            sync._fetch = depth
            await sync.compare()
        assert sync._subscription.status.compared == 0
        assert sync._subscription.status.state == "live"

    synced(scenario)
