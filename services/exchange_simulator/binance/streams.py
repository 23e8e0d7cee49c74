"""Binance's market streams: /stream?streams=a/b/c and /ws/a, and their client requests.

Requests, answers and error texts: developers.binance.com, "WebSocket Streams for Binance".
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_simulator.binance.channels import Channel
from services.exchange_simulator.binance.feed import STREAM_KINDS
from services.exchange_simulator.binance.queries import BinanceVenue
from services.exchange_simulator.sockets import ConnectionPolicy, Connections
from services.exchange_simulator.stream_faults import AllStreamFaults

# A ping every 20 s, a pong within a minute, 5 incoming messages a second, 24 hours.
POLICY = ConnectionPolicy(
    ping_interval=20.0, pong_timeout=60.0, incoming_per_second=5, lifetime=24 * 3600.0
)
MAX_STREAMS = 1024

REQUEST_ID = re.compile(r"[a-zA-Z0-9]{1,36}")
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class RequestError(Exception):
    """An answer `{"code": .., "msg": .., "id": ..}`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(names: Collection[str]) -> None:
    """Check that one connection may subscribe to all of *names*.

    Raises:
        RequestError: a stream that the simulator lacks, or more streams than the venue allows.
    """
    for name in names:
        if name.partition("@")[2] not in STREAM_KINDS:
            raise RequestError(2, f"Invalid request: the simulator has no stream {name!r}")
    if len(names) > MAX_STREAMS:
        raise RequestError(2, "Invalid request: too many parameters")


class StreamSession:
    """The subscriptions of one client. *push* sends it a frame."""

    def __init__(
        self, venue: BinanceVenue, push: Callable[[bytes], None], *, combined: bool
    ) -> None:
        self.push = push
        self.combined = combined
        self._names: dict[str, Channel | None] = {}
        self._channels = {
            channel.name: channel
            for feed in venue.feeds.values()
            for channel in feed.channels.values()
        }

    def subscribe(self, names: Collection[str]) -> None:
        """Subscribe to *names*; a stream of an unlisted symbol stays silent, as on the venue.

        Raises:
            RequestError: a stream that the simulator lacks, or more streams than the venue allows.
        """
        check({*self._names, *names})
        for name in names:
            channel = self._names[name] = self._channels.get(name)
            if channel:
                channel.listeners.add(self)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Unsubscribe from *names*; names without a subscription are ignored."""
        for name in names:
            channel = self._names.pop(name, None)
            if channel:
                channel.listeners.discard(self)

    def close(self) -> None:
        """Unsubscribe from all streams."""
        self.unsubscribe(list(self._names))

    def on_text(self, text: str) -> None:
        """Answer one request of the client."""
        request_id: Any = None
        try:
            request = _parse(text)
            request_id = request.get("id")
            if not _is_request_id(request_id):
                request_id = None
                raise RequestError(2, "Invalid request: request ID must be an unsigned integer")
            answer = {"result": self._answer(request), "id": request_id}
        except RequestError as error:
            answer = {"code": error.code, "msg": str(error), "id": request_id}
        self.push(msgspec.json.encode(answer))

    def _answer(self, request: dict[str, Any]) -> Any:
        method = request.get("method")
        params = request.get("params", [])
        if method is None:
            raise RequestError(2, "Invalid request: missing field `method`")
        if method not in METHODS:
            known = ", ".join(f"`{name}`" for name in METHODS)
            raise RequestError(
                2, f"Invalid request: unknown variant `{method}`, expected one of {known}"
            )
        if not isinstance(params, list):
            raise RequestError(2, "Invalid request: params must be an array")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._names)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, params)
        if not all(isinstance(name, str) for name in params):
            raise RequestError(2, "Invalid request: stream name must be a string")
        (self.subscribe if method == "SUBSCRIBE" else self.unsubscribe)(params)
        return None

    def _property(self, method: str, params: list[Any]) -> bool | None:
        if not params or not isinstance(params[0], str):
            raise RequestError(2, "Invalid request: property name must be a string")
        if len(params) > (2 if method == "SET_PROPERTY" else 1):
            raise RequestError(2, "Invalid request: too many parameters")
        if params[0] != "combined":
            raise RequestError(0, "Unknown property")
        if method == "GET_PROPERTY":
            return self.combined
        if len(params) < 2 or not isinstance(params[1], bool):
            raise RequestError(1, "Invalid value type: expected Boolean")
        self.combined = params[1]
        return None


def _parse(text: str) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise RequestError(3, f"Invalid JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(2, "Invalid request: expected an object")
    return request


def _is_request_id(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or (isinstance(value, str) and bool(REQUEST_ID.fullmatch(value)))


def routes(
    venue: BinanceVenue,
    all_stream_faults: AllStreamFaults,
    connections: Connections,
    policy: ConnectionPolicy = POLICY,
) -> list[web.AbstractRouteDef]:
    """The routes of the streams; their frames pass *all_stream_faults*."""

    async def serve(
        request: web.Request, names: list[str], *, combined: bool
    ) -> web.StreamResponse:
        if request.query.get("timeUnit", "MILLISECOND").upper() != "MILLISECOND":
            return web.Response(status=501, text="the simulator speaks milliseconds only")
        try:
            check(names)
        except RequestError as error:
            return web.Response(status=501, text=str(error))

        def shutdown_notice() -> bytes:
            event = {"e": "serverShutdown", "E": venue.clock()}
            return msgspec.json.encode(
                {"stream": "!serverShutdown", "data": event} if combined else event
            )

        async with connections.accept(request, policy) as connection:
            with all_stream_faults.open(
                "binance", "market_stream", connection, shutdown_notice
            ) as stream_faults:
                session = StreamSession(venue, stream_faults.push, combined=combined)
                try:
                    session.subscribe(names)
                    await connection.run(session.on_text)
                finally:
                    session.close()
        return connection.response

    async def combined(request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await serve(request, names, combined=True)

    async def raw(request: web.Request) -> web.StreamResponse:
        names = [name for name in request.match_info.get("names", "").split("/") if name]
        return await serve(request, names, combined=False)

    return [web.get("/stream", combined), web.get("/ws", raw), web.get("/ws/{names:.*}", raw)]
