"""The route of Binance's WebSocket API, /ws-api/v3."""

import msgspec
from aiohttp import web

from services.exchange_simulator.binance.trading import BinanceTrading
from services.exchange_simulator.binance.user_events import UserEvents
from services.exchange_simulator.binance.ws_session import WsApiSession
from services.exchange_simulator.fault_middleware import FaultMiddleware
from services.exchange_simulator.sockets import ConnectionPolicy, Connections
from services.exchange_simulator.stream_faults import AllStreamFaults

POLICY = ConnectionPolicy(ping_interval=20.0, pong_timeout=60.0, lifetime=24 * 3600.0)
CONNECT_WEIGHT = 2


def routes(
    trading: BinanceTrading,
    fault_middleware: FaultMiddleware,
    all_stream_faults: AllStreamFaults,
    connections: Connections,
    policy: ConnectionPolicy = POLICY,
) -> list[web.AbstractRouteDef]:
    """The route; user events pass *all_stream_faults*, requests pass *fault_middleware*."""
    events = UserEvents(trading.account, trading.venue.clock)

    def shutdown_notice() -> bytes:
        return msgspec.json.encode({"event": {"e": "serverShutdown", "E": trading.venue.clock()}})

    async def serve(request: web.Request) -> web.StreamResponse:
        client = request.remote or ""
        trading.venue.budget.charge(client, CONNECT_WEIGHT)
        async with connections.accept(request, policy) as connection:
            with all_stream_faults.open(
                "binance", "user_stream", connection, shutdown_notice
            ) as stream_faults:
                session = WsApiSession(
                    trading, events, fault_middleware, connection, stream_faults, client
                )
                try:
                    await connection.run(session.on_text)
                finally:
                    session.close()
        return connection.response

    return [web.get("/ws-api/v3", serve)]
