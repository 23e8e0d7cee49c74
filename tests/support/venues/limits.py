"""A venue's limits for tests."""

import time
from collections.abc import Callable

from services._connector_kit.limits import VenueLimits
from services._connector_kit.rate_limit import RateBudget

USUAL_BAN = 60.0


def venue_limits(
    requests: int = 6000,
    connections: int = 150,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> VenueLimits:
    """Limits of a minute and of five; a ban without a time lasts a minute."""
    return VenueLimits(
        RateBudget(requests, 60.0, clock=clock),
        RateBudget(connections, 300.0, clock=clock),
        usual_ban=USUAL_BAN,
        clock=clock,
    )
