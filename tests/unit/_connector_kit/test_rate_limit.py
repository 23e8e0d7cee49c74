"""The request budget in virtual time: what it lets through, in which order, and when."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.rate_limit import (
    LONGEST_PAUSE,
    Priority,
    RateBudget,
    in_force,
    retry_after,
    spending_as,
)
from tests.support.virtual_time import run_virtually

LIMIT = 20
WINDOW = 10.0


def budget(reserve: float = 0.0) -> RateBudget:
    """One on the running loop's clock."""
    return RateBudget(LIMIT, WINDOW, reserve=reserve, clock=asyncio.get_running_loop().time)


requests = st.lists(
    st.tuples(
        st.floats(0, 15),  # seconds after the one before
        st.integers(1, LIMIT // 2),
        st.sampled_from(Priority),
        st.booleans(),  # its waiter gives up after a second
    ),
    max_size=40,
)


@given(requests, st.sampled_from([0.0, 0.2]))
def test_no_window_ever_sees_more_than_the_limit(
    asked: list[tuple[float, int, Priority, bool]], reserve: float
) -> None:
    """Whenever, however much and with whatever priority is asked; and nobody waits for ever."""

    async def main() -> None:
        limited = budget(reserve)
        loop = asyncio.get_running_loop()
        spent: list[tuple[float, int]] = []

        async def ask(weight: int, priority: Priority, *, impatient: bool) -> None:
            async with asyncio.timeout(1.0 if impatient else None):
                await limited.spend(min(weight, int(limited.full)), priority)
            spent.append((loop.time(), min(weight, int(limited.full))))

        waiting = []
        for pause, weight, priority, impatient in asked:
            await asyncio.sleep(pause)
            waiting.append(asyncio.create_task(ask(weight, priority, impatient=impatient)))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(result is None or isinstance(result, TimeoutError) for result in results)
        for start, _ in spent:
            seen = sum(weight for when, weight in spent if start <= when < start + WINDOW)
            assert seen <= LIMIT + 1e-6

    run_virtually(main())


def test_who_matters_more_goes_first() -> None:
    """Cancel, then resolve, place, balances and data; within one priority, who came first."""

    async def main() -> None:
        limited = budget()
        await limited.spend(LIMIT // 2)
        order: list[str] = []

        async def ask(name: str, priority: Priority) -> None:
            await limited.spend(2, priority)
            order.append(name)

        async with asyncio.TaskGroup() as tasks:
            for name, priority in (
                ("data 1", Priority.DATA),
                ("data 2", Priority.DATA),
                ("place", Priority.PLACE),
                ("cancel", Priority.CANCEL),
                ("balances", Priority.BALANCES),
                ("resolve", Priority.RESOLVE),
            ):
                tasks.create_task(ask(name, priority))
        assert order == ["cancel", "resolve", "place", "balances", "data 1", "data 2"]

    run_virtually(main())


def test_the_reserve_is_for_cancelling_everything_and_refills_first() -> None:
    """Of 10 at once 4 are kept: 2 of them for a bot's cancel-all, all for an operator's."""

    async def main() -> None:
        limited = budget(reserve=0.2)
        now = asyncio.get_running_loop().time
        assert (limited.full, limited.left) == (6.0, 6.0)
        for priority, room in ((Priority.CANCEL, 6), (Priority.CANCEL_ALL, 2)):
            assert await limited.spend_within(0.0, room, priority)
            assert not await limited.spend_within(0.5, 1, priority)
            limited.used(LIMIT - (4 if priority is Priority.CANCEL else 2))
        assert limited.seconds_for(2, Priority.OPERATOR) == 0.0
        assert limited.seconds_for(3, Priority.OPERATOR) == pytest.approx(1.0)
        assert limited.seconds_for(1, Priority.CANCEL_ALL) == pytest.approx(1.0)
        assert limited.seconds_for(1, Priority.CANCEL) == pytest.approx(3.0)
        assert await limited.spend_within(0.0, 2, Priority.OPERATOR)
        began = now()
        first = asyncio.create_task(limited.spend(1, Priority.DATA))
        await limited.spend(1, Priority.OPERATOR)  # it goes first though it came last
        assert now() - began == pytest.approx(1.0)
        await first
        assert now() - began == pytest.approx(6.0)  # 4 of the reserve, and its own
        with pytest.raises(ValueError, match="weight 7: expected at most 6"):
            await limited.spend(7, Priority.PLACE)
        await limited.spend(7, Priority.OPERATOR)

    run_virtually(main())


def test_a_pause_is_part_of_the_estimate() -> None:
    """Whatever there is to spend."""

    async def main() -> None:
        limited = budget(reserve=0.2)
        limited.pause(30.0)
        assert limited.seconds_for(1, Priority.OPERATOR) == pytest.approx(30.0)
        assert limited.left == 0.0

    run_virtually(main())


def test_whose_request_it_is_holds_for_all_that_is_done_on_his_behalf() -> None:
    """In the tasks that begin in the block too, and not after it."""

    async def main() -> None:
        async def seen() -> Priority:
            return in_force(Priority.BALANCES)

        with spending_as(Priority.OPERATOR):
            inside = asyncio.create_task(seen())
            with spending_as(None):
                assert await seen() is Priority.BALANCES
            assert await seen() is Priority.OPERATOR
        assert await inside is Priority.OPERATOR
        assert await seen() is Priority.BALANCES

    run_virtually(main())


def test_nothing_is_spent_during_a_pause() -> None:
    """Not even by a cancel; a shorter pause never cuts a longer one short."""

    async def main() -> None:
        limited = budget()
        limited.pause(120.0)
        limited.pause(1.0)
        await limited.spend(1, Priority.CANCEL)
        assert asyncio.get_running_loop().time() >= 120.0

    run_virtually(main())


def test_a_pause_holds_those_who_already_wait() -> None:
    """The timer that would have let them through comes too early, and waits again."""

    async def main() -> None:
        limited = budget()
        await limited.spend(LIMIT // 2)
        waiting = asyncio.create_task(limited.spend(1))
        await asyncio.sleep(0.1)
        limited.pause(60.0)
        await waiting
        assert asyncio.get_running_loop().time() >= 60.0

    run_virtually(main())


def test_the_venues_own_count_lowers_what_is_left() -> None:
    """What others behind the same address used is not ours to spend."""

    async def main() -> None:
        limited = budget()
        limited.used(LIMIT - 3)
        assert limited.left == pytest.approx(3)
        limited.used(0)
        assert limited.left == pytest.approx(3)
        limited.used(LIMIT + 5)  # it counts more than the limit: nothing for a while
        await limited.spend(1)
        assert asyncio.get_running_loop().time() >= 6.0

    run_virtually(main())


def test_who_waits_behind_one_that_gave_up_waits_no_longer_than_for_itself() -> None:
    """A cancelled waiter's share is free at once."""

    async def main() -> None:
        limited = budget()
        await limited.spend(LIMIT // 2)
        heavy = asyncio.create_task(limited.spend(LIMIT // 2))
        light = asyncio.create_task(limited.spend(1))
        await asyncio.sleep(0.1)
        heavy.cancel()
        await light
        assert asyncio.get_running_loop().time() == pytest.approx(1.0, abs=0.01)

    run_virtually(main())


def test_a_weight_that_could_never_be_saved_up_is_an_error() -> None:
    """Rather than a wait without end."""

    async def main() -> None:
        with pytest.raises(ValueError, match="weight 11: expected at most 10"):
            await budget().spend(LIMIT // 2 + 1)

    run_virtually(main())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("9" * 400, float(LONGEST_PAUSE)),
        (None, 42.0),
        ("", 42.0),
        ("soon", 42.0),
        ("-5", 42.0),
        ("1.5", 42.0),
        ("nan", 42.0),
        ("inf", 42.0),
        ("\uff11\uff12", 42.0),  # digits, but not ASCII
        ("Wed, 32 Foo 2026 99:99:99 GMT", 42.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_or_replaced(header: str | None, seconds: float) -> None:
    """Seconds, a date that has passed, or anything else, which is worth the default."""
    assert retry_after(header, 42.0) == seconds


def test_retry_after_may_be_a_date() -> None:
    """As RFC 9110 allows."""
    moment = datetime.now(UTC) + timedelta(seconds=100)
    assert 90.0 < retry_after(format_datetime(moment, usegmt=True), 42.0) <= 100.0
