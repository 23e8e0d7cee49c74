"""Connections: ordered frames, keep-alives, and a limit for slow consumers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from yarl import URL

from services.exchange_simulator import sockets
from services.exchange_simulator.sockets import Connection, ConnectionPolicy, Connections
from tests.support.eventually import eventually

CALM = ConnectionPolicy(ping_interval=60.0, pong_timeout=60.0)


@dataclass
class Host:
    """A server with one route, and its connections."""

    url: str
    connections: Connections
    latest: list[Connection] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)


@asynccontextmanager
async def hosting(policy: ConnectionPolicy) -> AsyncIterator[Host]:
    """Serve connections with *policy* on a free port."""
    connections = Connections()
    host = Host("", connections)

    async def serve(request: web.Request) -> web.StreamResponse:
        async with connections.accept(request, policy) as connection:
            host.latest.append(connection)
            await connection.run(host.heard.append)
        return connection.response

    app = web.Application()
    app.add_routes([web.get("/", serve)])
    server = TestServer(app)
    await server.start_server()
    host.url = str(server.make_url("/"))
    try:
        yield host
    finally:
        connections.end_all()
        await server.close()


async def test_frames_arrive_in_the_order_they_were_pushed() -> None:
    """A thousand frames pushed at once arrive whole and in order."""
    async with (
        hosting(CALM) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as ws,
    ):
        for number in range(1000):
            host.latest[0].push(str(number).encode())
        assert [(await ws.receive_str()) for _ in range(1000)] == [str(n) for n in range(1000)]


async def test_text_frames_reach_the_listener() -> None:
    """Without changes."""
    async with (
        hosting(CALM) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as ws,
    ):
        await ws.send_str("hello")
        await eventually(lambda: host.heard == ["hello"])


async def test_an_end_sends_what_is_queued_first() -> None:
    """The last frame before a close is sent; frames pushed after `end` are dropped."""
    async with (
        hosting(CALM) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as ws,
    ):
        host.latest[0].push(b"last words")
        host.latest[0].end(1000)
        host.latest[0].push(b"too late")
        assert await ws.receive_str() == "last words"
        assert (await ws.receive()).type is WSMsgType.CLOSE
        assert ws.close_code == 1000
        await eventually(lambda: not len(host.connections))


async def test_the_connection_of_a_client_that_left_is_removed() -> None:
    """The server side ends too."""
    async with hosting(CALM) as host, aiohttp.ClientSession() as session:
        async with session.ws_connect(host.url):
            await eventually(lambda: len(host.connections) == 1)
        await eventually(lambda: not len(host.connections))


async def test_a_slow_consumer_is_cut_off_and_its_backlog_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that doesn't read is disconnected; other clients are unaffected."""
    monkeypatch.setattr(sockets, "MAX_BACKLOG", 1_000_000)
    async with (
        hosting(CALM) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url, max_msg_size=0),
    ):
        frame = b"x" * 10_000
        sent = 0
        while len(host.connections):
            host.latest[0].push(frame)
            sent += 1
            await asyncio.sleep(0)
            assert sent < 100_000
        assert not host.latest[0]._outbox


async def test_pongs_keep_the_connection_open() -> None:
    """A client that answers pings stays connected without sending anything."""
    async with (
        hosting(ConnectionPolicy(ping_interval=0.01, pong_timeout=1.0)) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url, autoping=False) as ws,
    ):
        for _ in range(5):
            message = await ws.receive()
            assert message.type is WSMsgType.PING
            await ws.pong(message.data)
        assert len(host.connections) == 1


async def test_a_client_that_answers_no_ping_is_closed() -> None:
    """With the reason in the close frame."""
    async with (
        hosting(ConnectionPolicy(ping_interval=0.01, pong_timeout=0.05)) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url, autoping=False) as ws,
    ):
        message = await ws.receive()
        while message.type is WSMsgType.PING:
            message = await ws.receive()
        assert (message.type, message.data, message.extra) == (
            WSMsgType.CLOSE,
            1008,
            "Pong timeout",
        )


async def test_a_client_that_reads_nothing_is_closed_even_though_its_buffers_are_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection ends without a pong and without a delivered close frame."""
    monkeypatch.setattr(sockets, "CLOSE_TIMEOUT", 0.05)
    async with hosting(ConnectionPolicy(ping_interval=0.05, pong_timeout=0.2)) as host:
        address = URL(host.url)
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(12):
            host.latest[0].push(b"x" * 1_000_000)
        await eventually(lambda: not len(host.connections))
        writer.close()


async def test_a_clients_ping_is_answered_with_its_payload() -> None:
    """Clients use it to distinguish a dead socket from a quiet one."""
    async with (
        hosting(CALM) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url, autoping=False) as ws,
    ):
        await ws.ping(b"are you there")
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")


async def test_a_quiet_connection_gets_the_idle_frame() -> None:
    """It is repeated while nothing else is sent."""
    async with (
        hosting(
            ConnectionPolicy(
                ping_interval=60.0, pong_timeout=60.0, idle_timeout=0.01, idle_frame=b'""'
            )
        ) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as ws,
    ):
        assert [await ws.receive_str(), await ws.receive_str()] == ['""', '""']


async def test_too_many_messages_in_a_second_end_the_connection() -> None:
    """The sixth message within a second ends it; pings count."""
    async with (
        hosting(
            ConnectionPolicy(ping_interval=60.0, pong_timeout=60.0, incoming_per_second=5)
        ) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as ws,
    ):
        for _ in range(5):
            await ws.send_str("{}")
        await ws.ping()
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)


async def test_a_connection_ends_at_its_lifetime() -> None:
    """The close frame has the reason."""
    async with (
        hosting(ConnectionPolicy(ping_interval=0.01, pong_timeout=60.0, lifetime=0.02)) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as ws,
    ):
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_a_stop_closes_every_connection() -> None:
    """With the close code "going away"."""
    async with (
        hosting(CALM) as host,
        aiohttp.ClientSession() as session,
        session.ws_connect(host.url) as one,
        session.ws_connect(host.url) as other,
    ):
        host.connections.end_all()
        assert [(await one.receive()).data, (await other.receive()).data] == [1001, 1001]
