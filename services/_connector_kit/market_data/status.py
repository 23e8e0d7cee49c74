"""Where each symbol's feed stands, for readiness and for those who ask."""

from typing import Literal

import structlog

from services._runtime.health import Readiness

log = structlog.get_logger()

State = Literal["syncing", "live", "stopped"]


class FeedStatus:
    """One symbol's feed: `live` while its book is the venue's."""

    def __init__(self, symbol: str, readiness: Readiness) -> None:
        self.symbol = symbol
        self.state: State = "syncing"
        self._part = f"feed {symbol}"
        self._readiness = readiness
        readiness.waiting(self._part, "syncing: waiting for the first book")

    def live(self) -> None:
        """The book is the venue's."""
        if self.state != "live":
            self.state = "live"
            log.info("feed_live", symbol=self.symbol)
            self._readiness.ok(self._part)

    def syncing(self, reason: str) -> None:
        """The book is not the venue's (yet), and nothing of it is published."""
        if self.state == "live":
            log.info("feed_syncing", symbol=self.symbol, reason=reason)
        self.state = "syncing"
        self._readiness.waiting(self._part, f"syncing: {reason}")

    def stopped(self, reason: str) -> None:
        """This feed can't go on."""
        self.state = "stopped"
        log.error("feed_stopped", symbol=self.symbol, reason=reason)
        self._readiness.waiting(self._part, f"stopped: {reason}")
