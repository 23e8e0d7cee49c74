"""Responses to requests with a fault: the venue's errors, a proxy's page, or an empty body."""

import zlib
from collections import OrderedDict
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_simulator.faults import RequestFault

# Distinct market data requests whose last response is kept.
MAX_EARLIER = 100
NESTING_DEPTH = 200_000
UNPACKED_BYTES = 256 << 20
HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


def error_body(fault: RequestFault) -> dict[str, Any]:
    """The venue's error body for the status of *fault*."""
    if fault.venue == "luno":
        if fault.status == 429:
            return {"error": "too many requests", "error_code": "ErrTooManyRequests"}
        return {"error": "an internal error occurred", "error_code": "ErrInternal"}
    if fault.status == 401:
        return {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    if fault.status in (418, 429):
        return {"code": -1003, "msg": "Too many requests; please obey Retry-After."}
    if fault.status == 504:
        text = "Timeout waiting for response from backend server. Send status unknown; "
        return {"code": -1007, "msg": text + "execution status unknown."}
    return {"code": -1000, "msg": "An unknown error occurred while processing the request."}


def error_response(fault: RequestFault) -> web.Response:
    """The response of a fault, with the kind of body that it names."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.location:
        headers["Location"] = fault.location
    if fault.body == "deep":
        deep = b"[" * NESTING_DEPTH + b"]" * NESTING_DEPTH
        return web.Response(
            status=fault.status, body=deep, content_type="application/json", headers=headers
        )
    if fault.body == "bomb":
        packed = {**headers, "Content-Encoding": "gzip"}
        return web.Response(
            status=fault.status, body=_bomb(), content_type="application/json", headers=packed
        )
    if fault.body == "html":
        text, kind = HTML.format(fault.status), "text/html"
        return web.Response(status=fault.status, text=text, content_type=kind, headers=headers)
    if fault.body == "empty":
        return web.Response(status=fault.status, headers=headers)
    body = {"message": "boom"} if fault.body == "foreign" else error_body(fault)
    return web.Response(
        status=fault.status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers=headers,
    )


@cache
def _bomb() -> bytes:
    """`UNPACKED_BYTES` spaces, compressed with gzip; not valid JSON."""
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    spaces = b" " * (1 << 20)
    pieces = [packer.compress(spaces) for _ in range(UNPACKED_BYTES >> 20)]
    return b"".join([*pieces, packer.flush()])


class EarlierAnswers:
    """The last response to each request, for the fault that imitates a cache."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    def remember(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Keep *response* if it succeeded, evict the oldest above the limit; returns *response*."""
        if response.status == 200 and isinstance(body := getattr(response, "body", None), bytes):
            self._bodies[request.raw_path] = body
            self._bodies.move_to_end(request.raw_path)
            if len(self._bodies) > MAX_EARLIER:
                self._bodies.popitem(last=False)
        return response

    def find(self, request: web.Request) -> web.Response | None:
        """The last response to the same request; None if there is none."""
        body = self._bodies.get(request.raw_path)
        return None if body is None else web.Response(body=body, content_type="application/json")
