"""Replies of Redis that take a bounded amount of memory, however large an entry of a stream is.

Anybody who may write to a stream may write an entry of 500 MB, and XREAD's COUNT is a number of
entries. So a reply that becomes large is parsed piece by piece: the content of an entry above
`MOST_ENTRY` is thrown away as it comes, and a note stands in its place.
"""

import re
from typing import Any

import hiredis
from redis._parsers import _AsyncHiredisParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

# In bytes. Below this a reply is left to hiredis.
LARGE_REPLY_BYTES = 8 << 20
# The fields of one entry of a stream, names included.
MAX_ENTRY_BYTES = 256 << 10
# What is kept of one reply, with what Python adds to it.
MAX_REPLY_BYTES = 64 << 20
# What Python adds to the bytes of a text or a list.
OBJECT_OVERHEAD = 64
MAX_LINE_BYTES = 64 << 10
# No command of ours has a reply of more lists in one another.
MAX_NESTING = 16

_NOT_ENOUGH = object()
_NOTE = re.compile(rb"an entry of (\d+) bytes, too large to be read")
_ENTRY_ID = re.compile(rb"\d+-\d+")


class ReplyTooLargeError(RedisError):
    """A reply that would take more than `MOST_REPLY`."""


def oversize_note(size: int) -> bytes:
    """What stands in the field `data` of an entry whose content was thrown away."""
    return b"an entry of %d bytes, too large to be read" % size


def original_size(data: bytes) -> int:
    """How large the entry is, or was, that *data* was read from, in bytes."""
    note = _NOTE.fullmatch(data)
    return int(note[1]) if note else len(data)


class BoundedParser(_AsyncHiredisParser):
    """hiredis for what is small, `_LargeReply` for what isn't."""

    def on_connect(self, connection: Any) -> None:
        """Called by redis-py."""
        self._stream: Any = connection._reader  # noqa: SLF001 - as its base does it
        self._connected = True
        self._reset(b"")

    def _reset(self, buffered: bytes) -> None:
        """With *ahead*, what came already of the replies to come."""
        self._reader: Any = hiredis.Reader(
            protocolError=InvalidResponse, replyError=self.parse_error, notEnoughData=_NOT_ENOUGH
        )
        self._fed: list[bytes] = []
        self._size = 0
        self._replies_read = 0  # replies that were read out of what was fed
        if buffered:
            self._feed(buffered)

    def _feed(self, data: bytes) -> None:
        self._reader.feed(data)
        self._fed.append(data)
        self._size += len(data)

    async def read_response(
        self,
        disable_decoding: bool = False,  # noqa: ARG002 - all of ours are bytes
        push_request: bool = False,  # noqa: ARG002 - there are none in RESP2
    ) -> Any:
        """The next reply.

        Raises:
            RedisError: the connection is gone, or the reply can't be read.
        """
        if not self._connected:
            raise RedisConnectionError("Connection closed by server.")
        while (reply := self._reader.gets()) is _NOT_ENOUGH:
            if self._size > LARGE_REPLY_BYTES:
                reply = await self._read_large()
                break
            data = await self._stream.read(self._read_size)
            if not data:
                raise RedisConnectionError("Connection closed by server.")
            self._feed(data)
        else:
            self._replies_read += 1
            if not self._reader.has_data():
                self._fed.clear()
                self._size = self._replies_read = 0
        if isinstance(reply, RedisConnectionError):
            raise reply
        return reply

    async def _read_large(self) -> Any:
        replies_read, received = self._replies_read, bytearray().join(self._fed)
        self._reset(b"")  # what hiredis holds of it goes at once
        large = _LargeReply(received, self._stream, self._read_size, self.parse_error)
        for _ in range(replies_read):
            await large.read()
        reply = await large.read()
        self._reset(bytes(large.buffered))
        return reply


