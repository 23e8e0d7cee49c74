"""The route of Binance's WebSocket API, /ws-api/v3."""

import msgspec
from aiohttp import web

from services.exchange_simulator.binance.trading import BinanceTrading
from services.exchange_simulator.binance.user_events import UserEvents
from services.exchange_simulator.binance.ws_session import WsApiSession
from services.exchange_simulator.fault_middleware import FaultMiddleware
from services.exchange_simulator.sockets import Connections, Habits
from services.exchange_simulator.stream_faults import AllStreamFaults

HABITS = Habits(ping_every=20.0, pong_within=60.0, lifetime=24 * 3600.0)
CONNECT_WEIGHT = 2


def routes(
    desk: BinanceTrading,
    gate: FaultMiddleware,
    gates: AllStreamFaults,
    connections: Connections,
    habits: Habits = HABITS,
) -> list[web.AbstractRouteDef]:
    """The route; user events pass *gates*, requests and their answers *gate*."""
    events = UserEvents(desk.account, desk.venue.clock)

    def shutdown_notice() -> bytes:
        return msgspec.json.encode({"event": {"e": "serverShutdown", "E": desk.venue.clock()}})

    async def serve(request: web.Request) -> web.StreamResponse:
        client = request.remote or ""
        desk.venue.budget.charge(client, CONNECT_WEIGHT)
        async with connections.accept(request, habits) as connection:
            with gates.open("binance", "user_stream", connection, shutdown_notice) as stream:
                session = WsApiSession(desk, events, gate, connection, stream, client)
                try:
                    await connection.run(session.hear)
                finally:
                    session.close()
        return connection.response

    return [web.get("/ws-api/v3", serve)]
