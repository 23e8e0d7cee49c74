"""Drops waiting entries when the buffer is full, and logs it."""

from collections import deque
from collections.abc import Collection
from typing import Protocol

import structlog

log = structlog.get_logger()


class Waiting(Protocol):
    """The waiting entries of a stream, and the number dropped so far."""

    name: str
    keep_all: bool
    waiting: deque[bytes]
    dropped: int
    dropped_logged: int


def evict(streams: Collection[Waiting], bytes_needed: int) -> int:
    """Drop waiting entries of at least *bytes_needed* bytes; return the number of bytes dropped.

    Quotes are dropped first: they would be stale once written. Then the oldest entries of the
    stream with the most waiting entries, so that a busy market does not evict a quiet one.
    """
    freed = 0
    for stream in streams:
        if not stream.keep_all and stream.waiting:
            freed += _drop(stream)
    while freed < bytes_needed:
        fullest = max(streams, key=lambda stream: len(stream.waiting))
        if not fullest.waiting:
            break
        while fullest.waiting and freed < bytes_needed:
            freed += _drop(fullest)
    return freed


def _drop(stream: Waiting) -> int:
    if stream.keep_all and stream.dropped == stream.dropped_logged:
        log.error("buffer_full", stream=stream.name)
    stream.dropped += 1
    return len(stream.waiting.popleft())


def log_dropped(streams: Collection[Waiting]) -> None:
    """Log the entries that each stream dropped since the last log."""
    for stream in streams:
        if stream.dropped > stream.dropped_logged:
            log.error(
                "entries_dropped",
                stream=stream.name,
                entries=stream.dropped - stream.dropped_logged,
                since_start=stream.dropped,
            )
            stream.dropped_logged = stream.dropped
