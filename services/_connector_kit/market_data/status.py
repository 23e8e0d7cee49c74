"""Where each symbol's feed stands, for readiness and for those who ask."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import structlog

from common_models import RetryStatus, SymbolStatus
from services._connector_kit.instruments import MarketStatus
from services._runtime.health import Readiness
from services._runtime.supervise import Retry

log = structlog.get_logger()

IDS_RESTARTED = "venue_ids_restarted"
# How the names of the feeds' parts begin, for readiness.
FEED = "feed "

State = Literal["syncing", "live", "polled", "stale"]


def _nothing() -> None:
    """No callback is set."""


def _ignore(_: object) -> None:
    """No callback is set."""


def _trading() -> MarketStatus:
    return "trading"


def retry_status(retry: Retry) -> RetryStatus:
    """A retry as it is published."""
    return RetryStatus(attempt=retry.attempt, next_try_in=retry.next_try_in)


@dataclass(slots=True)
class TradeCounts:
    """Of one symbol's trades: those missing for good, those from history, those repeated."""

    lost: int = 0
    refilled: int = 0
    repeated: int = 0


class FeedStatus:
    """One symbol's feed: `live` while its book is the venue's, `stale` while nothing comes.

    `polled` is one whose book is asked for again and again. Its feed sets `heard_at` with each
    frame (`time.monotonic`), and with each event of the venue `event_at` (its own time in
    milliseconds) and `event_heard_at`. It says where to look for the book's `sequence` and for what
    is counted of the `trades`. `resyncs` counts how often the feed stopped working, `compared` how
    often the book's levels were compared with REST's, and `differed` how often they weren't the
    same. The feed passes the market's status to `on_market` (None: unknown); `market` says which
    orders are accepted.
    """

    def __init__(self, symbol: str, readiness: Readiness) -> None:
        self.symbol = symbol
        self.state: State = "syncing"
        self.heard_at: float | None = None
        self.event_at = 0
        self.event_heard_at: float | None = None
        self.sequence: Callable[[], int | None] = lambda: None
        self.trades = TradeCounts()
        self.resyncs = self.compared = self.differed = 0
        self.on_change: Callable[[], None] = _nothing
        self.on_market: Callable[[MarketStatus | None], None] = _ignore
        self.market: Callable[[], MarketStatus] = _trading
        self._reason: str | None = "waiting for the first book"
        self._note: str | None = None
        self._retry: Retry | None = None
        self._since = datetime.now(UTC)
        self._not_live_since = time.monotonic()
        self._part = f"{FEED}{symbol}"
        self._readiness = readiness
        readiness.waiting(self._part, f"syncing: {self._reason}")

    @property
    def works(self) -> bool:
        """True while what the venue has is published, at once or when it is asked."""
        return self.state in ("live", "polled")

    def live(self) -> None:
        """The book is the venue's."""
        if self.state != "live":
            self._work("live", None)

    def polled(self, age: float) -> None:
        """The book was the venue's when it was asked; it is asked again within *age* seconds."""
        self._work("polled", f"asked for by REST, up to {age:.0f} s old")

    def _work(self, state: State, reason: str | None) -> None:
        if not self.works:
            log.info("feed_live", symbol=self.symbol)
            self._readiness.ok(self._part)
            self._retry = None
        self._become(state, reason)

    def syncing(self, reason: str, retry: Retry | None = None) -> None:
        """The book is not the venue's (yet), and nothing of it is published."""
        self._leave_live("syncing", reason, retry)

    def stale(self, reason: str) -> None:
        """Nothing comes: the connection is gone, or silent."""
        self._leave_live("stale", reason, None)

    def retrying(self, retry: Retry) -> None:
        """Nothing comes, and it is tried again."""
        self._leave_live("stale", retry.cause, retry)

    def book_compared(self, difference: str | None) -> None:
        """The book's levels were compared with REST's."""
        self.compared += 1
        if difference is not None:
            self.differed += 1
            log.error("book_differs", symbol=self.symbol, difference=difference)

    def note(self, reason: str) -> None:
        """Set a reason that is published while the feed works."""
        self._note = reason
        self.on_change()

    def _leave_live(self, state: State, reason: str, retry: Retry | None) -> None:
        if self.works:
            self._note = None
            log.info("feed_not_live", symbol=self.symbol, state=state, reason=reason)
        self._retry = retry
        self._readiness.waiting(self._part, f"{state}: {reason}", retry=retry)
        self._become(state, reason)

    def _become(self, state: State, reason: str | None) -> None:
        self._reason = reason
        if state != self.state:
            worked, self.state = self.works, state
            if worked and not self.works:
                self.resyncs += 1
                self._not_live_since = time.monotonic()
            self._since = datetime.now(UTC)
            self.on_change()

    @property
    def age(self) -> float | None:
        """Seconds since the last frame; None before the first."""
        return None if self.heard_at is None else time.monotonic() - self.heard_at

    @property
    def lag(self) -> float | None:
        """Seconds from the newest event to when we had it; below 0 where our clock is behind."""
        if self.event_heard_at is None:
            return None
        return time.time() - (time.monotonic() - self.event_heard_at) - self.event_at / 1000

    @property
    def not_live_for(self) -> float:
        """Seconds; 0 while it works."""
        return 0.0 if self.works else time.monotonic() - self._not_live_since

    def report(self) -> SymbolStatus:
        """All that is known of it."""
        age = self.age
        said = [self._reason, self._note if self.works else None]
        return SymbolStatus(
            symbol=self.symbol,
            state=self.state,
            since=self._since,
            sequence=self.sequence(),
            last_message_age=None if age is None else round(age, 3),
            reason="; ".join(filter(None, said)) or None,
            market_status=self.market(),
            trades_lost=self.trades.lost,
            retry=None if self._retry is None else retry_status(self._retry),
        )
