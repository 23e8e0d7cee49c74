"""Parses replies of Redis in a bounded amount of memory, even if a stream entry is very large.

Any client that may write to a stream may write an entry of 500 MB, and XREAD's COUNT limits only
the number of entries. So a large reply is parsed piece by piece: the content of an entry above
`MAX_ENTRY_BYTES` is discarded as it arrives, and a note replaces it.
"""

import re
from typing import Any

import hiredis
from redis._parsers import _AsyncHiredisParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

# In bytes. hiredis parses smaller replies.
LARGE_REPLY_BYTES = 8 << 20
# The fields of one entry of a stream, names included.
MAX_ENTRY_BYTES = 256 << 10
# The memory of one parsed reply, including Python's overhead.
MAX_REPLY_BYTES = 64 << 20
# Python's overhead in bytes for each text or list.
OBJECT_OVERHEAD = 64
MAX_LINE_BYTES = 64 << 10
# No command of the suite has a reply with more nested lists.
MAX_NESTING = 16

_NOT_ENOUGH = object()
_NOTE = re.compile(rb"an entry of (\d+) bytes, too large to be read")
_ENTRY_ID = re.compile(rb"\d+-\d+")


class ReplyTooLargeError(RedisError):
    """A reply that would take more memory than `MAX_REPLY_BYTES`."""


def oversize_note(size: int) -> bytes:
    """The value of the field `data` of an entry whose content was discarded."""
    return b"an entry of %d bytes, too large to be read" % size


def original_size(data: bytes) -> int:
    """The size in bytes of the entry of *data*, before its content was discarded."""
    note = _NOTE.fullmatch(data)
    return int(note[1]) if note else len(data)


class BoundedParser(_AsyncHiredisParser):
    """Parses small replies with hiredis, large ones with `_LargeReply`."""

    def on_connect(self, connection: Any) -> None:
        """Called by redis-py."""
        self._stream: Any = connection._reader  # noqa: SLF001 - as its base does it
        self._connected = True
        self._reset(b"")

    def _reset(self, buffered: bytes) -> None:
        """Start a new reader with *buffered*, the bytes already received of the next replies."""
        self._reader: Any = hiredis.Reader(
            protocolError=InvalidResponse, replyError=self.parse_error, notEnoughData=_NOT_ENOUGH
        )
        self._fed: list[bytes] = []
        self._size = 0
        self._replies_read = 0  # replies parsed from the bytes fed
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
            RedisError: the connection is lost, or the reply can't be parsed.
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
        self._reset(b"")  # frees the memory of hiredis at once
        large = _LargeReply(received, self._stream, self._read_size, self.parse_error)
        for _ in range(replies_read):
            await large.read()
        reply = await large.read()
        self._reset(bytes(large.buffered))
        return reply


class _LargeReply:
    """Parses RESP2 (redis.io/docs/latest/develop/reference/protocol-spec) piece by piece."""

    def __init__(self, buffered: bytearray, stream: Any, read_size: int, parse_error: Any) -> None:
        self.buffered = buffered
        self._stream = stream
        self._read_size = read_size
        self._parse_error = parse_error
        self._size_kept = 0

    async def read(self) -> Any:
        """The next reply.

        Raises:
            ReplyTooLargeError: it is too large, and not because of a stream entry.
            RedisError: the connection is lost, or breaks the protocol.
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
        raise InvalidResponse(f"invalid RESP2: {line[:50]!r}")

    async def _list(self, length: int, depth: int) -> list[Any]:
        if depth > MAX_NESTING:
            raise InvalidResponse(f"more than {MAX_NESTING} nested lists")
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
        """The fields of an entry; a note instead if they are too large."""
        line = await self._line()
        if line[:1] != b"*" or line == b"*-1":  # not an entry, or a deleted one
            self.buffered[:0] = line + b"\r\n"
            return await self._value(depth)
        size_before, size = self._size_kept, 0
        found: list[bytes] = []
        for _ in range(_number(line[1:])):
            head = await self._line()
            if head[:1] != b"$":
                raise InvalidResponse(f"invalid field of an entry: {head[:50]!r}")
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
        raise InvalidResponse(f"invalid length: {text[:50]!r}")
    return number
