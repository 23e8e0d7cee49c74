"""Binance's WebSocket API: the envelope, and the market data methods.

Envelope and methods: developers.binance.com, "Public WebSocket API for Binance".
"""

from collections.abc import Callable
from typing import Any

import msgspec

from services.exchange_simulator.binance import errors, queries
from services.exchange_simulator.binance.exchange_info import RATE_LIMITS, WEIGHT_LIMIT
from services.exchange_simulator.binance.queries import Answer, BinanceVenue, Query

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


def answer(
    venue: BinanceVenue,
    client: str,
    text: str,
    look_up_method: Callable[[str, dict[str, Any]], Answer],
) -> dict[str, Any]:
    """The response to the request *text*; *look_up_method* answers its method and parameters."""
    request_id: Any = None
    status, weight, refused = 200, 1, None
    outcome: dict[str, Any] = {}
    try:
        request = _parse(text)
        request_id = request.get("id")
        venue.check_budget(client)
        weight, result = look_up_method(*_method(request))
        outcome = {"result": result}
    except errors.BinanceError as refusal:
        refused = refusal
    used = venue.budget.charge(client, weight)
    if used > WEIGHT_LIMIT:
        refused = errors.too_much_weight(WEIGHT_LIMIT, venue.budget.seconds_left())
    if refused:
        status, outcome = refused.status, {"error": error(venue, refused)}
    limits = [{**RATE_LIMITS[0], "count": used}]
    return {"id": request_id, "status": status, **outcome, "rateLimits": limits}


def error(venue: BinanceVenue, refused: errors.BinanceError) -> dict[str, Any]:
    """The `error` object, with `retryAfter` (Unix ms) if the error has a retry time."""
    body: dict[str, Any] = refused.body()
    if refused.retry_after is not None:
        now = venue.clock()
        body["data"] = {"serverTime": now, "retryAfter": now + refused.retry_after * 1000}
    return body


def _parse(text: str) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        request = None
    if not isinstance(request, dict):
        raise errors.BinanceError(400, -1135, "Invalid JSON Request")
    return request


def _method(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    method, params = request.get("method"), request.get("params", {})
    if not isinstance(method, str):
        raise errors.missing("method")
    if not isinstance(params, dict):
        raise errors.BinanceError(400, -1135, "Invalid JSON Request")
    return method, params


def look_up(venue: BinanceVenue, method: str, params: dict[str, Any]) -> Answer:
    """Answer a market data method.

    Raises:
        BinanceError: the venue's refusal, or an unsupported method.
    """
    known = METHODS.get(method)
    if known is None:
        raise errors.not_supported(f"the method {method!r}")
    asked = {name: value for name, value in params.items() if name != "returnRateLimits"}
    return known(venue, Query(asked))
