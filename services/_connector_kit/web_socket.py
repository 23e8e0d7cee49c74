"""A WebSocket whose death is noticed: frames by callback, the end as a TransientError."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from picows import (
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)
from python_socks import ProxyError

from services._connector_kit.errors import RateLimitedError
from services._connector_kit.limits import VenueLimits
from services._connector_kit.venue_answers import by_status, no_answer, with_meaning
from services._connector_kit.venue_stats import SocketStats
from services._runtime.redaction import excerpt
from services._runtime.supervise import TransientError

CONNECT_TIMEOUT = 5.0
# Together below 5 s: quiet for this long, then our ping, then no answer for this long.
PING_AFTER = 2.0
PONG_WITHIN = 2.0
# For a message, in one frame or many. Luno's snapshot of its busiest book is above 1 MB today.
MOST_BYTES = 8 << 20


class WebSocket(WSListener):
    """One connection. Text is handed to `on_text` as it arrives, on the event loop."""

    def __init__(
        self,
        on_text: Callable[[bytes], None],
        on_open: Callable[[], None] | None,
        stats: SocketStats | None = None,
    ) -> None:
        self._on_text = on_text
        self._on_open = on_open
        self._stats = stats or SocketStats()
        # None between messages. One buffer: a list of tiny fragments would take more than they do.
        self._parts: bytearray | None = None
        self._fault: Exception | None = None
        self._over = False
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Called by picows."""
        self._transport = transport
        self._stats.connections += 1
        if self._on_open:
            self._on_open()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Called by picows; what the callback raises is raised again by `closed`."""
        if self._over:
            return  # frames that were read together with the one that ended it all
        kind = frame.msg_type
        if kind is WSMsgType.TEXT or kind is WSMsgType.CONTINUATION:
            payload = frame.get_payload_as_bytes()
            if not frame.fin or self._parts is not None:
                joined = self._join(payload, last=frame.fin)
                if joined is None:
                    return
                payload = joined
            stats = self._stats
            stats.messages += 1
            stats.bytes += len(payload)
            try:
                self._on_text(payload)
            except Exception as e:  # noqa: BLE001 - not swallowed: raised again in closed()
                self._fault = e
                self.end()
        elif kind is WSMsgType.CLOSE:
            transport.disconnect()

    def _join(self, payload: bytes, *, last: bool) -> bytes | None:
        """The whole message, once its *last* fragment came."""
        self._parts = bytearray() if self._parts is None else self._parts
        if len(self._parts) + len(payload) > MOST_BYTES:
            self._fault = TransientError(f"a message of more than {MOST_BYTES} bytes")
            self.end()
            return None
        self._parts += payload
        if not last:
            return None
        whole, self._parts = bytes(self._parts), None
        return whole

    def hand_to(self, on_text: Callable[[bytes], None]) -> None:
        """From now on hand text to *on_text*."""
        self._on_text = on_text

    def send(self, text: bytes) -> None:
        """Send one text frame."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text)

    def end(self) -> None:
        """Hang up at once: nothing is handed on after this."""
        self._over = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def closed(self) -> None:
        """Wait for the end, and raise it.

        Raises:
            TransientError: the connection is gone.
        """
        transport = self._transport
        if transport is None:
            raise TransientError("the socket was never open")
        try:
            await transport.wait_disconnected()
        except WSError as e:
            raise TransientError(f"the venue broke the protocol: {_one_line(e)}") from e
        if self._fault is not None:
            raise self._fault
        # Without a close frame from either side there is no handshake, whatever its type says.
        received = getattr(transport.close_handshake, "recv", None)
        if received is None:
            raise TransientError("the socket closed without a close frame")
        raise TransientError(f"the venue closed the socket: {received.code} {received.reason}")


async def connect(
    url: str,
    on_text: Callable[[bytes], None],
    on_open: Callable[[], None] | None = None,
    stats: SocketStats | None = None,
) -> WebSocket:
    """Connect to *url*; *on_open* is called before any text comes. The caller must `end` it.

    *stats* counts what is received; the connection obeys its limits and uses its proxy.

    Raises:
        RateLimitedError: the venue bans us, or there were too many attempts.
        TransientError: it can't be reached, or refuses.
    """
    socket = WebSocket(on_text, on_open, stats)
    limits, proxy = (stats.limits, stats.proxy) if stats else (None, None)
    if limits:
        await limits.connect()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await ws_connect(
                lambda: socket,
                url,
                websocket_handshake_timeout=CONNECT_TIMEOUT,
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_AFTER,
                auto_ping_reply_timeout=PONG_WITHIN,
                max_frame_size=MOST_BYTES,
                max_redirects=0,  # Luno's key is the first frame
                proxy=proxy,
            )
    except WSHandshakeError as e:
        raise _refused(e, limits) from e
    except (OSError, TimeoutError, WSError, ProxyError) as e:
        said = no_answer("the venue", e, url=url, proxied=proxy is not None)
        raise TransientError(f"the socket can't be opened: {said}") from e
    return socket


@asynccontextmanager
async def open_socket(
    url: str,
    on_text: Callable[[bytes], None],
    on_open: Callable[[], None] | None = None,
    stats: SocketStats | None = None,
) -> AsyncIterator[WebSocket]:
    """`connect` for the length of the block."""
    socket = await connect(url, on_text, on_open, stats)
    try:
        yield socket
    finally:
        socket.end()


def _refused(error: WSHandshakeError, limits: VenueLimits | None) -> TransientError:
    response = error.response
    if limits and response and response.status in (418, 429):
        wait = limits.obey(response.headers.get("Retry-After"))
        said = f"the venue refused the socket with {response.status:d}: not before {wait:g} s"
        message = with_meaning(said, by_status(response.status))
        return RateLimitedError(message, retry_after=wait)
    said = f"the socket can't be opened: {_one_line(error)}"
    return TransientError(with_meaning(said, by_status(response.status) if response else None))


def _one_line(error: Exception) -> str:
    return excerpt(str(error).splitlines()[0]) if str(error) else error.__class__.__name__
