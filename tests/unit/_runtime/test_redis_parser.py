"""Large replies: what hiredis would make of them, but for what would take too much memory."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from services._local.redis_server import RedisServer
from services._runtime import redis_parser
from services._runtime.redis_client import open_redis
from services._runtime.redis_commands import ask_all
from services._runtime.redis_parser import (
    LARGE_REPLY_BYTES,
    MAX_ENTRY_BYTES,
    MAX_LINE_BYTES,
    MAX_NESTING,
    MAX_REPLY_BYTES,
    OBJECT_OVERHEAD,
    BoundedParser,
    ReplyTooLargeError,
    original_size,
    oversize_note,
)


class Connection:
    """What a parser sees of a connection."""

    def __init__(self, sent: bytes) -> None:
        self._reader = asyncio.StreamReader()
        self._reader.feed_data(sent)
        self._reader.feed_eof()
        self.encoder = self
        self.decode_responses = False


def encoded(value: Any) -> bytes:
    """RESP2."""
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(value), value)
        case str():
            return b"+%s\r\n" % value.encode()
        case ResponseError():
            return b"-ERR %s\r\n" % str(value).encode()
        case _:
            return b"*%d\r\n%s" % (len(value), b"".join(map(encoded, value)))


def plain(value: Any) -> Any:
    """What is to come out: errors by their words, simple strings as bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, ResponseError):
        return str(value).removeprefix("ERR ")
    return list(map(plain, value)) if isinstance(value, list | tuple) else value


async def read(sent: bytes, replies: int = 1, *, size: int = 1 << 16) -> list[Any]:
    """The first *replies* that a parser reads out of *sent*, in pieces of *size*."""
    parser = BoundedParser(size)
    parser.on_connect(Connection(sent))
    return [await parser.read_response() for _ in range(replies)]


