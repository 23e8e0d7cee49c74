"""Where each symbol's feed stands, for readiness and for those who ask."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import structlog

from common_models import SymbolStatus
from services._runtime.health import STOPPED, Readiness

log = structlog.get_logger()

State = Literal["syncing", "live", "stale"]


def _nothing() -> None:
    """Nobody wants to know."""


class FeedStatus:
    """One symbol's feed: `live` while its book is the venue's, `stale` while nothing comes.

    Its feed sets `heard_at` with each frame (`time.monotonic`) and says where to look for the
    book's `sequence` and the number of trades that were `lost`.
    """

    def __init__(self, symbol: str, readiness: Readiness) -> None:
        self.symbol = symbol
        self.state: State = "syncing"
        self.heard_at: float | None = None
        self.sequence: Callable[[], int | None] = lambda: None
        self.lost: Callable[[], int] = lambda: 0
        self.on_change: Callable[[], None] = _nothing
        self._reason: str | None = "waiting for the first book"
        self._since = datetime.now(UTC)
        self._part = f"feed {symbol}"
        self._readiness = readiness
        readiness.waiting(self._part, f"syncing: {self._reason}")

    def live(self) -> None:
        """The book is the venue's."""
        if self.state != "live":
            log.info("feed_live", symbol=self.symbol)
            self._readiness.ok(self._part)
            self._become("live", None)

    def syncing(self, reason: str) -> None:
        """The book is not the venue's (yet), and nothing of it is published."""
        self._leave_live("syncing", reason)

    def stale(self, reason: str) -> None:
        """Nothing comes: the connection is gone, or silent."""
        self._leave_live("stale", reason)

    def stopped(self, reason: str) -> None:
        """This feed can't go on."""
        log.error("feed_stopped", symbol=self.symbol, reason=reason)
        self._readiness.waiting(self._part, f"{STOPPED}{reason}")
        self._become("stale", reason)

    def _leave_live(self, state: State, reason: str) -> None:
        if self.state == "live":
            log.info("feed_not_live", symbol=self.symbol, state=state, reason=reason)
        self._readiness.waiting(self._part, f"{state}: {reason}")
        self._become(state, reason)

    def _become(self, state: State, reason: str | None) -> None:
        self._reason = reason
        if state != self.state:
            self.state = state
            self._since = datetime.now(UTC)
            self.on_change()

    def report(self) -> SymbolStatus:
        """All that is known of it."""
        heard_at = self.heard_at
        return SymbolStatus(
            symbol=self.symbol,
            state=self.state,
            since=self._since,
            sequence=self.sequence(),
            last_message_age=None if heard_at is None else round(time.monotonic() - heard_at, 3),
            reason=self._reason,
            trades_lost=self.lost(),
        )
