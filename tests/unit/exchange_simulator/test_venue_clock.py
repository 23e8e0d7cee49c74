"""A venue's clock."""

from services.exchange_simulator.venue_clock import SimulatedClock


def test_the_clock_has_the_configured_offset() -> None:
    """In both directions, and without an offset."""
    clock = SimulatedClock(lambda: 1000)
    said = []
    for clock.offset_ms in (0, 500, -500, 0):
        said.append(clock())
    assert said == [1000, 1500, 500, 1000]
