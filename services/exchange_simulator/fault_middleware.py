"""The middleware for all HTTP requests: it times and counts them, and applies fault rules."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.exchange_simulator.account import SimulatedAccount
from services.exchange_simulator.endpoints import RequestEndpoint, rest_endpoint
from services.exchange_simulator.fault_answers import EarlierAnswers, error_response
from services.exchange_simulator.faults import FaultPlan, RequestFault
from services.exchange_simulator.instruments import Venue

# When the request arrived, in Unix ms of the venue's clock.
RECEIVED_MS = web.RequestKey("received_ms", int)
# How often a hanging request checks that its client is still connected.
POLL_INTERVAL_MS = 50
CLIENT_IDS = ("newClientOrderId", "client_order_id")


class StoppingError(Exception):
    """The simulator stops: requests that wait are abandoned."""


class FaultMiddleware:
    """Applies fault rules before the venues' routes. *clocks* return each venue's Unix ms."""

    def __init__(
        self,
        plan: FaultPlan,
        clocks: Mapping[Venue, Callable[[], int]],
        accounts: Mapping[Venue, SimulatedAccount],
    ) -> None:
        self.plan = plan
        self._clocks = clocks
        self._accounts = accounts
        # How many requests to place an order arrived, by client order id.
        self.arrivals: dict[Venue, Counter[str]] = {venue: Counter() for venue in accounts}
        self.requests: Counter[tuple[Venue, RequestEndpoint]] = Counter()
        self._earlier = EarlierAnswers()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Abandon all requests that hang or wait."""
        self._stopping.set()

    def middleware(self) -> Middleware:
        """The middleware in the form that aiohttp requires."""

        @web.middleware
        async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            known = rest_endpoint(request.method, request.path)
            if known is None:
                return await handler(request)
            venue, endpoint = known
            self.requests[known] += 1
            body = (await request.read()).decode("utf-8", "replace")
            request[RECEIVED_MS] = self._clocks[venue]()
            path, _, query = request.raw_path.partition("?")
            text = f"{path}?{query}" if endpoint == "connect" else f"{query}&{body}"
            client_id = _client_id(text) if endpoint == "place" else ""
            if endpoint == "place":
                self.count(venue, client_id)
            fault = self.plan.take_request(venue, endpoint, text)
            if fault is None and endpoint == "market_data":
                return self._earlier.remember(request, await handler(request))
            if fault is None:
                return await handler(request)
            if fault.answer == "earlier":
                return await self._repeat(fault, request, handler)
            return await self._apply(fault, request, handler, client_id)

        return pass_through

    def count(self, venue: Venue, client_id: str) -> None:
        """Count a request to place an order."""
        self.arrivals[venue][client_id] += 1

    def hide(self, fault: RequestFault, client_id: str) -> None:
        """Hide the newest order with that client id, or its fills, from queries as *fault* says."""
        now = self._clocks[fault.venue]()
        for order in self._accounts[fault.venue].by_client_id(client_id)[-1:]:
            order.hidden_until_ms = now + fault.invisible_ms
            order.fills_hidden_until_ms = now + fault.fills_late_ms

    async def _repeat(
        self, fault: RequestFault, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        with suppress(StoppingError):
            await self._pause(fault.answer_after_ms)
        return self._earlier.find(request) or await handler(request)

    async def _apply(
        self, fault: RequestFault, request: web.Request, handler: Handler, client_id: str
    ) -> web.StreamResponse:
        async def execute() -> web.StreamResponse:
            if fault.execute == "late":
                await self._pause(fault.execute_after_ms)
            response = await handler(request)
            if client_id:
                self.hide(fault, client_id)
            return response

        response: web.StreamResponse = error_response(fault)
        answers_first = fault.execute == "late" and fault.answer in ("close", "error")
        try:
            if fault.execute != "never" and not answers_first:
                executed = await execute()
                response = executed if fault.answer == "normal" else response
            await self._pause(fault.answer_after_ms)
            if fault.answer == "hang":
                await self._hang(request)
            elif fault.answer == "close":
                _cut(request)
            elif fault.answer == "error":
                await _send(response, request)
            if answers_first:
                await execute()
        except StoppingError:
            _cut(request)
        return response

    async def _hang(self, request: web.Request) -> None:
        """Send nothing until the client disconnects."""
        while request.transport is not None:
            await self._pause(POLL_INTERVAL_MS)

    async def _pause(self, for_ms: int) -> None:
        """Wait.

        Raises:
            StoppingError: the simulator stops.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(for_ms / 1000):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise StoppingError


def _client_id(encoded: str) -> str:
    """The client order id in URL-encoded parameters, "" if there is none."""
    params = parse_qs(encoded)
    return next((params[name][-1] for name in CLIENT_IDS if name in params), "")


def _cut(request: web.Request) -> None:
    """Abort the connection without a response."""
    if request.transport is not None:
        request.transport.abort()


async def _send(response: web.StreamResponse, request: web.Request) -> None:
    """Send the whole response now, so that the client does not wait for a later execution."""
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
