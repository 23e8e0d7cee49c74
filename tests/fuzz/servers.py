"""Every HTTP server there is, in real processes, and crowds of bad requests to each."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import aiohttp

from services._runtime.health import MAX_CONNECTIONS
from tests.fuzz.commands import MOST_MEMORY, peak_memory
from tests.fuzz.corpus import drawn
from tests.fuzz.http import ask, bodies, check, like_a_request, requests
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS
from tests.support.ports import quiet_port
from tests.support.processes import Service, running
from tests.support.venues.simulated import report

AT_ONCE = 20


@dataclass
class Server:
    """One HTTP server of a running service, and a page that it always answers."""

    service: Service
    port: int
    page: str

    async def answers(self) -> bool:
        """Whether a good request gets its answer."""
        assert not self.service.exited, self.service.log.read_text()[-3000:]
        return (await report(self.port, self.page))[0] in (200, 503)


@asynccontextmanager
async def all_servers(redis_url: str, folder: Path) -> AsyncIterator[dict[str, Server]]:
    """Every service, each with its health pages; and the simulator's venues."""
    venues = quiet_port()
    given = {
        "exchange_simulator": {"SIMULATOR_PORT": str(venues), "SIMULATOR_BOOK_ORDERS": "200"},
        "bot": {},
        "indicators": {"INDICATORS": "binance:BTC/USDT:rsi_14@trade"},
    }
    for market in MARKETS:
        environment = market.venue.environment(venues, redis_url, 0)
        given[market.venue.module] = {**environment, **market.key}
    found = {}
    async with AsyncExitStack() as stack:
        for module, own in given.items():
            port = quiet_port()
            environment = {**own, "REDIS_URL": redis_url, "HEALTH_PORT": str(port)}
            service = await stack.enter_async_context(running(module, environment, folder))
            found[module] = Server(service, port, "/health")
        simulator = found["exchange_simulator"].service
        found["venues"] = Server(simulator, venues, "/api/v3/time")
        for server in found.values():
            await eventually_async(server.answers, within=60)
        yield found


async def give_requests(servers: dict[str, Server], count: int, start: int) -> None:
    """No traceback, no secret, no 500; a good request is answered after each crowd of bad ones."""
    wanted = [*requests(), *drawn(like_a_request(), count, start)]
    for name, server in servers.items():
        for first in range(0, len(wanted), AT_ONCE):
            crowd = wanted[first : first + AT_ONCE]
            answers = await asyncio.gather(*(ask(server.port, each) for each in crowd))
            for request, answer in zip(crowd, answers, strict=True):
                check(request, answer)
            assert await server.answers(), name
        assert peak_memory(server.service) < MOST_MEMORY
        assert "Error handling request" not in server.service.log.read_text(), name


async def keep_connections(servers: dict[str, Server]) -> None:
    """Hundreds of connections, silent or in the middle of a request: health is answered."""
    for name, server in servers.items():
        if server.page != "/health":
            continue
        with ExitStack() as crowd:
            for number in range(6 * MAX_CONNECTIONS):
                one = crowd.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                with suppress(ConnectionError):
                    one.send(b"GET /health HTTP/1.1\r\nX-Half: a"[: number % 30])
            assert await server.answers()
            held = len(list(Path(f"/proc/{server.service.process.pid}/fd").iterdir()))
            assert held < 4 * MAX_CONNECTIONS, name


async def give_bodies(server: Server) -> None:
    """What isn't right is refused with a reason, whatever it is."""
    paths = ("faults", "sessions", "clock", "price")
    orders = ("/api/v3/order", "/api/1/postorder", "/api/1/stoporder")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        for path in (*(f"/simulator/{name}" for name in paths), *orders):
            for body in bodies():
                async with session.post(path, data=BytesIO(body)) as response:
                    answer = await response.read()
                check(body, b"HTTP/1.1 %d " % response.status + answer)
                assert response.status >= 400 or body == b"[]", (path, body[:100], answer)
        for path in ("/api/v3/depth", "/api/v3/klines", "/api/1/trades", "/api/1/orderbook_top"):
            for value in ("\x00", "\ud83d", "9" * 5000, "-1", "1e400", "%ff", "a" * 7000):
                query = {"symbol": value, "pair": "XBTZAR", "limit": value, "since": value}
                async with session.get(path, params=query) as response:
                    check(value.encode(errors="replace"), await response.read())
                    assert response.status < 500, (path, value)
    assert await server.answers()
