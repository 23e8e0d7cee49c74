"""A proxy on this machine in front of a venue: it passes on the venue's paths, and no others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL


@asynccontextmanager
async def forwarding(target_port: int) -> AsyncIterator[int]:
    """Its port, while the block runs; what isn't under /api is a 404, as at a live venue."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.Response:
            if not request.path.startswith(("/api/", "/sapi/")):
                return web.Response(status=404)
            url = URL(f"http://127.0.0.1:{target_port}{request.raw_path}", encoded=True)
            body = await request.read()
            async with session.request(
                request.method, url, headers=request.headers, data=body
            ) as answer:
                kept = {
                    name: value
                    for name, value in answer.headers.items()
                    if name.lower() not in ("content-length", "transfer-encoding")
                }
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()
