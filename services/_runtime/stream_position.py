"""How far a stream was read, and what got away meanwhile: pure arithmetic on ids and counts."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from services._runtime.entry_ids import START, parse_entry_id


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How far one stream was read.

    `count` is how many entries the stream had ever been given up to `id`; None: not known.
    """

    id: str
    count: int | None = None

    def __str__(self) -> str:
        return self.id if self.count is None else f"{self.id}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "StreamPosition":
        """What `str()` made; an entry id alone is a position too.

        Raises:
            ValueError: neither.
        """
        identifier, _, count = text.partition("/")
        parse_entry_id(identifier)
        return cls(identifier, int(count) if count else None)


@dataclass(frozen=True, slots=True)
class StreamState:
    """What XINFO STREAM says. `first` is None when the stream holds nothing."""

    first: str | None
    last: str
    added: int
    length: int

    @classmethod
    def parse(cls, reply: list[Any]) -> "StreamState":
        """The reply as it comes over the wire: names and values in turn."""
        info = dict(zip(reply[::2], reply[1::2], strict=True))
        first = info[b"first-entry"]
        return cls(
            first=first[0].decode() if first else None,
            last=info[b"last-generated-id"].decode(),
            added=info[b"entries-added"],
            length=info[b"length"],
        )

    @property
    def removed(self) -> int:
        """Entries that were added once and are no longer there."""
        return self.added - self.length


NO_STREAM = StreamState(first=None, last=START, added=0, length=0)


@dataclass(frozen=True, slots=True)
class StreamGap:
    """Entries of one stream that the reader didn't see.

    `trimmed`: they were removed before they were read. `restarted`: the stream was emptied or
    its ids went back (a Redis that forgot), and is read on from what is there now.
    `after` is the position's id, `first` the oldest id now there; `lost` counts the entries,
    None where nobody can know.
    """

    stream: str
    reason: Literal["trimmed", "restarted"]
    after: str
    first: str | None
    lost: int | None


def entry_data(fields: list[bytes]) -> bytes:
    """What an entry's field `data` holds; nothing where there is none."""
    if fields[0] == b"data":
        return fields[1]
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(b"data", b"")


def resume_from(
    stream: str, position: StreamPosition | None, state: StreamState
) -> tuple[StreamPosition, StreamGap | None]:
    """Where to read *stream* from, now that it looks like *state*, and what can't be read any more.

    Without a position reading starts behind the newest entry.
    """
    if position is None:
        return StreamPosition(state.last, state.added), None
    at, count = parse_entry_id(position.id), position.count
    if at > parse_entry_id(state.last):
        gap = StreamGap(stream, "restarted", position.id, state.first, None)
        return StreamPosition(START, state.removed), gap
    if count is not None and count > state.added:
        gap = StreamGap(stream, "restarted", position.id, state.first, None)
        return replace(position, count=None), gap
    if state.first is not None and at >= parse_entry_id(state.first):
        return position, None
    # All that is there is newer: everything up to our position was removed, and maybe more.
    if count is None and at == (0, 0):
        count = 0
    lost = None if count is None else state.removed - count
    gap = StreamGap(stream, "trimmed", position.id, state.first, lost)
    missed = state.removed > 0 if lost is None else lost > 0
    return StreamPosition(position.id, state.removed), gap if missed else None
