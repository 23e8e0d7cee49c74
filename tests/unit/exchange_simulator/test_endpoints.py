"""The endpoint of a request."""

import pytest

from services.exchange_simulator.endpoints import rest_endpoint, ws_api_endpoint


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/api/v3/order", ("binance", "place")),
        ("POST", "/api/v3/order/test", ("binance", "market_data")),
        ("DELETE", "/api/v3/order", ("binance", "cancel")),
        ("GET", "/api/v3/depth", ("binance", "market_data")),
        ("GET", "/sapi/v1/account/apiRestrictions", ("binance", "permissions")),
        ("POST", "/api/1/marketorder", ("luno", "place")),
        ("GET", "/api/1/orders/BX1", ("luno", "query")),
        ("GET", "/api/exchange/2/orders/BX1", ("luno", "query")),
        ("GET", "/api/exchange/2/listorders", ("luno", "open_orders")),
        ("GET", "/api/exchange/1/markets", ("luno", "market_data")),
        ("GET", "/api/1/stream/XBTZAR", ("luno", "connect")),
        ("GET", "/api/1/userstream", ("luno", "connect")),
        ("GET", "/stream", ("binance", "connect")),
        ("GET", "/ws/btcusdt@depth", ("binance", "connect")),
        ("GET", "/ws-api/v3", ("binance", "connect")),
        ("GET", "/simulator/faults", None),
    ],
)
def test_each_request_has_one_endpoint_or_none(
    method: str, path: str, expected: tuple[str, str] | None
) -> None:
    """By method and path; the control API belongs to no venue."""
    assert rest_endpoint(method, path) == expected


def test_methods_of_the_websocket_api_have_the_same_names() -> None:
    """All methods without the account are market data."""
    assert ws_api_endpoint("order.place") == "place"
    assert ws_api_endpoint("userDataStream.subscribe.signature") == "subscribe"
    assert ws_api_endpoint("depth") == "market_data"
