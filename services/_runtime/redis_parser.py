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
LARGE = 8 << 20
# The fields of one entry of a stream, names included.
MOST_ENTRY = 256 << 10
# What is kept of one reply, with what Python adds to it.
MOST_REPLY = 64 << 20
# What Python adds to the bytes of a text or a list.
OVERHEAD = 64
MOST_LINE = 64 << 10
# No command of ours has a reply of more lists in one another.
MOST_NESTED = 16

_NOT_ENOUGH = object()
_NOTE = re.compile(rb"an entry of (\d+) bytes, too large to be read")
_ENTRY_ID = re.compile(rb"\d+-\d+")


class ReplyTooLargeError(RedisError):
    """A reply that would take more than `MOST_REPLY`."""


def too_large(size: int) -> bytes:
    """What stands in the field `data` of an entry whose content was thrown away."""
    return b"an entry of %d bytes, too large to be read" % size


def size_of(data: bytes) -> int:
    """How large the entry is, or was, that *data* was read from, in bytes."""
    note = _NOTE.fullmatch(data)
    return int(note[1]) if note else len(data)


class BoundedParser(_AsyncHiredisParser):
    """hiredis for what is small, `_LargeReply` for what isn't."""

    def on_connect(self, connection: Any) -> None:
        """Called by redis-py."""
        self._stream: Any = connection._reader  # noqa: SLF001 - as its base does it
        self._connected = True
        self._begin_anew(b"")

    def _begin_anew(self, ahead: bytes) -> None:
        """With *ahead*, what came already of the replies to come."""
        self._reader: Any = hiredis.Reader(
            protocolError=InvalidResponse, replyError=self.parse_error, notEnoughData=_NOT_ENOUGH
        )
        self._fed: list[bytes] = []
        self._size = 0
        self._taken = 0  # replies that were read out of what was fed
        if ahead:
            self._feed(ahead)

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
            if self._size > LARGE:
                reply = await self._read_large()
                break
            data = await self._stream.read(self._read_size)
            if not data:
                raise RedisConnectionError("Connection closed by server.")
            self._feed(data)
        else:
            self._taken += 1
            if not self._reader.has_data():
                self._fed.clear()
                self._size = self._taken = 0
        if isinstance(reply, RedisConnectionError):
            raise reply
        return reply

    async def _read_large(self) -> Any:
        taken, came = self._taken, bytearray().join(self._fed)
        self._begin_anew(b"")  # what hiredis holds of it goes at once
        large = _LargeReply(came, self._stream, self._read_size, self.parse_error)
        for _ in range(taken):
            await large.read()
        reply = await large.read()
        self._begin_anew(bytes(large.ahead))
        return reply


class _LargeReply:
    """RESP2 (redis.io/docs/latest/develop/reference/protocol-spec) from *ahead*, then *stream*."""

    def __init__(self, ahead: bytearray, stream: Any, read_size: int, parse_error: Any) -> None:
        self.ahead = ahead
        self._stream = stream
        self._read_size = read_size
        self._parse_error = parse_error
        self._kept = 0

    async def read(self) -> Any:
        """The next reply.

        Raises:
            ReplyTooLargeError: it is too large, and it isn't an entry of a stream that makes it so.
            RedisError: the connection is gone, or breaks the protocol.
        """
        self._kept = 0
        return await self._value(0)

    async def _value(self, depth: int) -> Any:
        line = await self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else await self._text(_number(rest))
        if kind == b"*":
            return None if rest == b"-1" else await self._list(_number(rest), depth + 1)
        self._keep(len(rest))
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"-":
            return self._parse_error(rest.decode("utf-8", "replace"))
        raise InvalidResponse(f"no RESP2: {line[:50]!r}")

    async def _list(self, length: int, depth: int) -> list[Any]:
        if depth > MOST_NESTED:
            raise InvalidResponse(f"more than {MOST_NESTED} lists in one another")
        found: list[Any] = []
        for _ in range(length):
            self._keep(0)
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
            self.ahead[:0] = line + b"\r\n"
            return await self._value(depth)
        kept, size = self._kept, 0
        found: list[bytes] = []
        for _ in range(_number(line[1:])):
            head = await self._line()
            if head[:1] != b"$":
                raise InvalidResponse(f"no field of an entry: {head[:50]!r}")
            length = _number(head[1:])
            size += length
            if size + OVERHEAD * (len(found) + 1) > MOST_ENTRY:
                found = []
                await self._skip(length + 2)
                size = max(size, MOST_ENTRY + 1)
                self._kept = kept
            else:
                found.append(await self._text(length))
        if size > MOST_ENTRY:
            return [b"data", too_large(size)]
        return found

    def _keep(self, size: int) -> None:
        self._kept += size + OVERHEAD
        if self._kept > MOST_REPLY:
            raise ReplyTooLargeError(f"a reply of more than {MOST_REPLY} bytes")

    async def _text(self, length: int) -> bytes:
        self._keep(length)
        await self._until(length + 2)
        text = bytes(self.ahead[:length])
        del self.ahead[: length + 2]
        return text

    async def _line(self) -> bytes:
        while (end := self.ahead.find(b"\r\n", 0, MOST_LINE)) < 0:
            if len(self.ahead) >= MOST_LINE:
                raise InvalidResponse("a line without an end")
            await self._more()
        line = bytes(self.ahead[:end])
        del self.ahead[: end + 2]
        return line

    async def _skip(self, length: int) -> None:
        while len(self.ahead) < length:
            length -= len(self.ahead)
            self.ahead.clear()
            await self._more()
        del self.ahead[:length]

    async def _until(self, length: int) -> None:
        while len(self.ahead) < length:
            await self._more()

    async def _more(self) -> None:
        data = await self._stream.read(self._read_size)
        if not data:
            raise RedisConnectionError("Connection closed by server.")
        self.ahead += data


def _number(text: bytes) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise InvalidResponse(f"no length: {text[:50]!r}")
    return number
