"""The 24 h window: sums of its trades, kept a minute at a time."""

from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.day_stats import DAY_MINUTES, MINUTE_MS, DayStats

START = 1_790_000_040_000  # a whole minute


def test_a_market_without_trades_has_no_window() -> None:
    """The window is None, not zeros."""
    assert DayStats().window(START) is None


@given(st.lists(st.tuples(st.integers(0, MINUTE_MS * 3), st.integers(1, 99), st.integers(1, 9))))
def test_the_window_sums_all_its_trades(trades: list[tuple[int, int, int]]) -> None:
    """All trades of a day count."""
    day, now = DayStats(), START
    for trade_id, (gap, price, quantity) in enumerate(trades):
        now += gap
        day.add(now, trade_id, price, quantity)
    window = day.window(now)
    if window is None:
        assert not trades
        return
    prices = [price for _, price, _ in trades]
    assert (window.open, window.close) == (prices[0], prices[-1])
    assert (window.high, window.low) == (max(prices), min(prices))
    assert window.volume == sum(quantity for _, _, quantity in trades)
    assert window.money == sum(price * quantity for _, price, quantity in trades)
    assert (window.first_id, window.last_id, window.count) == (0, len(trades) - 1, len(trades))


def test_older_trades_leave_the_window_and_set_the_price_before_it() -> None:
    """After a day and a minute only the new trade counts."""
    day = DayStats()
    day.add(START, 1, 100, 5)
    later = START + (DAY_MINUTES + 1) * MINUTE_MS
    day.add(later, 2, 200, 7)
    window = day.window(later)
    assert window is not None
    assert (window.open, window.volume, window.count) == (200, 7, 1)
    assert day.price_before() == 100


def test_a_shorter_window_excludes_older_minutes() -> None:
    """Five minutes contain fewer trades than a day."""
    day = DayStats()
    day.add(START, 1, 100, 5)
    day.add(START + 10 * MINUTE_MS, 2, 200, 7)
    recent = day.window(START + 10 * MINUTE_MS, minutes=5)
    assert recent is not None
    assert recent.volume == 7
