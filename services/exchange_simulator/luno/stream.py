"""Luno's streams: the client sends credentials, then receives the market's or user's feed.

Documentation: luno.com/en/developers/api, "Streaming API".
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
from aiohttp import WSCloseCode, web
from pydantic import SecretStr

from services.exchange_simulator.endpoints import StreamEndpoint
from services.exchange_simulator.luno.feed import LunoFeed
from services.exchange_simulator.luno.user_feed import UserFeed
from services.exchange_simulator.sockets import Connection, ConnectionPolicy, Connections
from services.exchange_simulator.stream_faults import AllStreamFaults, StreamFaults

# A ping every 13.5 s always, and `""` after 20 quiet seconds.
POLICY = ConnectionPolicy(
    ping_interval=13.5, pong_timeout=60.0, idle_timeout=20.0, idle_frame=b'""'
)
CREDENTIALS_TIMEOUT = 10.0
MAX_SESSIONS = 50


class Credentials(msgspec.Struct):
    """The client's first frame."""

    api_key_id: str
    api_key_secret: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The one accepted key."""

    key_id: str
    secret: SecretStr

    def matches(self, key_id: str, secret: str) -> bool:
        """True for the right id and secret; compared in constant time."""
        id_fits = secrets.compare_digest(key_id.encode(), self.key_id.encode())
        secret_fits = secrets.compare_digest(
            secret.encode(), self.secret.get_secret_value().encode()
        )
        return id_fits and secret_fits


class LunoStreamFeed(Protocol):
    """The feed that a client receives after its credentials are accepted."""

    def join(self, push: Callable[[bytes], None]) -> None:
        """Send to *push* until `leave`."""

    def leave(self, push: Callable[[bytes], None]) -> None:
        """Send nothing more to *push*."""


class LunoStreamSession:
    """One client of one stream; frames of the feed pass *stream_faults*."""

    def __init__(
        self,
        feed: LunoStreamFeed | None,
        pair: str,
        key: ApiKey,
        socket: Connection,
        stream_faults: StreamFaults,
    ) -> None:
        self._feed = feed
        self._pair = pair
        self._key = key
        self._socket = socket
        self._stream_faults = stream_faults
        self._timer: asyncio.TimerHandle | None = None

    def start(self, wait: float) -> None:
        """Wait for the credentials, at most *wait* seconds."""
        self._timer = asyncio.get_running_loop().call_later(
            wait, self._refuse, "auth_timeout", "you took too long to provide credentials"
        )

    def on_text(self, text: str) -> None:
        """Handle a frame: the first must be the credentials, later ones are keep-alives."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        try:
            given = msgspec.json.decode(text, type=Credentials)
        except msgspec.MsgspecError:
            self._refuse("invalid_credentials", "you provided an invalid credentials message")
            return
        # The answer to an unknown key isn't documented; the shape of errors is.
        if not self._key.matches(given.api_key_id, given.api_key_secret):
            self._refuse("invalid_credentials", "the API key or its secret is wrong")
        elif self._feed is None:
            self._refuse("invalid_market", self._pair)
        else:
            self._feed.join(self._stream_faults.push)

    def close(self) -> None:
        """Leave the feed and stop the timer."""
        if self._timer:
            self._timer.cancel()
        if self._feed:
            self._feed.leave(self._stream_faults.push)

    def _refuse(self, code: str, message: str) -> None:
        self._timer = None
        self._socket.push(msgspec.json.encode({"error_code": code, "error": message}))
        self._socket.end(WSCloseCode.OK)


def routes(
    feeds: Mapping[str, LunoFeed],
    user: UserFeed,
    key: ApiKey,
    all_stream_faults: AllStreamFaults,
    connections: Connections,
    policy: ConnectionPolicy = POLICY,
    credentials_timeout: float = CREDENTIALS_TIMEOUT,
) -> list[web.AbstractRouteDef]:
    """The routes of the market streams and of the user stream."""
    sessions: set[LunoStreamSession] = set()

    async def serve(
        request: web.Request, feed: LunoStreamFeed | None, endpoint: StreamEndpoint
    ) -> web.StreamResponse:
        pair = request.match_info.get("pair", "")
        # An unknown pair is accepted too; the error follows after the credentials.
        async with connections.accept(request, policy) as socket:
            with all_stream_faults.open("luno", endpoint, socket) as stream_faults:
                session = LunoStreamSession(feed, pair, key, socket, stream_faults)
                if len(sessions) >= MAX_SESSIONS:
                    socket.push(b"session limit exceeded")
                    socket.end(WSCloseCode.OK)
                else:
                    session.start(credentials_timeout)
                sessions.add(session)
                try:
                    await socket.run(session.on_text)
                finally:
                    sessions.discard(session)
                    session.close()
        return socket.response

    async def market(request: web.Request) -> web.StreamResponse:
        return await serve(request, feeds.get(request.match_info["pair"]), "market_stream")

    async def account(request: web.Request) -> web.StreamResponse:
        return await serve(request, user, "user_stream")

    return [
        web.get("/api/1/stream/{pair}", market),
        web.get("/api/1/userstream", account),
    ]
