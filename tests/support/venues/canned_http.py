"""A local HTTP server that answers as it is told, to see how a client takes it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class CannedServer:
    """Each request gets `status`, `headers` and `body`; or silence, or a closed connection."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    abort: bool = False
    requests: list[str] = field(default_factory=list)

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        """What the next requests get; a header's underscores stand for dashes."""
        self.status, self.body = status, body
        kind = "application/json" if body[:1] in b'{["n' else "text/html"
        self.headers = {"Content-Type": kind} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }


@asynccontextmanager
async def canned_server() -> AsyncIterator[CannedServer]:
    """A server on 127.0.0.1 while the block runs."""
    canned = CannedServer()
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        canned.requests.append(request.path_qs)
        if canned.hang:
            await over.wait()
        if canned.abort and request.transport:
            request.transport.abort()
        return web.Response(status=canned.status, body=canned.body, headers=canned.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    canned.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield canned
    finally:
        over.set()
        await runner.cleanup()
