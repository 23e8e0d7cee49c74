"""Plain clients of both venues for tests of the wire: no SDK, no retries."""

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp

from services.exchange_simulator.service import Simulator
from services.exchange_simulator.settings import SimulatorSettings

KEY, SECRET = "simulator-key", "simulator-secret"
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "60000.00",
}
BID = {"pair": "XBTZAR", "type": "BID", "volume": "0.01", "price": "1300000"}


def one_symbol_each() -> SimulatorSettings:
    """Settings of a simulator that starts quickly."""
    return SimulatorSettings(
        simulator_port=0,
        simulator_rate=200.0,
        simulator_book_orders=300,
        simulator_symbols=("BTC/USDT", "XBT/ZAR"),
    )


def sign(payload: str) -> str:
    """Binance's signature."""
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def now_ms() -> int:
    """Unix ms."""
    return time.time_ns() // 1_000_000


class Venues:
    """Both venues of a simulator, and its controls."""

    def __init__(self, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.http = http

    async def binance(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        """Status and JSON (or text) of a signed request to /api/v3."""
        payload = urlencode({"timestamp": now_ms(), **params})
        url = f"{self.simulator.http_url}/api/v3/{path}?{payload}&signature={sign(payload)}"
        headers = {"X-MBX-APIKEY": KEY}
        async with self.http.request(method, url, headers=headers) as response:
            return response.status, await _read(response)

    async def luno(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        """Status and JSON of a request to /api with the key."""
        url = f"{self.simulator.http_url}/api/{path}"
        headers = {"Authorization": aiohttp.encode_basic_auth(KEY, SECRET)}
        async with self.http.request(method, url, params=params, headers=headers) as response:
            return response.status, await _read(response)

    async def place(self, venue: str, client_id: str) -> tuple[int, Any]:
        """An order that rests far below the market."""
        if venue == "binance":
            return await self.binance("POST", "order", **LIMIT, newClientOrderId=client_id)
        return await self.luno("POST", "1/postorder", **BID, client_order_id=client_id)

    async def find(self, venue: str, client_id: str) -> tuple[int, Any]:
        """Query an order."""
        if venue == "binance":
            return await self.binance("GET", "order", symbol="BTCUSDT", origClientOrderId=client_id)
        return await self.luno("GET", "exchange/3/order", client_order_id=client_id)

    async def control(self, method: str, path: str, order: Any = None) -> Any:
        """A call of the control API, which must succeed."""
        url = f"{self.simulator.http_url}/simulator/{path}"
        async with self.http.request(method, url, json=order) as response:
            said = await response.json()
            assert response.status == 200, said
            return said

    async def fault(self, venue: str, endpoint: str, **how: Any) -> None:
        """Add a fault rule."""
        await self.control("POST", "faults", {"venue": venue, "endpoint": endpoint, **how})

    async def ledger(self, venue: str) -> dict[str, Any]:
        """The ledger: orders by client id, and arrivals."""
        part: dict[str, Any] = (await self.control("GET", "ledger"))[venue]
        orders = {order["client_order_id"]: order for order in part["orders"]}
        return part | {"orders": orders}

    async def clients(self, venue: str) -> set[str]:
        """The client ids of all orders, open and closed."""
        return set((await self.ledger(venue))["orders"])


async def _read(response: aiohttp.ClientResponse) -> Any:
    if response.content_type == "application/json":
        return await response.json()
    return await response.text()
