"""Redis in secure mode: the access list, passwords and certificates of `make secrets`."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio.connection import parse_url

from services._local.access_list import ADMIN, OPERATOR
from services._local.redis_server import RedisServer
from services._local.secure import make
from services._runtime.redis_client import open_redis
from tests.support.orders.trading import Market, TradingDesk, market_simulator
from tests.support.ports import quiet_port

# One of them is none of the names in the certificate.
LISTENS = ("127.0.0.1", "127.0.0.2")
OPEN = "user default on nopass ~* &* +@all\n"


@dataclass
class Guarded:
    """A server with the access list in force, behind TLS."""

    server: RedisServer
    secrets: Path
    tls_port: int
    admin: Any  # a client of that user

    def url(self, user: str) -> str:
        """How that user reaches it."""
        password = parse_url((self.secrets / f"redis_url_{user}").read_text())["password"]
        authority = self.secrets / "redis_ca.crt"
        return f"rediss://{user}:{password}@127.0.0.1:{self.tls_port}/0?ssl_ca_certs={authority}"

    @asynccontextmanager
    async def user(self, name: str) -> AsyncIterator[Any]:
        """A client of that user."""
        async with open_redis(self.url(name), "test") as client:
            yield client

    async def judged(self, user: str, command: str) -> bool:
        """Whether the server would let that user do that."""
        answer: bytes = await self.admin.execute_command("ACL", "DRYRUN", user, *command.split())
        assert answer == b"OK" or b"permission" in answer, answer
        return bool(answer == b"OK")


@asynccontextmanager
async def guarded_redis(folder: Path) -> AsyncIterator[Guarded]:
    """It starts open, as the server's starter knows no password; then the list is in force."""
    secrets, rules = folder / "secrets", folder / "users.acl"
    make(secrets)
    rules.write_text(OPEN)
    server = RedisServer(folder / "redis", quiet_port(), "--aclfile", str(rules))
    await server.start()
    try:
        async with open_redis(server.url, "test") as everybody:
            rules.write_text((secrets / "users.acl").read_text())
            await everybody.acl_load()
        async with tls_in_front(server.port, secrets) as tls_port:
            guarded = Guarded(server, secrets, tls_port, None)
            async with guarded.user(ADMIN) as guarded.admin:
                yield guarded
    finally:
        await server.stop()


@asynccontextmanager
async def tls_in_front(port: int, secrets: Path) -> AsyncIterator[int]:
    """The server on *port* behind TLS, with the certificate that was made; yields TLS's port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secrets / "redis.crt", secrets / "redis.key")
    tls_port = quiet_port()
    open_now: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        there = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))
        there[1].close()
        writer.close()
        open_now.discard(task)

    server = await asyncio.start_server(serve, LISTENS, tls_port, ssl=context)
    try:
        yield tls_port
    finally:
        server.close()
        for task in list(open_now):
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


@asynccontextmanager
async def secure_desk(
    market: Market, folder: Path, **settings: str
) -> AsyncIterator[tuple[TradingDesk, Guarded]]:
    """A trading desk in secure mode: the test is the bot, its tradectl the operator."""
    port = quiet_port()
    async with (
        guarded_redis(folder) as guarded,
        market_simulator(market, port, folder, settings),
        guarded.user("bot") as bot,
    ):
        own = {**settings, "REDIS_URL": guarded.url(market.venue.module)}
        yield TradingDesk(market, bot, guarded.url(OPERATOR), port, folder, own), guarded
