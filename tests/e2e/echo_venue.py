"""A venue in trouble, which says back all that it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

PLACING = ("/v3/order", "/api/1/postorder", "/api/1/marketorder")
CLOSE_REASON = 120  # the most bytes that a WebSocket takes is 123


@dataclass
class EchoVenue:
    """Every request is answered with `status`, `code`, and itself; `kind` is JSON, HTML or text."""

    port: int = 0
    status: int = 500
    code: object = -1000
    kind: str = "application/json"
    requests: int = 0
    heard: str = ""  # all that it said back
    # Where all goes but new orders: at a venue that answers everything else.
    behind: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Say it all back, over a WebSocket too."""
        if self.behind and not (request.method == "POST" and request.path.endswith(PLACING)):
            return await self._forwarded(request)
        self.requests += 1
        said = f"{request.method} {request.raw_path} {dict(request.headers)}"
        if request.headers.get("Upgrade", "").lower() == "websocket" and self.status == 400:
            return await self._over_a_socket(request, said)
        body = await request.read()
        said += f" {body.decode('utf-8', 'replace')}"
        self.heard += said
        text = self._worded(said) if self.kind == "application/json" else f"<p>{said}</p>"
        headers = {"Retry-After": "1", "X-Echo": said.encode("ascii", "replace").decode()[:4000]}
        return web.Response(status=self.status, text=text, content_type=self.kind, headers=headers)

    async def _forwarded(self, request: web.Request) -> web.Response:
        url = URL(self.behind + request.raw_path, encoded=True)
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, url, headers=request.headers, data=await request.read()
            ) as response,
        ):
            kind = {"Content-Type": response.headers["Content-Type"]}
            return web.Response(status=response.status, body=await response.read(), headers=kind)

    async def _over_a_socket(self, request: web.Request, said: str) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async with asyncio.timeout(5):
            message = await socket.receive()
        if message.type is WSMsgType.TEXT:
            said = str(message.data)
            self.heard += said
        if "ws-api" in request.path:
            error = {"code": self.code, "msg": said}
            await socket.send_json({"id": "subscribe", "status": 400, "error": error})
        else:
            await socket.send_json({"error": said})
        await socket.close(code=4000, message=said.encode()[:CLOSE_REASON])
        return socket

    def _worded(self, said: str) -> str:
        """As both venues word their errors."""
        binance = {"code": self.code, "msg": said}
        return json.dumps({**binance, "error_code": str(self.code), "error": said})


@asynccontextmanager
async def echo_venue() -> AsyncIterator[EchoVenue]:
    """A venue on 127.0.0.1 while the block runs."""
    venue = EchoVenue()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.port = runner.addresses[0][1]
    try:
        yield venue
    finally:
        await runner.cleanup()
