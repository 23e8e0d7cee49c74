"""What goes when the buffer of waiting entries is full, and how it is told."""

from collections import deque
from collections.abc import Collection
from typing import Protocol

import structlog

log = structlog.get_logger()


class Waiting(Protocol):
    """What a stream has waiting, and how much of it was dropped so far."""

    name: str
    keep_all: bool
    waiting: deque[bytes]
    dropped: int
    dropped_logged: int


def evict(streams: Collection[Waiting], bytes_needed: int) -> int:
    """Drop waiting entries of *wanted* bytes or more; returns how many bytes that were.

    Quotes go first: they are old by the time they could be written. Then the oldest of whichever
    stream has most waiting: a busy market costs a quiet one nothing.
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
    """Log what each stream lost since it was told last."""
    for stream in streams:
        if stream.dropped > stream.dropped_logged:
            log.error(
                "entries_dropped",
                stream=stream.name,
                entries=stream.dropped - stream.dropped_logged,
                since_start=stream.dropped,
            )
            stream.dropped_logged = stream.dropped