REPLIES = st.recursive(
    st.none() | st.integers(-9, 9) | st.binary(max_size=30) | st.sampled_from(["OK", "QUEUED"])
    | st.builds(ResponseError, st.sampled_from(["no", "wrong type"])),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
ENTRIES = st.tuples(
    st.sampled_from([b"1-0", b"1700000000000-12"]),
    st.none() | st.lists(st.binary(max_size=30), max_size=6),
)


@given(st.lists(REPLIES | ENTRIES | st.lists(ENTRIES), min_size=1, max_size=4), st.integers(1, 99))
def test_a_large_reply_is_what_hiredis_makes_of_it(sent: list[Any], size: int) -> None:
    """Whatever it is, and in whatever pieces it comes; the next replies are whole."""
    stream = b"".join(map(encoded, sent))
    want = [plain(each) for each in sent]
    with pytest.MonkeyPatch.context() as patch:
        for large in (LARGE_REPLY_BYTES, 20, 0):
            patch.setattr(redis_parser, "LARGE_REPLY_BYTES", large)
            found = asyncio.run(read(stream, len(sent), size=size))
            assert [plain(each) for each in found] == want


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All replies of more than a few bytes count as large."""
    monkeypatch.setattr(redis_parser, "LARGE_REPLY_BYTES", 10)


def entry(number: int, *fields: bytes) -> list[Any]:
    """An entry of a stream."""
    return [b"1-%d" % number, list(fields)]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("room", [0, 1])
async def test_the_limit_of_an_entry_is_exact_and_the_others_stay(room: int) -> None:
    """A note says how large it was."""
    most = MAX_ENTRY_BYTES - 4 - 2 * OBJECT_OVERHEAD
    content = b"x" * (most + room)
    reply = [
        [b"stream", [entry(1, b"data", b"a"), entry(2, b"data", content), entry(3, b"b", b"c")]]
    ]
    ((name, found),) = (await read(encoded(reply) + encoded(7), 1, size=100_000))[0]
    middle = [b"data", content] if room == 0 else [b"data", oversize_note(MAX_ENTRY_BYTES + 1)]
    assert name == b"stream"
    assert found == [entry(1, b"data", b"a"), [b"1-2", middle], entry(3, b"b", b"c")]


@pytest.mark.usefixtures("small")
async def test_the_note_says_how_large_the_entry_was() -> None:
    """With the names of its fields."""
    (found,) = await read(encoded(entry(1, b"data", b"x" * MAX_ENTRY_BYTES, b"more", b"y")))
    assert found == [b"1-1", [b"data", oversize_note(MAX_ENTRY_BYTES + 9)]]


@pytest.mark.usefixtures("small")
async def test_an_entry_of_very_many_fields_is_too_large() -> None:
    """Each of them takes memory, though it has no bytes."""
    (found,) = await read(encoded(entry(1, *[b""] * 100_000)))
    assert found == [b"1-1", [b"data", oversize_note(MAX_ENTRY_BYTES + 1)]]


@pytest.mark.usefixtures("small")
async def test_what_follows_a_large_reply_is_read_too() -> None:
    """Also what came in one piece with it, and what comes later."""
    replies = ["OK", entry(1, b"data", b"x" * MAX_ENTRY_BYTES), 7, entry(2, b"a", b"b"), b"y" * 50]
    sent = b"".join(map(encoded, replies))
    for size in (13, len(sent)):
        found = await read(sent, 5, size=size)
        assert found[0] == b"OK"
        assert found[1][0] == b"1-1"
        assert found[2:] == [7, entry(2, b"a", b"b"), b"y" * 50]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"$%d\r\n" % (MAX_REPLY_BYTES - OBJECT_OVERHEAD + 1), "more than"),
        (
            b"*%d\r\n" % (1 << 22) + b"$-1\r\n" * (MAX_REPLY_BYTES // OBJECT_OVERHEAD + 1),
            "more than",
        ),
    ],
)
async def test_any_other_reply_that_is_too_large_cant_be_read(sent: bytes, fault: str) -> None:
    """Before its bytes are waited for."""
    with pytest.raises(ReplyTooLargeError, match=fault):
        await read(sent)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "sent",
    [
        b"$0x10\r\n0123456789abcdef\r\n",
        b"$-2\r\n.............",
        b"*1\r\n!12345678901234567890\r\n",
        b"*2\r\n$3\r\n1-1\r\n*1\r\n:123456789\r\n",
        b"+" + b"x" * MAX_LINE_BYTES,
        b"*1\r\n" * (MAX_NESTING + 1) + b":1\r\n",
    ],
)
async def test_an_invalid_reply_is_refused(sent: bytes) -> None:
    """Never waited for, never guessed at."""
    with pytest.raises(InvalidResponse):
        await read(sent, size=11)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "sent", [b"", b"$20\r\n1234567890", b"*2\r\n$3\r\n1-1\r\n*1\r\n$999999\r\nx"]
)
async def test_a_connection_that_ends_inside_a_reply_is_gone(sent: bytes) -> None:
    """Nothing is made of half a reply."""
    with pytest.raises(RedisConnectionError):
        await read(sent)


@asynccontextmanager
async def filled(server: RedisServer, sizes: Sequence[int]) -> AsyncIterator[Any]:
    """A client of a server whose stream `s` has entries of those sizes."""
    async with open_redis(server.url, "test") as redis:
        for size in sizes:
            await redis.xadd("s", {"data": b"x" * size})
        yield redis


@pytest.mark.slow
async def test_two_hundred_megabytes_in_one_reply_take_a_few(redis_server: RedisServer) -> None:
    """From a real server, of which the small entries come whole."""
    sizes = [5, *[20_000_000] * 10, 6]
    async with filled(redis_server, sizes) as redis:
        tracemalloc.start()
        try:
            found = await redis.xrange("s")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert [fields for _, fields in found] == [
        {b"data": b"x" * 5},
        *[{b"data": oversize_note(20_000_004)}] * 10,
        {b"data": b"x" * 6},
    ]
    assert peak < 8 * LARGE_REPLY_BYTES


async def test_a_transaction_with_a_large_reply_in_it_is_whole(redis_server: RedisServer) -> None:
    """As the order path sends them: several commands in one write."""
    async with filled(redis_server, [20_000_000]) as redis:
        connection = await redis.connection_pool.get_connection()
        try:
            found = await ask_all(
                connection,
                ("MULTI",),
                ("PING",),
                ("XRANGE", "s", "-", "+"),
                ("EXEC",),
                ("PING",),
            )
        finally:
            await redis.connection_pool.release(connection)
    assert found[:3] == [b"OK", b"QUEUED", b"QUEUED"]
    assert found[3][0] == b"PONG"
    assert found[3][1][0][1] == [b"data", oversize_note(20_000_004)]
    assert found[4] == b"PONG"


@given(st.integers(0, 1 << 40), st.binary(max_size=60))
def test_the_size_of_an_entry_is_known_though_its_content_is_gone(size: int, data: bytes) -> None:
    """What only looks like the note is as long as it is."""
    assert original_size(oversize_note(size)) == size
    assert original_size(data) == len(data)
    assert original_size(oversize_note(size) + b" ") == len(oversize_note(size)) + 1
