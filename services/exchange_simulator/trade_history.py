"""A bounded history of numbered rows: trades by trade id, found by id or by time."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator


class TradeHistory:
    """The last *capacity* rows of *width* whole numbers; row ids are contiguous.

    The first number of a row is its time in ms, which never decreases. Rows are stored flat in
    one array, 8 bytes a number: a hundred thousand trades use a few megabytes.
    """

    def __init__(self, first_id: int, width: int, capacity: int) -> None:
        self._width = width
        self._capacity = capacity
        self._start = first_id  # the id of the first row in slot 0
        self._cells = array("q")
        self.next_id = first_id

    @property
    def first_id(self) -> int:
        """The oldest id kept (`next_id` if there is none)."""
        return max(self._start, self.next_id - self._capacity)

    def append(self, *row: int) -> int:
        """Add a row; returns its id."""
        at = self._slot(self.next_id)
        if at == len(self._cells):
            self._cells.extend(row)
        else:
            self._cells[at : at + self._width] = array("q", row)
        self.next_id += 1
        return self.next_id - 1

    def row(self, row_id: int) -> tuple[int, ...]:
        """The row of an id.

        Raises:
            KeyError: the row isn't kept any more, or not written yet.
        """
        if not self.first_id <= row_id < self.next_id:
            raise KeyError(row_id)
        at = self._slot(row_id)
        return tuple(self._cells[at : at + self._width])

    def rows(self, first: int, last: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """`(id, row)` for the ids kept in `first <= id < last`."""
        for row_id in range(max(first, self.first_id), min(last, self.next_id)):
            yield row_id, self.row(row_id)

    def first_at(self, time_ms: int) -> int:
        """The first id kept whose time is *time_ms* or later (`next_id` if there is none)."""
        ids = range(self.first_id, self.next_id)
        return self.first_id + bisect_left(ids, time_ms, key=lambda i: self._cells[self._slot(i)])

    def _slot(self, row_id: int) -> int:
        return (row_id - self._start) % self._capacity * self._width
