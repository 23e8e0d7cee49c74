"""The metrics of a running simulator."""

from pathlib import Path

import aiohttp

from tests.support.eventually import eventually_async
from tests.support.metrics import page
from tests.support.ports import quiet_port
from tests.support.processes import running


async def test_requests_sockets_and_trades_are_counted(tmp_path: Path) -> None:
    """By venue and endpoint; a closed socket does not count as open."""
    port, health_port = quiet_port(), quiet_port()
    environment = {
        "SIMULATOR_PORT": str(port),
        "HEALTH_PORT": str(health_port),
        "SIMULATOR_SYMBOLS": "BTC/USDT,XBT/ZAR",
    }
    url = f"http://127.0.0.1:{port}"

    async def trades() -> float:
        return (await page(health_port)).get(("simulator_trades_total", "BTC/USDT"), 0)

    async with running("exchange_simulator", environment, tmp_path):
        await eventually_async(trades, within=40)
        async with aiohttp.ClientSession() as http:
            for path in ("/api/v3/time", "/api/v3/ping", "/api/1/tickers"):
                async with http.get(url + path) as answer:
                    assert answer.status == 200
            async with http.ws_connect(f"{url}/ws-api/v3") as socket:
                await socket.send_str('{"id": 1, "method": "time"}')
                await socket.receive_json()
                found = await page(health_port)

        async def closed() -> bool:
            return (await page(health_port))["simulator_connections_open",] == 0

        await eventually_async(closed)
    assert found["simulator_requests_total", "time", "binance"] == 2
    assert found["simulator_requests_total", "market_data", "binance"] == 1
    assert found["simulator_requests_total", "market_data", "luno"] == 1
    assert found["simulator_connections_open",] == 1
    assert found["simulator_connections_total",] == 1
    assert found["simulator_orders_total", "binance"] == 0
    assert found["simulator_orders_open", "luno"] == 0
    assert found["simulator_trades_total", "BTC/USDT"] > 0
