"""Requests are counted by what became of them."""

import asyncio

import pytest

from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.venue_stats import OUTCOMES, VenueStats
from tests.support.venues.limits import venue_limits


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TransientError("no answer"), "transient"),
        (RateLimitedError("later", retry_after=1.0), "rate_limited"),
        (RejectedError("no"), "rejected"),
        (FeedStoppedError("bad key"), "key_refused"),
    ],
)
async def test_a_request_counts_once_by_how_its_error_is_sorted(
    error: Exception, outcome: str
) -> None:
    """And the error goes on as it is."""
    stats = VenueStats(venue_limits())
    with pytest.raises(type(error)) as caught, stats.request():
        raise error
    assert caught.value is error
    assert stats.requests == dict.fromkeys(OUTCOMES, 0) | {outcome: 1}


async def test_a_request_that_was_answered_is_ok() -> None:
    """Once the answer is there."""
    stats = VenueStats(venue_limits())
    with stats.request():
        assert stats.requests["ok"] == 0
    assert stats.requests["ok"] == 1


async def test_a_request_that_was_cancelled_has_no_outcome() -> None:
    """Nobody waited for one."""
    stats = VenueStats(venue_limits())
    with pytest.raises(asyncio.CancelledError), stats.request():
        raise asyncio.CancelledError
    assert not any(stats.requests.values())
