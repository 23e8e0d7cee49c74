"""Positions in streams, and the entries that were lost before they were read. Pure."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from services._runtime.entry_ids import START, parse_entry_id


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """The id of the last entry read from a stream.

    `count`: how many entries were ever added to the stream up to `id`; None: unknown.
    """

    id: str
    count: int | None = None

    def __str__(self) -> str:
        return self.id if self.count is None else f"{self.id}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "StreamPosition":
        """Parse the output of `str()`; an entry id alone is a position too.

        Raises:
            ValueError: *text* is neither.
        """
        identifier, _, count = text.partition("/")
        parse_entry_id(identifier)
        return cls(identifier, int(count) if count else None)


@dataclass(frozen=True, slots=True)
class StreamState:
    """The reply of XINFO STREAM. `first`: the id of the first entry; None: the stream is empty."""

    first: str | None
    last: str
    added: int
    length: int

    @classmethod
    def parse(cls, reply: list[Any]) -> "StreamState":
        """Parse the reply: names and values alternate."""
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
        """How many entries were added and later removed."""
        return self.added - self.length


NO_STREAM = StreamState(first=None, last=START, added=0, length=0)


@dataclass(frozen=True, slots=True)
class StreamGap:
    """Entries of one stream that the reader missed.

    `trimmed`: they were removed before they were read. `restarted`: the stream was emptied, or
    its ids went back (Redis lost data); reading continues with the entries it has now.
    `after`: the id of the position. `first`: the oldest remaining id. `lost`: the number of
    entries; None: unknown.
    """

    stream: str
    reason: Literal["trimmed", "restarted"]
    after: str
    first: str | None
    lost: int | None


def entry_data(fields: list[bytes]) -> bytes:
    """The value of an entry's field `data`; `b""` if it has none."""
    if fields[0] == b"data":
        return fields[1]
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(b"data", b"")


def resume_from(
    stream: str, position: StreamPosition | None, state: StreamState
) -> tuple[StreamPosition, StreamGap | None]:
    """The position to read *stream* from in its current *state*, and the gap before it, if any.

    Without a position, reading starts after the newest entry.
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
    # All remaining entries are newer: those up to the position were removed, and maybe more.
    if count is None and at == (0, 0):
        count = 0
    lost = None if count is None else state.removed - count
    gap = StreamGap(stream, "trimmed", position.id, state.first, lost)
    missed = state.removed > 0 if lost is None else lost > 0
    return StreamPosition(position.id, state.removed), gap if missed else None
