"""The venue's clock: half the round trip is taken for the way back, and it is kept fresh."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services._connector_kit.clock import (
    AFTER_FAILURE,
    LOOK_EVERY,
    REFRESH,
    SLOWEST_ANSWER_MS,
    STEP_MS,
    TRUSTED_FOR,
    VenueClock,
    steady_ms,
)
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from tests.support.virtual_time import run_virtually

BEGAN = 1_700_000_000_000


class Machine:
    """A machine's two clocks, in milliseconds."""

    def __init__(self) -> None:
        self.passed = 0
        self.stepped = 0

    def steady(self) -> int:
        """Since it was booted."""
        return 5_000 + self.passed

    def wall(self) -> int:
        """What it takes for Unix time."""
        return BEGAN + self.passed + self.stepped

    def clock(self) -> VenueClock:
        """A venue's clock on it."""
        return VenueClock(self.steady, self.wall)


@given(ahead=st.integers(-10_000, 10_000), there=st.integers(0, 900), back=st.integers(0, 900))
async def test_the_offset_is_right_to_half_of_the_round_trip(
    ahead: int, there: int, back: int
) -> None:
    """Wherever the venue's clock is, and however lopsided the way."""
    machine = Machine()
    venue = machine.clock()

    async def fetch() -> int:
        machine.passed += there
        theirs = machine.wall() + ahead
        machine.passed += back
        return theirs

    await venue.measure(fetch)
    assert abs(venue.milliseconds() - (machine.wall() + ahead)) <= (there + back) / 2 + 1


async def test_before_it_is_measured_the_wall_clock_is_taken_for_the_venues() -> None:
    """As it was at the start, and as time passes."""
    machine = Machine()
    venue = machine.clock()
    machine.passed = 77
    assert venue.milliseconds() == BEGAN + 77


@given(steps=st.lists(st.integers(-100_000_000, 100_000_000), max_size=5))
async def test_a_wall_clock_that_is_set_changes_nothing(steps: list[int]) -> None:
    """Before a measurement, during it, and after it."""
    machine = Machine()
    venue = machine.clock()

    async def fetch() -> int:
        machine.stepped += sum(steps)
        return BEGAN + machine.passed

    for step in steps:
        machine.stepped += step
        assert venue.milliseconds() == BEGAN + machine.passed
    await venue.measure(fetch)
    for step in steps:
        machine.stepped += step
        machine.passed += 10
        assert venue.milliseconds() == BEGAN + machine.passed


@pytest.mark.parametrize("took", [SLOWEST_ANSWER_MS + 1, -1])
async def test_an_inaccurate_time_measurement_is_not_used(took: int) -> None:
    """Too slow, or from a machine whose steady clock isn't."""
    machine = Machine()
    venue = machine.clock()

    async def fetch() -> int:
        machine.passed += took
        return 5

    with pytest.raises(TransientError, match="took"):
        await venue.measure(fetch)
    assert venue.milliseconds() == machine.wall()
    assert not await venue.known(0.0)


async def test_a_failed_measurement_keeps_the_last_one_until_it_is_too_old() -> None:
    """A clock that wasn't measured for long isn't known: orders wait. One that is again, is."""
    machine = Machine()
    venue = machine.clock()

    async def answer() -> int:
        return machine.wall() + 1000

    async def fail() -> int:
        raise TransientError("no answer")

    await venue.measure(answer)
    machine.passed += round(TRUSTED_FOR * 1000)
    with pytest.raises(TransientError):
        await venue.measure(fail)
    assert await venue.known(0.0)
    assert venue.milliseconds() == machine.wall() + 1000
    machine.passed += 1
    assert not await venue.known(0.0)
    await venue.measure(answer)
    assert await venue.known(0.0)


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


Stroke = tuple[float, Callable[[VenueClock, Machine], None]]


def doubt(venue: VenueClock, _: Machine) -> None:
    """The venue says that our time is wrong."""
    venue.doubt()


def step(milliseconds: int) -> Callable[[VenueClock, Machine], None]:
    """Somebody sets the wall clock."""

    def stroke(_: VenueClock, machine: Machine) -> None:
        machine.stepped += milliseconds

    return stroke


