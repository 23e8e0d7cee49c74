"""Where every HTTP request comes in: the time at which it did is noted."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

# When the request had arrived, in the venues' Unix ms.
RECEIVED_MS = web.RequestKey("received_ms", int)


def gate(clock: Callable[[], int]) -> Middleware:
    """The middleware that stands before all routes."""

    @web.middleware
    async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        request[RECEIVED_MS] = clock()
        return await handler(request)

    return pass_through
