"""A venue's three limits in virtual time: what each of them holds, and what it doesn't."""

import asyncio

import pytest

from services._connector_kit.errors import RateLimitedError
from services._connector_kit.limits import (
    CONNECT_WITHIN,
    RESOLVE_WITHIN,
    OrderLimit,
    VenueLimits,
)
from services._connector_kit.rate_limit import LONGEST_PAUSE, Priority
from tests.support.venues.limits import USUAL_BAN, venue_limits
from tests.support.virtual_time import run_virtually


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


def limits(requests: int = 6000, connections: int = 150) -> VenueLimits:
    """Some on the running loop's clock."""
    return venue_limits(requests, connections, clock=now)


def test_a_reached_limit_of_new_orders_holds_nothing_else() -> None:
    """Requests of every priority and connections go on at once."""

    async def main() -> None:
        some = limits()
        some.orders.close(10.0)
        for priority in Priority:
            await some.spend(1, priority)
        await some.connect()
        assert now() == 0.0
        assert await some.orders.open_within(11.0)
        assert now() == 10.0

    run_virtually(main())


def test_new_orders_are_not_waited_for_in_vain() -> None:
    """Where the limit lasts longer, the answer is no, at once; never before it is over."""

    async def main() -> None:
        some = OrderLimit(now)
        assert await some.open_within(0.0)
        some.close(10.0)
        some.close(3.0)  # a shorter one never cuts a longer one short
        assert some.closed_for == 10.0
        assert not await some.open_within(9.9)
        assert now() == 0.0
        assert await some.open_within(10.0)
        assert (now(), some.closed_for) == (10.0, 0.0)

    run_virtually(main())


@pytest.mark.parametrize(("again", "opens"), [(3.0, True), (6.0, False)])
def test_a_limit_that_is_reached_again_meanwhile_is_waited_for_too(
    again: float, opens: bool
) -> None:
    """As far as there is time."""

    async def main() -> None:
        some = OrderLimit(now)
        some.close(5.0)
        asyncio.get_running_loop().call_later(4.0, some.close, again)
        assert await some.open_within(8.0) is opens
        assert now() == (7.0 if opens else 5.0)

    run_virtually(main())


def test_a_ban_holds_requests_and_connections_and_orders_only_through_them() -> None:
    """For the time that is named."""

    async def main() -> None:
        some = limits()
        assert some.ban(20.0) == 20.0
        assert some.orders.closed_for == 0.0
        cancel = asyncio.create_task(some.spend(1, Priority.CANCEL))
        await some.connect()
        assert now() == 20.0
        await cancel

    run_virtually(main())


@pytest.mark.parametrize(
    ("seconds", "lasts"),
    [(None, USUAL_BAN), (-5.0, 0.0), (7.5, 7.5), (1e12, float(LONGEST_PAUSE))],
)
def test_a_ban_has_its_bounds(seconds: float | None, lasts: float) -> None:
    """Where no time is named it is the usual; none is longer than the venue's longest."""

    async def main() -> None:
        some = limits()
        assert some.ban(seconds) == lasts
        assert some.requests.paused_for == some.connections.paused_for == lasts

    run_virtually(main())


def test_a_header_says_how_long_a_ban_lasts() -> None:
    """Where it can't be read, it is the usual time."""

    async def main() -> None:
        assert limits().obey("7") == 7.0
        some = limits()
        assert some.obey(None) == USUAL_BAN
        assert some.requests.paused_for == USUAL_BAN

    run_virtually(main())


def test_what_resolves_an_order_learns_at_once_of_a_ban() -> None:
    """And for how long; a short one it waits out."""

    async def main() -> None:
        some = limits()
        some.ban(RESOLVE_WITHIN - 1.0)
        await some.spend(1, Priority.RESOLVE)
        assert now() == RESOLVE_WITHIN - 1.0
        some.ban(60.0)
        with pytest.raises(RateLimitedError, match="bans this address for 60 s") as caught:
            await some.spend(1, Priority.RESOLVE)
        assert (now(), caught.value.retry_after) == (RESOLVE_WITHIN - 1.0, 60.0)

    run_virtually(main())


def test_a_request_that_resolves_an_order_waits_only_briefly_for_budget() -> None:
    """What it didn't get isn't spent; other priorities wait as long as it takes."""

    async def main() -> None:
        some = limits(requests=20)
        await some.spend(10, Priority.DATA)
        with pytest.raises(RateLimitedError, match="the budget is spent"):
            await some.spend(10, Priority.RESOLVE)
        assert now() == RESOLVE_WITHIN
        await some.spend(10, Priority.BALANCES)
        assert now() == pytest.approx(60.0)

    run_virtually(main())


def test_connections_share_one_budget() -> None:
    """Never more in five minutes than it allows; one that would wait for long says so."""

    async def main() -> None:
        some = limits(connections=30)
        opened: list[float] = []
        refused: list[RateLimitedError] = []

        async def keep_connecting() -> None:
            while now() < 1000.0:
                try:
                    await some.connect()
                except RateLimitedError as e:
                    refused.append(e)
                else:
                    opened.append(now())

        await asyncio.gather(*(keep_connecting() for _ in range(3)))
        assert opened[:16] == [0.0] * 15 + [pytest.approx(20.0)]
        for start in opened:
            assert sum(start <= at < start + 300.0 for at in opened) <= 30
        assert refused
        assert {error.retry_after for error in refused} == {0.0}

    run_virtually(main())


def test_a_connection_during_a_ban_is_refused_at_once_with_its_time() -> None:
    """A short ban is waited out."""

    async def main() -> None:
        some = limits()
        some.ban(CONNECT_WITHIN + 1)
        with pytest.raises(RateLimitedError, match="bans this address") as caught:
            await some.connect()
        assert (now(), caught.value.retry_after) == (0.0, CONNECT_WITHIN + 1)
        await asyncio.sleep(2.0)
        await some.connect()
        assert now() == CONNECT_WITHIN + 1

    run_virtually(main())
