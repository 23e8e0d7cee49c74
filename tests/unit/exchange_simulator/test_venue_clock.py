"""A venue's clock."""

from services.exchange_simulator.venue_clock import SimulatedClock


def test_it_is_as_far_off_as_it_is_told() -> None:
    """In both directions, and right again."""
    clock = SimulatedClock(lambda: 1000)
    said = []
    for clock.offset_ms in (0, 500, -500, 0):
        said.append(clock())
    assert said == [1000, 1500, 500, 1000]