def suspend(seconds: float) -> Callable[[VenueClock, Machine], None]:
    """The machine sleeps: both of its clocks go on, the event loop's doesn't."""

    def stroke(_: VenueClock, machine: Machine) -> None:
        machine.passed += round(seconds * 1000)

    return stroke


def kept(*errors: Exception, strokes: tuple[Stroke, ...] = (), until: float = 1000.0) -> VenueTime:
    """What a venue sees of a clock that is kept measured, while things happen at some moments."""
    venue_time = VenueTime(*errors)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        machine = Machine()

        def steady() -> int:
            return machine.steady() + round(loop.time() * 1000)

        def wall() -> int:
            return machine.wall() + round(loop.time() * 1000)

        venue = VenueClock(steady, wall)
        for moment, stroke in strokes:
            loop.call_at(moment, stroke, venue, machine)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(venue.keep_measured(venue_time.fetch))
            await asyncio.sleep(until)
            keeping.cancel()
        assert await venue.known(0.0)

    run_virtually(main())
    return venue_time


def test_it_is_measured_every_five_minutes() -> None:
    """At once, then again and again."""
    assert kept().asked == [0.0, REFRESH, 2 * REFRESH, 3 * REFRESH]


def test_a_doubt_has_it_measured_at_once() -> None:
    """The five minutes begin anew."""
    asked = kept(strokes=((11.0, doubt), (22.0, doubt)), until=23.0 + REFRESH).asked
    assert asked == [0.0, 11.0, 22.0, 22.0 + REFRESH]


@pytest.mark.parametrize("milliseconds", [STEP_MS, -STEP_MS, 30_000, -30_000])
def test_a_step_of_the_wall_clock_has_it_measured_again(milliseconds: int) -> None:
    """Once, within seconds; the five minutes begin anew."""
    asked = kept(strokes=((11.0, step(milliseconds)),), until=21.0 + REFRESH).asked
    assert asked == [0.0, 11.0 + LOOK_EVERY - 1.0, 15.0 + REFRESH]


def test_a_slewed_wall_clock_does_not_count_as_a_step() -> None:
    """NTP moves it by little at a time."""
    strokes = tuple((float(second), step(STEP_MS // 6)) for second in range(1, 200))
    assert kept(strokes=strokes, until=250.0).asked == [0.0]


def test_after_a_suspend_it_is_measured_again() -> None:
    """The minutes that the machine slept count."""
    asked = kept(strokes=((11.0, suspend(REFRESH)),), until=100.0).asked
    assert asked == [0.0, 15.0]


def test_whatever_goes_wrong_it_is_tried_again_soon() -> None:
    """No answer, a refusal, a refused key: none of them ends it."""
    pause = AFTER_FAILURE
    errors = TransientError("silence"), RejectedError("no"), FeedStoppedError("bad key")
    assert kept(*errors, until=20.0).asked == [0.0, pause, 2 * pause, 3 * pause]


@pytest.mark.parametrize(
    ("seconds", "words"), [(30, "30.0 s ahead of"), (-30, "30.0 s behind"), (1, None), (0, None)]
)
def test_a_wrong_wall_clock_is_logged(seconds: int, words: str | None) -> None:
    """Orders go by the venue's clock; but ages and lags that are shown are wrong by as much."""

    async def main() -> None:
        machine = Machine()
        venue = machine.clock()
        machine.stepped = seconds * 1000

        async def fetch() -> int:
            return BEGAN + machine.passed

        keeping = asyncio.create_task(venue.keep_measured(fetch))
        assert await venue.known(1.0)
        keeping.cancel()
        await asyncio.wait([keeping])

    with capture_logs() as logs:
        run_virtually(main())
    lines = [line for line in logs if line["event"] == "wall_clock_off"]
    told = [line["error"] for line in lines if line["log_level"] == "warning"]
    assert len(told) == (words is not None)
    assert not told or f"this machine's clock is {words} the exchange's" in told[0]


def test_the_steady_clock_counts_a_suspend_if_the_machine_supports_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CLOCK_BOOTTIME where there is one; in milliseconds."""
    clocks = {time.CLOCK_BOOTTIME: 7_000_000_000, time.CLOCK_MONOTONIC: 5_000_000_000}
    monkeypatch.setattr(time, "clock_gettime_ns", clocks.__getitem__)
    assert steady_ms() == 7000
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert steady_ms() == 5000
