"""Keeping a connection alive: what is forgiven, and how long the waits are."""

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import count, islice, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services._runtime.supervise import (
    FailureLog,
    Retry,
    TransientError,
    full_jitter,
    keep_alive,
    run_while_healthy,
)

SECONDS = st.floats(min_value=0.001, max_value=1_000.0)


@given(first=SECONDS, longest=SECONDS, seed=st.integers())
def test_waits_are_below_a_limit_that_doubles_up_to_the_longest(
    first: float, longest: float, seed: int
) -> None:
    """Full jitter: any wait from nothing to the limit, and the limit is bounded."""
    for n, wait in enumerate(islice(full_jitter(first, longest, random.Random(seed)), 15)):
        assert 0 <= wait <= min(first * 2**n, longest)


def test_waits_use_the_whole_range() -> None:
    """Clients that lost the same server don't come back together."""
    waits = list(islice(full_jitter(4.0, 4.0, random.Random(1)), 1_000))
    assert min(waits) < 0.1
    assert max(waits) > 3.9


class World:
    """A clock that only sleeping and working moves, and the sessions that were run in it."""

    def __init__(self, *sessions: Exception | float | None) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.reasons: list[str] = []
        self._sessions = iter(sessions)

    def clock(self) -> float:
        """Seconds since the world began."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.slept.append(seconds)
        self.now += seconds

    async def session(self) -> None:
        """The next outcome: an error at once, or so many healthy seconds and then a hang-up."""
        outcome = next(self._sessions, None)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is None:
            raise KeyError("no more sessions")
        self.now += outcome

    async def run(
        self,
        waits: Callable[[], Iterator[float]] = lambda: repeat(1.0),
        on_retry: Callable[[Retry], None] | None = None,
    ) -> None:
        """Keep alive until the sessions are used up."""
        with pytest.raises(KeyError, match="no more sessions"):
            await keep_alive(
                self.session,
                name="test",
                waits=waits,
                healthy_after=30.0,
                on_down=self.reasons.append,
                on_retry=on_retry,
                clock=self.clock,
                sleep=self.sleep,
            )


async def test_transient_errors_are_forgiven_for_ever() -> None:
    """Each is reported, waited out, and followed by another session."""
    world = World(*(TransientError(f"drop {n}") for n in range(100)))
    await world.run()
    assert world.slept == [1.0] * 100
    assert world.reasons == [f"drop {n}" for n in range(100)]


async def test_a_session_that_ends_politely_is_a_drop_too() -> None:
    """It is waited for and begun again, and its reason says what happened."""
    world = World(5.0, 5.0)
    await world.run()
    assert world.slept == [1.0, 1.0]
    assert world.reasons == ["the other side ended the session"] * 2


@pytest.mark.parametrize("error", [ValueError("bug"), OSError("disk"), TimeoutError()])
async def test_other_errors_go_up_as_they_are(error: Exception) -> None:
    """Only what says of itself that it may pass is tried again."""
    world = World(TransientError("first"), error)
    with pytest.raises(type(error)) as caught:
        await keep_alive(world.session, name="test", clock=world.clock, sleep=world.sleep)
    assert caught.value is error
    assert len(world.slept) == 1


async def test_a_venue_that_names_a_wait_is_obeyed() -> None:
    """`retry_after` is the least that is waited; a longer wait of ours stays."""
    world = World(TransientError("ban", retry_after=90.0), TransientError("", retry_after=0.5))
    await world.run()
    assert world.slept == [90.0, 1.0]


async def test_the_waits_start_over_only_after_a_healthy_session() -> None:
    """A session of 29 seconds proves nothing, one of 30 does."""
    drop = TransientError("drop")
    world = World(drop, drop, 29.0, drop, 30.0, drop, drop)
    await world.run(lambda: map(float, count(1)))
    assert world.slept == [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0]


async def test_a_cancellation_in_a_session_passes_through() -> None:
    """It ends the supervisor; it isn't taken for a drop."""
    started = asyncio.Event()

    async def session() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(keep_alive(session, name="test"))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_cancellation_in_a_wait_passes_through() -> None:
    """A stop doesn't have to wait for the wait."""
    waiting = asyncio.Event()

    async def session() -> None:
        raise TransientError("drop", retry_after=1_000_000.0)

    task = asyncio.create_task(
        keep_alive(session, name="test", on_down=lambda _: waiting.set()),
    )
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_a_failure_is_logged_once_and_its_recovery_once() -> None:
    """The first failure is a warning, the next are debug, and one line says that it works again."""
    trouble = FailureLog("reading_delayed")
    with capture_logs() as logs:
        for text in ("first", "second"):
            trouble.seen(TransientError(text))
        trouble.over()
        trouble.over()
    assert [(line["log_level"], line["event"], line.get("attempt")) for line in logs] == [
        ("warning", "reading_delayed", 1),
        ("debug", "reading_delayed", 2),
        ("info", "reading_delayed_recovered", None),
    ]
    assert logs[-1]["failures"] == 2


