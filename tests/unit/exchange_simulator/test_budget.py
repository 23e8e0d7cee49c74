"""The request budget: counted by client, anew each minute."""

from services.exchange_simulator.budget import MinuteBudget


def test_each_client_is_counted_for_itself_and_anew_each_minute() -> None:
    """A new minute forgets; another client starts at its own weight."""
    now = 60_000
    budget = MinuteBudget(100, lambda: now)
    assert [budget.charge("a", 7), budget.charge("a", 5), budget.charge("b", 1)] == [7, 12, 1]
    now = 119_999
    assert budget.charge("a", 1) == 13
    now = 120_000
    assert budget.charge("a", 2) == 2


def test_it_says_how_long_the_minute_lasts() -> None:
    """Whole seconds, rounded up: waiting that long is always enough."""
    now = 60_000
    budget = MinuteBudget(100, lambda: now)
    assert budget.seconds_left() == 60
    now = 119_001
    assert budget.seconds_left() == 1
