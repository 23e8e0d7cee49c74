"""A company's proxy, and exchanges that only it can reach: CONNECT tunnels to this machine."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class CompanyProxy:
    """Leads each tunnel to *target_port*, or refuses it with `status`; notes who was asked for."""

    target_port: int
    user: str = ""
    password: str = ""
    status: int = 200
    port: int = 0
    tunnels: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For HTTPS_PROXY, but for user and password."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: its CONNECT, then what both sides send."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        status = 405 if method != "CONNECT" else self.status
        if self.user:
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if f"proxy-authorization: basic {token}".lower() not in head.lower():
                status = 407
        writer.write(f"HTTP/1.1 {status} said\r\nContent-Length: 0\r\n\r\n".encode())
        if status == 200:
            self.tunnels.append(target)
            await pipe(reader, writer, self.target_port)
        await writer.drain()
        writer.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Pass on what comes in to a server of this machine, and back, until one of them ends."""
    back, upstream = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass

    ways = [
        asyncio.ensure_future(copy(reader, upstream)),
        asyncio.ensure_future(copy(back, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        upstream.transport.abort()


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server whose connections *serve* serves, while the block runs."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def company_proxy(
    target_port: int = 0, *, user: str = "", password: str = "", status: int = 200
) -> AsyncIterator[CompanyProxy]:
    """The proxy while the block runs."""
    proxy = CompanyProxy(target_port, user, password, status)
    async with listening(proxy.serve) as proxy.port:
        yield proxy


@asynccontextmanager
async def in_tls(target_port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port where a server of this machine that speaks plainly is reached by TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pipe(reader, writer, target_port)

    async with listening(serve, context) as port:
        yield port


def certificate(folder: Path, *names: str) -> Path:
    """A certificate for those names that is its own authority, with its key behind it."""
    both = folder / "venue.pem"
    subprocess.run(
        [
            *(which("openssl") or "openssl", "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", "/CN=exchanges of a test", "-keyout", f"{both}.key", "-out", str(both)),
            *("-addext", "subjectAltName=" + ",".join(names)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return both


def server_context(certified: Path) -> ssl.SSLContext:
    """What a server needs to speak for the names of `certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified, f"{certified}.key")
    return context
