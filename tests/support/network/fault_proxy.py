"""A TCP proxy that breaks connections where a test wants them broken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass
class FaultProxy:
    """Forwards to a server on 127.0.0.1 until told to do harm.

    Each harm is done once, to whichever connection meets it first:

    * `cut_requests_after = n`: n more bytes go to the server, then both sides are aborted;
    * `cut_replies_after = n`: the server gets everything and n more bytes of its replies reach
      the client, then both sides are aborted;
    * `cut_requests_with = b"…"`: both sides are aborted in place of a request with these bytes;
    * `hold_requests = True`: what the client sends is kept here; `hang_up()` aborts the client
      only, and `deliver_held()` gives the server what was kept, late.
    """

    target_port: int
    port: int = 0
    cut_requests_after: int | None = None
    cut_replies_after: int | None = None
    cut_requests_with: bytes | None = None
    hold_requests: bool = False
    cuts: int = 0
    held: bytearray = field(default_factory=bytearray)
    _held_for: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    _clients: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The proxied server as a Redis URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def hang_up(self) -> None:
        """Abort every client; a server whose requests are held stays connected."""
        self.hold_requests = False
        for client in self._clients:
            client.transport.abort()

    async def deliver_held(self) -> bytes:
        """Give the server what was held; its answer, empty if it has closed that connection."""
        assert self._held_for is not None, "nothing was held"
        (back, upstream), self._held_for = self._held_for, None
        try:
            upstream.write(bytes(self.held))
            await upstream.drain()
            return await asyncio.wait_for(back.read(_CHUNK), 5.0)
        except ConnectionError:
            return b""
        finally:
            upstream.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """One client's connection, until either side ends it."""
        try:
            back, upstream = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            client.transport.abort()
            return
        self._clients.add(client)
        try:
            requests = asyncio.ensure_future(self._requests(reader, back, upstream))
            replies = asyncio.ensure_future(self._replies(back, client))
            await asyncio.wait({requests, replies}, return_when=asyncio.FIRST_COMPLETED)
            for task in (requests, replies):
                task.cancel()
            await asyncio.wait({requests, replies})
        finally:
            self._clients.discard(client)
            client.transport.abort()
            if self._held_for is None or upstream is not self._held_for[1]:
                upstream.transport.abort()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        back: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                if self.hold_requests:
                    self._held_for = back, upstream
                    self.held += data
                    continue
                if self.cut_requests_with is not None and self.cut_requests_with in data:
                    self.cut_requests_with = None
                    self.cuts += 1
                    return
                left = self.cut_requests_after
                if left is not None and left <= len(data):
                    self.cut_requests_after = None
                    self.cuts += 1
                    upstream.write(data[:left])
                    await upstream.drain()
                    return
                if left is not None:
                    self.cut_requests_after = left - len(data)
                upstream.write(data)
                await upstream.drain()

    async def _replies(self, back: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await back.read(_CHUNK):
                left = self.cut_replies_after
                if left is not None and left <= len(data):
                    self.cut_replies_after = None
                    self.cuts += 1
                    client.write(data[:left])
                    await client.drain()
                    return
                if left is not None:
                    self.cut_replies_after = left - len(data)
                client.write(data)
                await client.drain()


@asynccontextmanager
async def fault_proxy(target_port: int) -> AsyncIterator[FaultProxy]:
    """A proxy in front of *target_port* while the block runs."""
    proxy = FaultProxy(target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.hang_up()
        await server.wait_closed()
