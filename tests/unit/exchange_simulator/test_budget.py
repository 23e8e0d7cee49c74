"""The request budget: counted for each client, reset each minute."""

from services.exchange_simulator.budget import MinuteBudget


def test_each_client_has_its_own_count_that_resets_each_minute() -> None:
    """A new minute resets all counts."""
    now = 60_000
    budget = MinuteBudget(100, lambda: now)
    assert [budget.charge("a", 7), budget.charge("a", 5), budget.charge("b", 1)] == [7, 12, 1]
    now = 119_999
    assert budget.charge("a", 1) == 13
    now = 120_000
    assert budget.charge("a", 2) == 2


def test_seconds_left_is_the_rest_of_the_minute() -> None:
    """In whole seconds, rounded up: after that wait a new minute has started."""
    now = 60_000
    budget = MinuteBudget(100, lambda: now)
    assert budget.seconds_left() == 60
    now = 119_001
    assert budget.seconds_left() == 1
