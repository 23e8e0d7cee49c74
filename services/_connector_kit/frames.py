"""Frames that can't be read: counted, shown now and then, never fatal."""

import time
from collections.abc import Callable

import structlog

from services._connector_kit.venue_stats import SocketStats
from services._runtime.redaction import excerpt

log = structlog.get_logger()

SHOWN = 200
# Of a frame that may be a megabyte; no secret is as long.
READ = 4096
SHOW_EVERY = 30.0


class BadFrames:
    """Counts malformed and unknown frames of one feed; logs one each `SHOW_EVERY` seconds.

    They are counted in *stats* too, together with those of other feeds.
    """

    def __init__(
        self,
        feed: str,
        stats: SocketStats | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count = 0
        self._feed = feed
        self._stats = stats or SocketStats()
        self._clock = clock
        self._shown_at = float("-inf")

    def add(self, frame: bytes, error: Exception) -> None:
        """One more: *frame* is shown cut short."""
        self.count += 1
        self._stats.bad_frames += 1
        if self._clock() - self._shown_at >= SHOW_EVERY:
            self._shown_at = self._clock()
            log.warning(
                "bad_frame",
                feed=self._feed,
                count=self.count,
                error=excerpt(error, SHOWN),
                frame=excerpt(frame[:READ].decode("utf-8", "replace"), SHOWN),
            )
