"""Binance's signed REST endpoints: routes, parameters, and the check of key and signature."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from aiohttp import web

from services.exchange_simulator.binance import errors
from services.exchange_simulator.binance.queries import Answer
from services.exchange_simulator.binance.rest import respond
from services.exchange_simulator.binance.signing import without_signature
from services.exchange_simulator.binance.trading import BinanceTrading, answer_signed
from services.exchange_simulator.fault_middleware import RECEIVED_MS

# (method, path): the endpoint by its WebSocket API name.
ENDPOINTS = {
    ("POST", "/api/v3/order"): "order.place",
    ("POST", "/api/v3/order/test"): "order.test",
    ("DELETE", "/api/v3/order"): "order.cancel",
    ("PUT", "/api/v3/order/amend/keepPriority"): "order.amend.keepPriority",
    ("GET", "/api/v3/order"): "order.status",
    ("DELETE", "/api/v3/openOrders"): "openOrders.cancelAll",
    ("GET", "/api/v3/openOrders"): "openOrders.status",
    ("GET", "/api/v3/allOrders"): "allOrders",
    ("GET", "/api/v3/myTrades"): "myTrades",
    ("GET", "/api/v3/account"): "account.status",
    ("GET", "/api/v3/account/commission"): "account.commission",
    ("GET", "/api/v3/rateLimit/order"): "account.rateLimits.orders",
    ("GET", "/sapi/v1/account/apiRestrictions"): "account.permissions",
}


def routes(trading: BinanceTrading) -> list[web.AbstractRouteDef]:
    """The routes of the signed endpoints; any other method on their paths is refused."""

    def known(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            body = (await request.read()).decode("utf-8", "replace")
            response = respond(
                trading.venue, request, lambda: _answer(trading, name, request, body)
            )
            # "Rejected/unsuccessful orders are not guaranteed to have" these headers.
            if name == "order.place" and response.status == 200:
                response.headers.update(trading.count.headers())
            return response

        return handle

    async def other(request: web.Request) -> web.Response:
        def refuse() -> Answer:
            text = f"Request method '{request.method}' not supported."
            raise errors.BinanceError(405, -1020, text)

        return respond(trading.venue, request, refuse)

    paths = dict.fromkeys(path for _, path in ENDPOINTS)
    return [
        *(web.route(method, path, known(name)) for (method, path), name in ENDPOINTS.items()),
        *(web.route("*", path, other) for path in paths),
    ]


def _answer(trading: BinanceTrading, name: str, request: web.Request, body: str) -> Answer:
    """Check key and signature, then answer.

    Raises:
        BinanceError: the venue's refusal.
    """
    trading.key.check(request.headers.get("X-MBX-APIKEY"))
    query = request.raw_path.partition("?")[2]
    params = parameters(query, body)
    signed_query, in_query = without_signature(query)
    signed_body, in_body = without_signature(body)
    signature = in_query or in_body
    if not signature:
        raise errors.missing("signature")
    # "totalParams is defined as the query string concatenated with the request body": the bytes
    # as sent, percent-encoded, without an "&" between the two.
    trading.key.check_signature(signed_query + signed_body, signature)
    return answer_signed(trading, name, params, request[RECEIVED_MS])


def parameters(query: str, body: str) -> dict[str, str]:
    """All parameters; one that is in both comes from the query string.

    Raises:
        BinanceError: -1101, a parameter is duplicated in the query string or in the body.
    """
    found: dict[str, str] = {}
    for encoded in (body, query):
        pairs = parse_qsl(encoded, keep_blank_values=True)
        if len(dict(pairs)) < len(pairs):
            raise errors.BinanceError(400, -1101, "Duplicate values for a parameter detected.")
        found |= dict(pairs)
    return found
