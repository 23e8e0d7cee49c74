"""Compares a streamed book with REST's, which has no sequence: an earlier state must match.

REST may be ahead of the stream, and a cache may answer for it with what was before.
"""

import asyncio

from services._connector_kit.market_data.order_book import Book, difference
from services.luno_connector.rest import LunoRest

LEVELS = 20
# The book's states are noted from so many seconds before the question until as many after it.
AROUND = 2.0
# So often REST must show what the book has not been, one time after the other.
TRIES = 3

Levels = tuple[tuple[float, float], ...]


class BookComparison:
    """Compares one pair's book, whose every change must be noted."""

    def __init__(self, pair: str, rest: LunoRest) -> None:
        self._pair = pair
        self._rest = rest
        self._seen: set[tuple[Levels, Levels]] | None = None

    def note(self, book: Book) -> None:
        """The book changed."""
        if self._seen is not None:
            self._seen.add(_best(book))

    async def difference(self, book: Book) -> str | None:
        """How *book* differs from REST's; None where it doesn't.

        Raises what the kit's `errors` lists.
        """
        for _ in range(TRIES):
            seen = self._seen = {_best(book)}
            try:
                await asyncio.sleep(AROUND)
                theirs = (await self._rest.top_of_book(self._pair)).book
                found = difference(book, theirs, LEVELS)
                await asyncio.sleep(AROUND)
            finally:
                self._seen = None
            if found is None or _best(theirs) in seen:
                return None
        return found


def _best(book: Book) -> tuple[Levels, Levels]:
    return tuple(book.bids.top(LEVELS)), tuple(book.asks.top(LEVELS))
