"""Positions in streams: every entry that nobody can read any more is counted, and no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime.entry_ids import START, parse_entry_id
from services._runtime.stream_position import (
    StreamGap,
    StreamPosition,
    StreamState,
    resume_from,
)

A = "binance:BTCUSDT:trades"


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.none() | st.integers(0))
def test_a_position_survives_being_written_down(ms: int, sequence: int, count: int | None) -> None:
    """`parse` gives back what `str` wrote."""
    position = StreamPosition(f"{ms}-{sequence}", count)
    assert StreamPosition.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "$", "1", "1-", "1-2-3", "a-b", "1-2/x", "/3"])
def test_an_invalid_position_is_refused(text: str) -> None:
    """Nonsense never becomes a place to read from."""
    with pytest.raises(ValueError, match="invalid literal"):
        StreamPosition.parse(text)


@given(st.lists(st.integers(1, 10**6), unique=True, max_size=30), st.data())
def test_settling_counts_exactly_what_was_trimmed_unread(ids: list[int], draw: Any) -> None:
    """Any stream, any trimming, any position in it: the loss is what nobody can read any more."""
    ids.sort()
    read = draw.draw(st.integers(0, len(ids)), label="read")
    trimmed = draw.draw(st.integers(0, len(ids)), label="trimmed")
    left = [f"{ms}-0" for ms in ids[trimmed:]]
    state = StreamState(
        first=left[0] if left else None,
        last=f"{ids[-1]}-0" if ids else START,
        added=len(ids),
        length=len(left),
    )
    position, gap = resume_from(
        A, StreamPosition(f"{ids[read - 1]}-0" if read else START, read), state
    )
    lost = max(0, trimmed - read)
    assert (gap.lost if gap else 0) == lost
    readable = [i for i in left if parse_entry_id(i) > parse_entry_id(position.id)]
    assert len(readable) == len(ids) - max(read, trimmed)
    assert position.count == len(ids) - len(readable)


def test_a_position_beyond_the_end_restarts_at_what_is_there() -> None:
    """Ids that went back mean a Redis that forgot: all it has is new to us."""
    state = StreamState(first="50-0", last="60-0", added=7, length=3)
    position, gap = resume_from(A, StreamPosition("100-0", 40), state)
    assert position == StreamPosition(START, 4)
    assert gap == StreamGap(A, "restarted", "100-0", "50-0", None)


def test_a_stream_with_fewer_entries_than_were_read_was_recreated() -> None:
    """Emptied and filled again with later ids: nothing is read twice, and it is said."""
    state = StreamState(first="200-0", last="210-0", added=5, length=5)
    position, gap = resume_from(A, StreamPosition("100-0", 40), state)
    assert position == StreamPosition("100-0", None)
    assert gap == StreamGap(A, "restarted", "100-0", "200-0", None)


def test_a_bare_id_older_than_the_stream_is_a_gap_of_unknown_size() -> None:
    """Where nobody counted, the loss is said without a number."""
    state = StreamState(first="200-0", last="210-0", added=50, length=5)
    assert resume_from(A, StreamPosition("100-0"), state) == (
        StreamPosition("100-0", 45),
        StreamGap(A, "trimmed", "100-0", "200-0", None),
    )