class _LargeReply:
    """RESP2 (redis.io/docs/latest/develop/reference/protocol-spec) from *ahead*, then *stream*."""

    def __init__(self, buffered: bytearray, stream: Any, read_size: int, parse_error: Any) -> None:
        self.buffered = buffered
        self._stream = stream
        self._read_size = read_size
        self._parse_error = parse_error
        self._size_kept = 0

    async def read(self) -> Any:
        """The next reply.

        Raises:
            ReplyTooLargeError: it is too large, and it isn't an entry of a stream that makes it so.
            RedisError: the connection is gone, or breaks the protocol.
        """
        self._size_kept = 0
        return await self._value(0)

    async def _value(self, depth: int) -> Any:
        line = await self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else await self._text(_number(rest))
        if kind == b"*":
            return None if rest == b"-1" else await self._list(_number(rest), depth + 1)
        self._account(len(rest))
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"-":
            return self._parse_error(rest.decode("utf-8", "replace"))
        raise InvalidResponse(f"no RESP2: {line[:50]!r}")

    async def _list(self, length: int, depth: int) -> list[Any]:
        if depth > MAX_NESTING:
            raise InvalidResponse(f"more than {MAX_NESTING} lists in one another")
        found: list[Any] = []
        for _ in range(length):
            self._account(0)
            first = found[0] if length == 2 and len(found) == 1 else None
            if isinstance(first, bytes) and _ENTRY_ID.fullmatch(first):
                found.append(await self._fields(depth))
            else:
                found.append(await self._value(depth))
        return found

    async def _fields(self, depth: int) -> Any:
        """The fields of an entry; one note instead where they are too large."""
        line = await self._line()
        if line[:1] != b"*" or line == b"*-1":  # no entry after all, or one that was deleted
            self.buffered[:0] = line + b"\r\n"
            return await self._value(depth)
        size_before, size = self._size_kept, 0
        found: list[bytes] = []
        for _ in range(_number(line[1:])):
            head = await self._line()
            if head[:1] != b"$":
                raise InvalidResponse(f"no field of an entry: {head[:50]!r}")
            length = _number(head[1:])
            size += length
            if size + OBJECT_OVERHEAD * (len(found) + 1) > MAX_ENTRY_BYTES:
                found = []
                await self._skip(length + 2)
                size = max(size, MAX_ENTRY_BYTES + 1)
                self._size_kept = size_before
            else:
                found.append(await self._text(length))
        if size > MAX_ENTRY_BYTES:
            return [b"data", oversize_note(size)]
        return found

    def _account(self, size: int) -> None:
        self._size_kept += size + OBJECT_OVERHEAD
        if self._size_kept > MAX_REPLY_BYTES:
            raise ReplyTooLargeError(f"a reply of more than {MAX_REPLY_BYTES} bytes")

    async def _text(self, length: int) -> bytes:
        self._account(length)
        await self._buffer(length + 2)
        text = bytes(self.buffered[:length])
        del self.buffered[: length + 2]
        return text

    async def _line(self) -> bytes:
        while (end := self.buffered.find(b"\r\n", 0, MAX_LINE_BYTES)) < 0:
            if len(self.buffered) >= MAX_LINE_BYTES:
                raise InvalidResponse("a line without an end")
            await self._read_more()
        line = bytes(self.buffered[:end])
        del self.buffered[: end + 2]
        return line

    async def _skip(self, length: int) -> None:
        while len(self.buffered) < length:
            length -= len(self.buffered)
            self.buffered.clear()
            await self._read_more()
        del self.buffered[:length]

    async def _buffer(self, length: int) -> None:
        while len(self.buffered) < length:
            await self._read_more()

    async def _read_more(self) -> None:
        data = await self._stream.read(self._read_size)
        if not data:
            raise RedisConnectionError("Connection closed by server.")
        self.buffered += data


def _number(text: bytes) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise InvalidResponse(f"no length: {text[:50]!r}")
    return number