def test_a_failure_that_persists_is_logged_again_at_growing_gaps() -> None:
    """At gaps that grow to five minutes; whoever reads only today's log sees it."""
    now = 0.0
    trouble = FailureLog("reading_delayed", lambda: now, part="exchange")
    with capture_logs() as logs:
        for second in range(0, 1211, 10):
            now = float(second)
            trouble.seen(TransientError("451"))
    told = [line for line in logs if line["log_level"] == "warning"]
    seconds = [10 * (line["attempt"] - 1) for line in told]
    assert seconds == [0, 10, 30, 70, 150, 310, 610, 910, 1210]
    assert {(line["error"], line["part"]) for line in told} == {("451", "exchange")}


async def test_a_session_that_drops_for_hours_is_logged_again_at_growing_gaps() -> None:
    """And at once again where a healthy one came between."""
    drops = [TransientError("refused")] * 601
    world = World(*drops, 30.0, TransientError("gone"))
    with capture_logs() as logs:
        await world.run()
    told = [line["error"] for line in logs if line["log_level"] == "warning"]
    assert told == ["refused"] * 6 + ["the other side ended the session"]


def test_a_failure_that_returns_after_a_recovery_is_logged_at_once() -> None:
    """And its gaps begin anew."""
    trouble = FailureLog("reading_delayed", lambda: 0.0)
    with capture_logs() as logs:
        for _ in range(2):
            trouble.seen(TransientError("451"))
            trouble.seen(TransientError("451"))
            trouble.over()
    assert [line["log_level"] for line in logs] == ["warning", "debug", "info"] * 2


async def test_each_retry_has_a_number_and_the_time_of_the_next_try() -> None:
    """In the log, and for whoever shows it; a healthy session begins the count anew."""
    drop = TransientError("drop")
    world = World(drop, TransientError("ban", retry_after=90.0), 30.0, drop)
    retries: list[Retry] = []
    with capture_logs() as logs:
        await world.run(on_retry=retries.append)
    assert [(r.cause, r.attempt, r.at) for r in retries] == [
        ("drop", 1, 1.0),
        ("ban", 2, 91.0),
        ("the other side ended the session", 1, 122.0),
        ("drop", 2, 123.0),
    ]
    assert world.reasons == [retry.cause for retry in retries]
    assert [(line["attempt"], line["next_try_in"]) for line in logs] == [
        (1, 1.0),
        (2, 90.0),
        (1, 1.0),
        (2, 1.0),
    ]


async def for_ever(ended: list[str], name: str) -> None:
    """Wait for nothing, and say when that ends."""
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def test_work_that_is_done_while_all_is_fine_ends_the_watches() -> None:
    """Its result is handed back; nothing is left running."""

    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    ended: list[str] = []
    assert await run_while_healthy(work(), for_ever(ended, "a"), for_ever(ended, "b")) == "done"
    assert sorted(ended) == ["a", "b"]


async def test_a_fault_of_a_watch_ends_the_work_and_is_raised_as_it_is() -> None:
    """Not wrapped in a group: whoever forgives it knows it by its type."""

    async def faulty() -> None:
        await asyncio.sleep(0)
        raise TransientError("gone")

    ended: list[str] = []
    with pytest.raises(TransientError, match="gone"):
        await run_while_healthy(for_ever(ended, "work"), for_ever(ended, "watch"), faulty())
    assert sorted(ended) == ["watch", "work"]


async def test_a_watch_that_has_nothing_more_to_watch_lets_the_work_finish() -> None:
    """An end without a fault is none."""

    async def over() -> None:
        """Nothing to watch."""

    async def work() -> int:
        for _ in range(10):
            await asyncio.sleep(0)
        return 1

    assert await run_while_healthy(work(), over()) == 1


async def test_cancelling_ends_work_and_watches() -> None:
    """A service that stops leaves nothing behind."""
    ended: list[str] = []
    task = asyncio.create_task(run_while_healthy(for_ever(ended, "work"), for_ever(ended, "watch")))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert sorted(ended) == ["watch", "work"]
