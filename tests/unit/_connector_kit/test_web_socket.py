"""Our socket against servers that behave, and servers that don't."""

import asyncio
import base64
import hashlib
import os
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services._connector_kit.errors import RateLimitedError
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import MOST_BYTES, connect, open_socket
from services._runtime.supervise import TransientError
from tests.support.attempts import Attempts
from tests.support.ports import quiet_port
from tests.support.venues.limits import USUAL_BAN, venue_limits

REDIRECTS = (301, 302, 303, 307, 308)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TEXT, CLOSE, PING, CONTINUATION = 0x1, 0x8, 0x9, 0x0


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """A server's frame (RFC 6455, section 5.2): never masked."""
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 1 << 16:
        return head + b"\x7e" + struct.pack("!H", len(payload)) + payload
    return head + b"\x7f" + struct.pack("!Q", len(payload)) + payload


async def handshake(reader: asyncio.StreamReader) -> bytes:
    """Read a client's opening; the answer that accepts it (RFC 6455, section 4.2.2)."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    key = next(
        line.split(b": ", 1)[1]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    assert b"upgrade" in fields[b"connection"]
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
    )


@asynccontextmanager
async def serving(after_handshake: bytes, then: Handler | None = None) -> AsyncIterator[str]:
    """A server that sends *after_handshake* in one segment with its answer, then goes on as told.

    Without a handler it reads and ignores.
    """
    writers = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            writer.write(await handshake(reader) + after_handshake)
            if then:
                await then(reader, writer)
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


async def until_closed(url: str, heard: list[bytes]) -> str:
    """Listen until the socket ends; why it did."""
    async with open_socket(url, heard.append) as socket:
        with pytest.raises(TransientError) as caught:
            await asyncio.wait_for(socket.closed(), 20.0)
    return str(caught.value)


GOODBYE = frame(struct.pack("!H", 1001) + b"maintenance", CLOSE)


async def test_a_close_frame_is_reported_with_its_code_and_reason() -> None:
    """The reason a venue gives is worth its place in the log."""
    async with serving(GOODBYE) as url:
        assert await until_closed(url, []) == "the venue closed the socket: 1001 maintenance"


async def test_frames_right_behind_the_handshake_are_not_lost() -> None:
    """They come in the same segment, before anybody could have awaited anything."""
    heard: list[bytes] = []
    opened: list[int] = []
    async with (
        serving(frame(b"one") + frame(b"two") + GOODBYE) as url,
        open_socket(url, heard.append, lambda: opened.append(len(heard))) as socket,
    ):
        with pytest.raises(TransientError):
            await asyncio.wait_for(socket.closed(), 20.0)
    assert heard == [b"one", b"two"]
    assert opened == [0]  # told of the opening before the first frame


async def test_fragments_are_put_together_around_a_ping() -> None:
    """Control frames may come between fragments (RFC 6455, section 5.4)."""
    heard: list[bytes] = []
    sent = (
        frame(b"a", fin=False)
        + frame(b"b", CONTINUATION, fin=False)
        + frame(b"?", PING)
        + frame(b"c", CONTINUATION)
        + frame(b"whole")
    )
    async with serving(sent + GOODBYE) as url:
        await until_closed(url, heard)
    assert heard == [b"abc", b"whole"]


async def test_messages_and_their_bytes_count_and_fragments_are_one_message() -> None:
    """A ping, a pong and a goodbye are none; each connection counts."""
    stats = SocketStats()
    sent = frame(b"a", fin=False) + frame(b"bc", CONTINUATION) + frame(b"?", PING) + frame(b"whole")
    for _ in range(2):
        async with (
            serving(sent + GOODBYE) as url,
            open_socket(url, lambda _: None, stats=stats) as socket,
        ):
            with pytest.raises(TransientError):
                await socket.closed()
    assert stats == SocketStats(connections=2, messages=4, bytes=16)


async def test_ten_thousand_frames_in_one_write_are_all_there_in_order() -> None:
    """After a pause of the network, a busy stream comes like this."""
    heard: list[bytes] = []
    sent = [b"frame %d" % n for n in range(10_000)]
    async with serving(b"".join(map(frame, sent)) + GOODBYE) as url:
        await until_closed(url, heard)
    assert heard == sent


async def test_a_message_of_many_megabytes_arrives_whole() -> None:
    """Luno's snapshots are above a megabyte."""
    heard: list[bytes] = []
    large = os.urandom(MOST_BYTES)
    async with serving(frame(large) + GOODBYE) as url:
        await until_closed(url, heard)
    assert heard == [large]


