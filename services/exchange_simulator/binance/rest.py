"""Binance's REST API under /api/v3: market data, with the venue's weights, limits and errors."""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_simulator.binance import errors, queries
from services.exchange_simulator.binance.exchange_info import WEIGHT_LIMIT
from services.exchange_simulator.binance.queries import Answer, BinanceVenue, Query

ENDPOINTS: dict[str, Callable[[BinanceVenue, Query], Answer]] = {
    "ping": queries.ping,
    "time": queries.time,
    "exchangeInfo": queries.exchange_information,
    "depth": queries.depth,
    "trades": queries.trades,
    "aggTrades": queries.aggregate_trades,
    "avgPrice": queries.average_price,
    "ticker/24hr": queries.day_ticker,
    "ticker/price": queries.price_ticker,
    "ticker/bookTicker": queries.book_ticker,
}

# Endpoints of the venue that the simulator lacks: refused with code -1020. Any other path is
# unknown to the venue too: 404.
UNSUPPORTED = frozenset(
    {
        *("klines", "uiKlines", "historicalTrades", "ticker", "ticker/tradingDay"),
        *("order/cancelReplace", "order/amend/keepPriority"),
        *("orderList", "order/oco", "orderList/oco", "orderList/oto"),
        *("orderList/otoco", "allOrderList", "openOrderList", "sor/order", "sor/order/test"),
        *("myPreventedMatches", "myAllocations"),
        *("order/amendments", "myFilters", "executionRules"),
        *("referencePrice", "referencePrice/calculation"),
    }
)


def routes(venue: BinanceVenue) -> list[web.AbstractRouteDef]:
    """The routes of the REST API."""

    async def answer(request: web.Request) -> web.Response:
        return _answer(venue, request)

    return [web.route("*", "/api/v3/{name:.*}", answer)]


def _answer(venue: BinanceVenue, request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in ENDPOINTS and name not in UNSUPPORTED:
        return web.Response(
            status=404,
            text="<html><body><h2>404 Not found</h2></body></html>",
            content_type="text/html",
        )
    return respond(venue, request, lambda: _look_up(venue, request, name))


def respond(
    venue: BinanceVenue, request: web.Request, look_up: Callable[[], Answer]
) -> web.Response:
    """The HTTP response with the result or refusal of *look_up*; charges its weight."""
    client = request.remote or ""
    status, weight, refused = 200, 1, None
    body: Any
    try:
        venue.check_budget(client)
        weight, body = look_up()
    except errors.BinanceError as refusal:
        refused = refusal
    used = venue.budget.charge(client, weight)
    if used > WEIGHT_LIMIT:
        refused = errors.too_much_weight(WEIGHT_LIMIT, venue.budget.seconds_left())
    headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
    if refused:
        status, body = refused.status, refused.body()
        if refused.retry_after is not None:
            headers["Retry-After"] = str(refused.retry_after)
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def _look_up(venue: BinanceVenue, request: web.Request, name: str) -> Answer:
    if name in UNSUPPORTED:
        raise errors.not_supported(f"{request.method} {request.path}")
    if request.method != "GET":
        raise errors.BinanceError(405, -1020, f"Request method '{request.method}' not supported.")
    duplicated = len(request.query) - len(set(request.query))
    if duplicated:
        raise errors.BinanceError(400, -1101, "Duplicate values for a parameter detected.")
    return ENDPOINTS[name](venue, Query(request.query))
