"""What goes to and fro between us and a venue, counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.limits import VenueLimits


@dataclass(slots=True)
class SocketStats:
    """The sockets of one kind: the limits and the proxy they are opened by, and what came in."""

    limits: VenueLimits | None = None
    proxy: str | None = None
    connections: int = 0
    messages: int = 0
    bytes: int = 0
    bad_frames: int = 0


# What becomes of a request: an answer, or how its error was sorted.
OUTCOMES = ("ok", "transient", "rate_limited", "rejected", "key_refused")


class VenueStats:
    """One venue's: its sockets by kind, its requests by outcome, and its limits."""

    def __init__(
        self,
        limits: VenueLimits,
        *,
        market_proxy: str | None = None,
        account_proxy: str | None = None,
    ) -> None:
        self.limits = limits
        self.market = SocketStats(limits, market_proxy)
        self.account = SocketStats(limits, account_proxy)
        self.requests = dict.fromkeys(OUTCOMES, 0)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count what becomes of the one request in this block."""
        try:
            yield
        except (TransientError, RejectedError, FeedStoppedError) as e:
            self.requests[_outcome(e)] += 1
            raise
        else:
            self.requests["ok"] += 1


def _outcome(error: Exception) -> str:
    match error:
        case RateLimitedError():
            return "rate_limited"
        case RejectedError():
            return "rejected"
        case FeedStoppedError():
            return "key_refused"
        case _:
            return "transient"