async def test_a_message_above_the_limit_ends_the_socket() -> None:
    """Its size alone: nothing of that length is waited for."""
    header = b"\x81\x7f" + struct.pack("!Q", MOST_BYTES + 1)
    async with serving(header) as url:
        assert "broke the protocol" in await until_closed(url, [])


async def fragments(size: int, number: int, url_heard: list[bytes]) -> str:
    """Why a socket ends that is sent *number* fragments of *size* bytes, the last one the end."""
    middle = frame(b"x" * size, CONTINUATION, fin=False)

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(b"x" * size, fin=False))
        for _fragment in range(number - 2):
            writer.write(middle)
            await writer.drain()
        writer.write(frame(b"x" * size, CONTINUATION) + GOODBYE)

    async with serving(b"", send) as url:
        return await until_closed(url, url_heard)


async def test_fragments_are_joined_up_to_the_limit() -> None:
    """To the byte."""
    heard: list[bytes] = []
    assert "1001" in await fragments(MOST_BYTES // 8, 8, heard)
    assert list(map(len, heard)) == [MOST_BYTES]


async def test_joined_fragments_above_the_limit_end_the_socket_and_take_no_memory(
    attempt: Attempts,
) -> None:
    """A hundred megabytes come; each fragment is small enough by itself."""
    heard: list[bytes] = []
    tracemalloc.start()
    try:
        said = await fragments(1 << 20, 100, heard)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"a message of more than {MOST_BYTES} bytes" in said
    assert heard == []
    harmed = peak >= 4 * MOST_BYTES
    attempt("exchange", "fill the memory by fragments of one message", succeeded=harmed)
    assert not harmed


async def test_a_frame_that_breaks_the_protocol_ends_the_socket_only() -> None:
    """A reserved opcode is the venue's fault: transient, not the end of the service."""
    async with serving(frame(b"x", 0x5)) as url:
        assert "broke the protocol" in await until_closed(url, [])


async def test_a_reset_connection_is_reported() -> None:
    """No goodbye, just the end."""

    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serving(b"", reset) as url:
        assert await until_closed(url, []) == "the socket closed without a close frame"


@pytest.mark.slow
async def test_a_half_open_socket_is_noticed_within_five_seconds() -> None:
    """The server neither reads nor answers, and nothing tells us but our own ping."""
    never = asyncio.Event()

    async def deaf(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await never.wait()

    loop = asyncio.get_running_loop()
    async with serving(frame(b"hello"), deaf) as url:
        started = loop.time()
        await until_closed(url, [])
        took = loop.time() - started
        never.set()
    assert took < 5.0


@pytest.mark.slow
async def test_a_server_that_answers_pings_is_left_alone() -> None:
    """Quiet isn't dead: a pong is all it takes."""
    pongs = asyncio.Event()

    async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readexactly(2)
            assert head[0] & 0x0F == PING
            await reader.readexactly(4 + (head[1] & 0x7F))  # mask and payload
            writer.write(frame(b"", 0xA))
        pongs.set()

    async with serving(b"", pong) as url, open_socket(url, lambda _: None) as socket:
        closed = asyncio.ensure_future(socket.closed())
        await asyncio.wait_for(pongs.wait(), 20.0)
        assert not closed.done()
        closed.cancel()
        await asyncio.wait([closed])


async def test_what_the_callback_raises_comes_out_of_closed_and_nothing_follows_it() -> None:
    """Frames read together with the one that failed are not handed on."""
    heard: list[bytes] = []

    def fail(payload: bytes) -> None:
        heard.append(payload)
        if payload == b"bad":
            raise LookupError("this frame is the last")

    sent = frame(b"good") + frame(b"bad") + frame(b"late") * 50
    async with serving(sent) as url, open_socket(url, fail) as socket:
        with pytest.raises(LookupError, match="this frame is the last"):
            await asyncio.wait_for(socket.closed(), 20.0)
    assert heard == [b"good", b"bad"]


async def test_no_message_is_received_after_the_block() -> None:
    """An old socket never speaks into the next session."""
    heard: list[bytes] = []
    first = asyncio.Event()

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(frame(b"again"))
            await writer.drain()
            await asyncio.sleep(0)

    def on_text(payload: bytes) -> None:
        heard.append(payload)
        first.set()

    async with serving(b"", talk) as url:
        async with open_socket(url, on_text):
            await asyncio.wait_for(first.wait(), 20.0)
        count = len(heard)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(heard) == count


@asynccontextmanager
async def refusing(status: int, header: str = "") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each handshake with *status*; its URL, and the handshakes."""
    handshakes: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshakes.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {status} No\r\n{header}Content-Length: 2\r\n\r\nno".encode())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", handshakes


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_a_refused_upgrade_is_transient(status: int) -> None:
    """Whatever the HTTP status."""
    async with refusing(status) as (url, _):
        with pytest.raises(TransientError, match="can't be opened"):
            async with open_socket(url, lambda _: None):
                pass


async def test_a_redirect_of_the_handshake_is_not_followed(attempt: Attempts) -> None:
    """What is sent first is Luno's key, and it goes nowhere else."""
    for status in REDIRECTS:
        async with refusing(400) as (other, handshakes):
            async with refusing(status, f"Location: {other}\r\n") as (url, _):
                with pytest.raises(TransientError, match="can't be opened"):
                    await connect(url, lambda _: None)
            attempt("exchange", "redirect a socket to another host", succeeded=bool(handshakes))
            assert handshakes == []


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize(("header", "seconds"), [("Retry-After: 40\r\n", 40.0), ("", USUAL_BAN)])
async def test_a_ban_at_the_handshake_is_the_whole_venues(
    status: int, header: str, seconds: float
) -> None:
    """Neither requests nor connections until it is over: the next isn't even tried."""
    limits = venue_limits()
    async with refusing(status, header) as (url, handshakes):
        for words in (f"with {status}", "bans this address"):
            with pytest.raises(RateLimitedError, match=words) as caught:
                await connect(url, lambda _: None, stats=SocketStats(limits))
            assert caught.value.retry_after == pytest.approx(seconds, abs=5.0)
        assert len(handshakes) == 1
    assert limits.requests.paused_for == pytest.approx(seconds, abs=5.0)


@pytest.mark.parametrize("status", [400, 403, 503])
async def test_any_other_refusal_at_the_handshake_does_not_count_as_a_ban(status: int) -> None:
    """It is tried again."""
    limits = venue_limits()
    async with refusing(status, "Retry-After: 40\r\n") as (url, handshakes):
        for _ in range(2):
            with pytest.raises(TransientError, match="can't be opened"):
                await connect(url, lambda _: None, stats=SocketStats(limits))
        assert len(handshakes) == 2
    assert limits.requests.paused_for == 0.0


async def test_every_attempt_is_taken_from_the_budget_of_connections() -> None:
    """Those that fail too."""
    limits = venue_limits(connections=10)
    stats = SocketStats(limits)
    async with serving(b"") as url, open_socket(url, lambda _: None, stats=stats):
        pass
    with pytest.raises(TransientError):
        await connect(f"ws://127.0.0.1:{quiet_port()}/", lambda _: None, stats=stats)
    assert limits.connections.left == pytest.approx(3.0, abs=0.5)


async def test_a_refused_connection_is_a_transient_error() -> None:
    """Connection refused."""
    with pytest.raises(TransientError, match="can't be opened"):
        async with open_socket(f"ws://127.0.0.1:{quiet_port()}/", lambda _: None):
            pass
