"""The stream writer as a protocol: replies matched to entries, however the bytes come in."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from services._runtime.stream_writer.writer import OutStream, StreamWriter

WRITTEN, REFUSED, FULL = "written", "refused", "full"


@dataclass
class Transport:
    """Takes what is written; has the one protocol that it tells of its end."""

    sent: bytearray = field(default_factory=bytearray)
    protocol: Any = None

    def write(self, data: bytes) -> None:
        self.sent += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def abort(self) -> None:
        pass


def connected() -> tuple[StreamWriter, Transport]:
    """A writer in the middle of a session."""
    writer = StreamWriter(cast(Any, None))
    transport = Transport(protocol=writer)
    writer._transport = cast(asyncio.Transport, transport)
    writer._reopen()
    return writer, transport


def reply(n: int, outcome: str) -> bytes:
    """What Redis answers to the XADD number *n*."""
    if outcome == WRITTEN:
        return b"$%d\r\n%d-0\r\n" % (len(str(n)) + 2, n)
    if outcome == REFUSED:
        return b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"


async def feed(writer: StreamWriter, data: bytes, cuts: list[int]) -> None:
    """Give the writer *data* in pieces."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        writer.data_received(data[start:end])
        await asyncio.sleep(0)


def run(coroutine: Any) -> None:
    """Hypothesis and a loop fixture don't mix: each example has its own loop."""
    asyncio.run(coroutine)


def entries(count: int) -> list[bytes]:
    """Entries number 1 and on, as their replies are numbered."""
    return [b"entry %d" % n for n in range(1, count + 1)]


def add_all(stream: OutStream, count: int) -> None:
    """Add that many entries."""
    for entry in entries(count):
        stream.add(entry)


outcomes = st.lists(st.sampled_from([WRITTEN, WRITTEN, REFUSED, FULL]), min_size=1, max_size=12)


@given(outcomes=outcomes, cuts=st.lists(st.integers(0, 1_000), max_size=8))
def test_replies_are_matched_in_order_however_the_bytes_are_cut(
    outcomes: list[str], cuts: list[int]
) -> None:
    """Up to the first reply of a server in trouble; from there on nothing is taken for settled."""

    async def check() -> None:
        writer, transport = connected()
        stream = writer.stream("a:B:trades", 10, keep_all=True)
        add_all(stream, len(outcomes))
        await asyncio.sleep(0)
        assert transport.sent.count(b"XADD") == len(outcomes)
        replies = [reply(n, outcome) for n, outcome in enumerate(outcomes, 1)]
        await feed(writer, b"".join(replies), cuts)
        settled = outcomes[: outcomes.index(FULL)] if FULL in outcomes else outcomes
        assert writer.written == settled.count(WRITTEN)
        assert stream.refused == settled.count(REFUSED)
        if WRITTEN in settled:
            last = max(n for n, outcome in enumerate(settled, 1) if outcome == WRITTEN)
            assert stream.last_id == b"%d-0" % last
        assert writer.open is (FULL not in outcomes)
        writer._close(cast(asyncio.Transport, transport))
        assert list(stream.unacked) == entries(len(outcomes))[len(settled) :]
        assert writer.idle is (not stream.unacked)

    run(check())


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=20))
def test_entries_of_one_pass_are_one_write_of_whole_commands(data: list[bytes]) -> None:
    """Any bytes: each is one bulk string in one XADD with MAXLEN."""

    async def check() -> None:
        writer, transport = connected()
        stream = writer.stream("a:B:trades", 10, keep_all=True)
        for entry in data:
            stream.add(entry)
        assert transport.sent == b""
        await asyncio.sleep(0)
        prefix = b"*8\r\n$4\r\nXADD\r\n$10\r\na:B:trades\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$2\r\n10\r\n"
        prefix += b"$1\r\n*\r\n$4\r\ndata\r\n"
        commands = [prefix + b"$%d\r\n%b\r\n" % (len(entry), entry) for entry in data]
        assert transport.sent == b"".join(commands)

    run(check())


async def test_after_a_server_in_trouble_nothing_more_is_sent() -> None:
    """What is added then waits behind what was refused; it can't overtake it."""
    writer, transport = connected()
    stream = writer.stream("a:B:trades", 10, keep_all=True)
    stream.add(b"refused")
    await asyncio.sleep(0)
    sent = len(transport.sent)
    writer.data_received(reply(1, FULL))
    stream.add(b"later")
    await asyncio.sleep(0)
    assert len(transport.sent) == sent
    assert list(stream.waiting) == [b"later"]
    writer._close(cast(asyncio.Transport, transport))


async def test_a_connection_that_was_given_up_has_no_say_in_the_next() -> None:
    """Its end may be told late."""
    writer, old = connected()
    writer._close(cast(asyncio.Transport, old))
    writer._lost = asyncio.get_running_loop().create_future()
    writer._reopen()
    old.protocol.connection_lost(None)
    assert writer.open
    assert not writer._lost.done()


async def test_a_full_socket_makes_entries_wait_until_it_has_room() -> None:
    """Trades all, quotes the latest."""
    writer, transport = connected()
    trades = writer.stream("a:B:trades", 10, keep_all=True)
    quotes = writer.stream("a:B:ticker", 10, keep_all=False)
    writer.pause_writing()
    add_all(trades, 3)
    add_all(quotes, 3)
    await asyncio.sleep(0)
    assert transport.sent == b""
    writer.resume_writing()
    await asyncio.sleep(0)
    assert transport.sent.count(b"entry") == 4
    assert (quotes.conflated, writer.waiting_bytes) == (2, 0)
    writer._close(cast(asyncio.Transport, transport))
