"""Names of requests and streams, the same for both venues: fault rules refer to them."""

from typing import Literal

from services.exchange_simulator.instruments import Venue

RequestEndpoint = Literal[
    "place",
    "cancel",
    "amend",
    "cancel_all",
    "query",
    "open_orders",
    "orders",
    "trades",
    "balances",
    "permissions",
    "connect",  # the handshake of any socket
    "subscribe",  # to the user data stream of Binance's WebSocket API
    "time",
    "market_data",
]
StreamEndpoint = Literal["market_stream", "user_stream"]
Endpoint = RequestEndpoint | StreamEndpoint

# (method, path).
_REST: dict[tuple[str, str], tuple[Venue, RequestEndpoint]] = {
    ("POST", "/api/v3/order"): ("binance", "place"),
    ("DELETE", "/api/v3/order"): ("binance", "cancel"),
    ("PUT", "/api/v3/order/amend/keepPriority"): ("binance", "amend"),
    ("GET", "/api/v3/order"): ("binance", "query"),
    ("DELETE", "/api/v3/openOrders"): ("binance", "cancel_all"),
    ("GET", "/api/v3/openOrders"): ("binance", "open_orders"),
    ("GET", "/api/v3/allOrders"): ("binance", "orders"),
    ("GET", "/api/v3/myTrades"): ("binance", "trades"),
    ("GET", "/api/v3/account"): ("binance", "balances"),
    ("GET", "/api/v3/rateLimit/order"): ("binance", "orders"),
    ("GET", "/sapi/v1/account/apiRestrictions"): ("binance", "permissions"),
    ("GET", "/api/v3/time"): ("binance", "time"),
    ("POST", "/api/1/postorder"): ("luno", "place"),
    ("POST", "/api/1/marketorder"): ("luno", "place"),
    ("POST", "/api/1/stoporder"): ("luno", "cancel"),
    ("GET", "/api/exchange/3/order"): ("luno", "query"),
    ("GET", "/api/exchange/2/listorders"): ("luno", "open_orders"),
    ("GET", "/api/1/listorders"): ("luno", "open_orders"),
    ("GET", "/api/1/listtrades"): ("luno", "trades"),
    ("GET", "/api/1/balance"): ("luno", "balances"),
}
_QUERIES = ("/api/1/orders/", "/api/exchange/2/orders/")  # an id follows
_MARKET_DATA: dict[str, Venue] = {
    "/api/v3/": "binance",
    "/api/1/": "luno",
    "/api/exchange/": "luno",
}
_SOCKETS: dict[str, Venue] = {
    "/api/1/stream/": "luno",
    "/api/1/userstream": "luno",
    "/stream": "binance",
    "/ws": "binance",
}

_WS_API: dict[str, RequestEndpoint] = {
    "order.place": "place",
    "order.cancel": "cancel",
    "order.amend.keepPriority": "amend",
    "order.status": "query",
    "openOrders.cancelAll": "cancel_all",
    "openOrders.status": "open_orders",
    "allOrders": "orders",
    "myTrades": "trades",
    "account.status": "balances",
    "time": "time",
    "userDataStream.subscribe.signature": "subscribe",
}


def rest_endpoint(method: str, path: str) -> tuple[Venue, RequestEndpoint] | None:
    """Venue and endpoint of an HTTP request; None if it belongs to neither venue."""
    for prefix, venue in _SOCKETS.items():
        if path.startswith(prefix):
            return venue, "connect"
    if method == "GET" and path.startswith(_QUERIES):
        return "luno", "query"
    known = _REST.get((method, path))
    if known is not None:
        return known
    for prefix, venue in _MARKET_DATA.items():
        if path.startswith(prefix):
            return venue, "market_data"
    return None


def ws_api_endpoint(method: str) -> RequestEndpoint:
    """The endpoint of a request to Binance's WebSocket API."""
    return _WS_API.get(method, "market_data")
