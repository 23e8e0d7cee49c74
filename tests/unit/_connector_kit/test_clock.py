"""The venue's clock: half the round trip is taken for the way back, and it is kept fresh."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit import clock as clock_module
from services._connector_kit.clock import SLOWEST_ANSWER_MS, VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from tests.support.virtual_time import run_virtually


@given(ahead=st.integers(-10_000, 10_000), there=st.integers(0, 900), back=st.integers(0, 900))
async def test_the_offset_is_right_to_half_of_the_round_trip(
    ahead: int, there: int, back: int
) -> None:
    """Wherever the venue's clock is, and however lopsided the way."""
    now = [1_700_000_000_000]
    venue = VenueClock(lambda: now[0])

    async def fetch() -> int:
        now[0] += there
        theirs = now[0] + ahead
        now[0] += back
        return theirs

    await venue.measure(fetch)
    assert abs(venue.milliseconds() - (now[0] + ahead)) <= (there + back) / 2 + 1


@pytest.mark.parametrize("took", [SLOWEST_ANSWER_MS + 1, -1])
async def test_an_answer_that_tells_too_little_is_not_used(took: int) -> None:
    """Too slow, or our own clock was set back meanwhile."""
    now = [1_700_000_000_000]
    venue = VenueClock(lambda: now[0])

    async def fetch() -> int:
        now[0] += took
        return 5

    with pytest.raises(TransientError, match="took"):
        await venue.measure(fetch)
    assert venue.offset == 0
    assert not await venue.known(0.0)


class VenueTime:
    """A venue that tells its time, or fails."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[float] = []

    async def fetch(self) -> int:
        """Its time."""
        self.asked.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return 7_000


def kept(*errors: Exception, doubts: tuple[float, ...] = (), until: float = 1000.0) -> VenueTime:
    """What a venue sees of a clock that is kept measured, and doubted at some moments."""
    venue_time = VenueTime(*errors)

    async def main() -> None:
        venue = VenueClock(lambda: round(asyncio.get_running_loop().time() * 1000))
        for moment in doubts:
            asyncio.get_running_loop().call_at(moment, venue.doubt)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(venue.keep_measured(venue_time.fetch))
            await asyncio.sleep(until)
            keeping.cancel()
        assert await venue.known(0.0)

    run_virtually(main())
    return venue_time


def test_it_is_measured_every_five_minutes() -> None:
    """At once, then again and again."""
    assert kept().asked == [0.0, 300.0, 600.0, 900.0]


def test_a_doubt_has_it_measured_at_once() -> None:
    """The five minutes begin anew."""
    assert kept(doubts=(10.0, 20.0), until=321.0).asked == [0.0, 10.0, 20.0, 320.0]


def test_whatever_goes_wrong_it_is_tried_again_soon() -> None:
    """No answer, a refusal, a refused key: none of them ends it."""
    pause = clock_module.AFTER_FAILURE
    errors = TransientError("silence"), RejectedError("no"), FeedStoppedError("bad key")
    assert kept(*errors, until=20.0).asked == [0.0, pause, 2 * pause, 3 * pause]
