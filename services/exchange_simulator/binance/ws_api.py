"""Binance's WebSocket API at /ws-api/v3: the market-data half.

Envelope and methods: developers.binance.com, "Public WebSocket API for Binance".
"""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_simulator.binance import errors, queries
from services.exchange_simulator.binance.exchange_info import RATE_LIMITS, WEIGHT_LIMIT
from services.exchange_simulator.binance.queries import Answer, BinanceVenue, Query
from services.exchange_simulator.sockets import Connections, Habits

HABITS = Habits(ping_every=20.0, pong_within=60.0, lifetime=24 * 3600.0)
CONNECT_WEIGHT = 2

METHODS: dict[str, Callable[[BinanceVenue, Query], Answer]] = {
    "ping": queries.ping,
    "time": queries.time,
    "exchangeInfo": queries.exchange_information,
    "depth": queries.depth,
    "trades.recent": queries.trades,
    "trades.aggregate": queries.aggregate_trades,
    "avgPrice": queries.average_price,
    "ticker.24hr": queries.day_ticker,
    "ticker.price": queries.price_ticker,
    "ticker.book": queries.book_ticker,
}


def answer(venue: BinanceVenue, client: str, text: str) -> dict[str, Any]:
    """The response to one request."""
    request_id: Any = None
    status, weight = 200, 1
    outcome: dict[str, Any]
    try:
        request = _parse(text)
        request_id = request.get("id")
        weight, result = _look_up(venue, request)
        outcome = {"result": result}
    except errors.BinanceError as refusal:
        status, outcome = refusal.status, {"error": refusal.body()}
    used = venue.budget.charge(client, weight)
    if used > WEIGHT_LIMIT:
        error = errors.too_much_weight(WEIGHT_LIMIT)
        now = venue.clock()
        retry_after = now + venue.budget.seconds_left() * 1000
        data = {"serverTime": now, "retryAfter": retry_after}
        status, outcome = error.status, {"error": {**error.body(), "data": data}}
    limits = [{**RATE_LIMITS[0], "count": used}]
    return {"id": request_id, "status": status, **outcome, "rateLimits": limits}


def _parse(text: str) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        request = None
    if not isinstance(request, dict):
        raise errors.BinanceError(400, -1135, "Invalid JSON Request")
    return request


def _look_up(venue: BinanceVenue, request: dict[str, Any]) -> Answer:
    method, params = request.get("method"), request.get("params", {})
    if not isinstance(method, str):
        raise errors.missing("method")
    if not isinstance(params, dict):
        raise errors.BinanceError(400, -1135, "Invalid JSON Request")
    look_up = METHODS.get(method)
    if look_up is None:
        raise errors.not_supported(f"the method {method!r}")
    known = {name: value for name, value in params.items() if name != "returnRateLimits"}
    return look_up(venue, Query(known))


def routes(
    venue: BinanceVenue, connections: Connections, habits: Habits = HABITS
) -> list[web.AbstractRouteDef]:
    """The route of the WebSocket API."""

    async def serve(request: web.Request) -> web.StreamResponse:
        client = request.remote or ""
        venue.budget.charge(client, CONNECT_WEIGHT)
        async with connections.accept(request, habits) as connection:
            await connection.run(
                lambda text: connection.push(msgspec.json.encode(answer(venue, client, text)))
            )
        return connection.response

    return [web.get("/ws-api/v3", serve)]
