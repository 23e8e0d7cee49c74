"""A streamed book against REST's: told apart from a stream that is behind and from a cache."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.errors import TransientError
from services._connector_kit.market_data.order_book import LevelBook
from services.luno_connector.book_comparison import AROUND, TRIES, BookComparison
from services.luno_connector.rest import LunoRest
from services.luno_connector.translate import TopOfBook
from tests.support.virtual_time import run_virtually


def book(bid: float) -> LevelBook:
    """A book that tells by its bid which one it is."""
    return LevelBook(1, [(bid, 1.0), (1.0, 2.0)], [(1e6, 1.0)], limit=1000)


class Rest:
    """REST's book: some time ago's, or what is to come."""

    def __init__(self, bid: Callable[[float], float]) -> None:
        self.asked = 0
        self._bid = bid

    async def top_of_book(self, _: str) -> TopOfBook:
        """By the loop's time."""
        self.asked += 1
        bid = self._bid(asyncio.get_running_loop().time())
        return TopOfBook(0, book(bid))


def compared(rest: Rest, seconds: float = 60.0) -> str | None:
    """What is found where a book's bid is the second, and its stream is told once a second."""

    async def main() -> str | None:
        ours = book(100.0)
        comparison = BookComparison("XBTZAR", cast(LunoRest, rest))

        async def move() -> None:
            for second in range(1, round(seconds)):
                await asyncio.sleep(1.0)
                ours.bids.update([(99.0 + second, 0.0), (100.0 + second, 1.0)])
                comparison.note(ours)

        moving = asyncio.create_task(move())
        try:
            return await comparison.difference(ours)
        finally:
            moving.cancel()

    return run_virtually(main())


@given(st.floats(-1.9, 1.9))
def test_a_rest_side_that_is_a_little_ahead_or_behind_does_not_differ(ahead: float) -> None:
    """By less than two seconds, in a market that moves every second."""
    rest = Rest(lambda now: 100.0 + int(now + ahead))
    assert compared(rest) is None
    assert rest.asked == 1


def test_a_cache_that_is_older_is_asked_again() -> None:
    """Its answer was true before the first look; the next one is fresh."""
    rest = Rest(lambda now: 100.0 if now < 2 * AROUND else 100.0 + int(now))

    async def main() -> str | None:
        ours = book(500.0)
        comparison = BookComparison("XBTZAR", cast(LunoRest, rest))
        return await comparison.difference(ours)

    assert run_virtually(main()) is not None
    assert rest.asked == TRIES
    fresh = Rest(lambda now: 3.0 if now < 2 * AROUND else 100.0 + int(now))
    assert compared(fresh) is None
    assert fresh.asked == 2


def test_a_book_that_was_never_rests_differs_and_it_is_said_how() -> None:
    """After several looks."""
    rest = Rest(lambda now: 100.5 + int(now))
    found = compared(rest)
    assert found is not None
    assert found.startswith("bid ")
    assert "the venue's is" in found
    assert rest.asked == TRIES


def test_a_rest_side_that_fails_proves_nothing() -> None:
    """The error goes up, and the next comparison begins anew."""

    class Down(Rest):
        async def top_of_book(self, pair: str) -> TopOfBook:
            if not self.asked:
                self.asked += 1
                raise TransientError("down")
            return await super().top_of_book(pair)

    rest = Down(lambda _: 100.0)

    async def main() -> None:
        comparison = BookComparison("XBTZAR", cast(LunoRest, rest))
        with pytest.raises(TransientError):
            await comparison.difference(book(100.0))
        assert await comparison.difference(book(100.0)) is None

    run_virtually(main())
