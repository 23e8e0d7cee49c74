"""The trade history: the last rows, by id and by time."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.trade_history import TradeHistory

steps = st.lists(st.integers(0, 3), max_size=40)
capacities = st.integers(1, 10)


def recorded(times: list[int], capacity: int) -> TradeHistory:
    """A history that starts at id 100, with a row `(time, index)` for each time."""
    history = TradeHistory(100, 2, capacity)
    for index, time_ms in enumerate(times):
        assert history.append(time_ms, index) == 100 + index
    return history


@given(steps, capacities)
def test_the_history_keeps_exactly_the_last_rows(gaps: list[int], capacity: int) -> None:
    """The last *capacity* rows can be read, and no others."""
    times = list(accumulate(gaps))
    history = recorded(times, capacity)
    rows = [(100 + i, (t, i)) for i, t in enumerate(times)]
    assert list(history.rows(0, 10**9)) == rows[-capacity:]
    assert history.next_id == 100 + len(times)
    with pytest.raises(KeyError):
        history.row(history.first_id - 1)
    with pytest.raises(KeyError):
        history.row(history.next_id)


@given(steps, capacities, st.integers(0, 130))
def test_a_time_finds_the_first_row_not_before_it(
    gaps: list[int], capacity: int, wanted: int
) -> None:
    """Among the rows kept, including rows with equal times."""
    times = list(accumulate(gaps))
    history = recorded(times, capacity)
    kept = list(enumerate(times, 100))[-capacity:]
    assert history.first_at(wanted) == next((i for i, t in kept if t >= wanted), history.next_id)
