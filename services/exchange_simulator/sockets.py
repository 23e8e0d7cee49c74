"""The server side of a WebSocket: an outbox, keep-alives, and a limit for slow consumers."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

# A consumer with this many bytes queued is disconnected, as the venues do: memory stays bounded,
# and the market never waits for a client.
MAX_BACKLOG = 16 * 1024 * 1024
CLOSE_TIMEOUT = 1.0
MAX_INCOMING = 64 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """A venue's limits and keep-alives of a connection; all times in seconds."""

    ping_interval: float
    pong_timeout: float
    idle_timeout: float | None = None  # silence before `idle_frame` is sent
    idle_frame: bytes = b""
    incoming_per_second: int | None = None
    lifetime: float = math.inf


class Connection:
    """One client's connection. `push` never waits; `run` owns the tasks that send and receive."""

    def __init__(
        self, ws: web.WebSocketResponse, request: web.Request, policy: ConnectionPolicy
    ) -> None:
        self.response = ws
        self._request = request
        self._policy = policy
        self._outbox: deque[bytes] = deque()
        self._backlog = 0
        self._wake = asyncio.Event()
        self._last_frame: tuple[int, bytes] | None = None
        self._frozen = False
        self._closed: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._last_pong_at = self._now()
        self._incoming: deque[float] = deque(maxlen=policy.incoming_per_second)

    def push(self, frame: bytes) -> None:
        """Queue a text frame; after `end`, or after the connection was cut, it is dropped."""
        if self._last_frame or self._frozen or self._closed.done():
            return
        self._outbox.append(frame)
        self._backlog += len(frame)
        if self._backlog > MAX_BACKLOG:
            self._cut_off()
        elif len(self._outbox) == 1:
            self._wake.set()

    def end(self, code: int, reason: str = "") -> None:
        """Close once every queued frame is sent."""
        if self._frozen:
            self.cut()
            return
        self._last_frame = self._last_frame or (code, reason.encode())
        self._wake.set()

    def cut(self) -> None:
        """Abort the connection without a close frame."""
        self._outbox.clear()
        self._abort()
        self._finish(WSCloseCode.OK)

    def freeze(self) -> None:
        """Stay open but send and read nothing more: no frame, no ping, no pong, no FIN."""
        self._frozen = True
        self._outbox.clear()
        if self._request.transport is not None:
            self._request.transport.pause_reading()

    async def run(self, on_text: Callable[[str], None]) -> None:
        """Serve until either side ends it; *on_text* is called with each text frame received."""
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._write()),
                group.create_task(self._read(on_text)),
                group.create_task(self._keep_alive()),
            ]
            code, reason = await self._closed
            for helper in helpers:
                helper.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.response.close(code=code, message=reason)
        except TimeoutError:  # the client doesn't read the close frame
            self._abort()

    async def _write(self) -> None:
        while not self._closed.done():
            try:
                async with asyncio.timeout(self._policy.idle_timeout):
                    await self._wake.wait()
            except TimeoutError:
                self.push(self._policy.idle_frame)
            self._wake.clear()
            try:
                while self._outbox:
                    frame = self._outbox.popleft()
                    await self.response.send_frame(frame, WSMsgType.TEXT)
                    self._backlog -= len(frame)
            except ConnectionError:
                self._finish(WSCloseCode.OK)
                return
            if self._last_frame:
                self._finish(*self._last_frame)

    async def _read(self, on_text: Callable[[str], None]) -> None:
        while True:
            message = await self.response.receive()
            if self._frozen:
                await asyncio.wait([self._closed])
                return
            if message.type is WSMsgType.TEXT:
                on_text(message.data)
            elif message.type is WSMsgType.PING:
                try:
                    await self.response.pong(message.data)
                except ConnectionError:
                    self._finish(WSCloseCode.OK)
            elif message.type is WSMsgType.PONG:
                self._last_pong_at = self._now()
            elif message.type is WSMsgType.BINARY:
                self.end(WSCloseCode.UNSUPPORTED_DATA, "text frames only")
            else:  # closed by the client, or lost
                self._finish(WSCloseCode.OK)
                return
            if self._too_often():
                self.end(WSCloseCode.POLICY_VIOLATION, "Too many requests")

    async def _keep_alive(self) -> None:
        opened = self._now()
        while True:
            await asyncio.sleep(self._policy.ping_interval)
            if self._frozen:
                continue
            if self._now() - self._last_pong_at > self._policy.pong_timeout:
                self._finish(WSCloseCode.POLICY_VIOLATION, b"Pong timeout")
            elif self._now() - opened > self._policy.lifetime:
                self.end(WSCloseCode.GOING_AWAY, "Connection reached its lifetime")
            try:
                async with asyncio.timeout(self._policy.pong_timeout):
                    await self.response.ping(str(int(self._now() * 1000)).encode())
            except TimeoutError:  # the send buffer is full
                self._finish(WSCloseCode.POLICY_VIOLATION, b"Pong timeout")
            except ConnectionError:
                self._finish(WSCloseCode.OK)

    def _too_often(self) -> bool:
        limit = self._policy.incoming_per_second
        if limit is None:
            return False
        now = self._now()
        too_often = len(self._incoming) == limit and now - self._incoming[0] < 1.0
        self._incoming.append(now)
        return too_often

    def _cut_off(self) -> None:
        log.warning("slow_consumer_cut_off", path=self._request.path, backlog=self._backlog)
        self._outbox.clear()
        self._abort()
        self._finish(WSCloseCode.POLICY_VIOLATION)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    def _finish(self, code: int, reason: bytes = b"") -> None:
        if not self._closed.done():
            self._closed.set_result((code, reason))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class Connections:
    """All open connections, so that a shutdown can close each."""

    def __init__(self) -> None:
        self.accepted = 0
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def accept(
        self, request: web.Request, policy: ConnectionPolicy
    ) -> AsyncIterator[Connection]:
        """Accept the handshake; the connection counts as open inside the block.

        No extension is offered: both venues send uncompressed frames.
        """
        ws = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT, autoping=False, compress=False, max_msg_size=MAX_INCOMING
        )
        await ws.prepare(request)
        connection = Connection(ws, request, policy)
        self._open.add(connection)
        self.accepted += 1
        try:
            yield connection
        finally:
            self._open.discard(connection)

    def end_all(self) -> None:
        """Close every connection with code 1001."""
        for connection in list(self._open):
            connection.end(WSCloseCode.GOING_AWAY, "the server is stopping")
