"""Asks an HTTP server what nobody should ask, down at the socket."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress

from hypothesis import strategies as st

from tests.fuzz.corpus import HUGE, raw_bits

# A server that says nothing to half a request is left alone after so long; it isn't a fault.
PATIENCE = 0.3
ANSWERED_WITHIN = 10.0
# What an answer never shows: a traceback, or a path of ours.
NEVER = (b"Traceback", b'File "/', b"site-packages", b"secret")

_HEAD = b"Host: here\r\n"
_REQUESTS = {
    "another method": b"BREW /health HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a method of 100 kB": b"A" * 100_000 + b" /health HTTP/1.1\r\n\r\n",
    "a path of 100 kB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a path upwards": b"GET /../../../etc/passwd HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a path of NUL": b"GET /%00%ff%c0%af HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a raw path": b"GET /\xff\x00\x1b HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "another host's URL": b"GET http://elsewhere/health HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "no path": b"OPTIONS * HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a tunnel": b"CONNECT elsewhere:443 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "no version": b"GET /health\r\n\r\n",
    "another version": b"GET /health HTTP/9.9\r\n" + _HEAD + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "zeros": bytes(100_000),
    "a header of 1 MB": b"GET /health HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "10,000 headers": b"GET /health HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"\r\n",
    "a header without a name": b"GET /health HTTP/1.1\r\n: a\r\n\r\n",
    "a header without a colon": b"GET /health HTTP/1.1\r\n" + _HEAD + b"nothing\r\n\r\n",
    "a folded header": b"GET /health HTTP/1.1\r\n" + _HEAD + b"X: a\r\n b\r\n\r\n",
    "a raw header": b"GET /health HTTP/1.1\r\n" + _HEAD + b"X: \x00\x1b[2J\xff\r\n\r\n",
    "line feeds alone": b"GET /health HTTP/1.1\nHost: here\n\n",
    "an odd Accept": b"GET /metrics HTTP/1.1\r\n" + _HEAD + b"Accept: ;;q=x,/;\xff\r\n\r\n",
    "an upgrade": b"GET /health HTTP/1.1\r\n"
    + _HEAD
    + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "an expectation": b"POST /health HTTP/1.1\r\n" + _HEAD + b"Expect: magic\r\n\r\n",
    "a negative length": b"POST /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "no number for a length": b"POST /health HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
    "an endless length": b"GET /health HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": b"POST /health HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": (
        b"POST /health HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a bad chunk": b"POST /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a negative chunk": b"POST /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "half a request": b"GET /hea",
    "half a head": b"GET /health HTTP/1.1\r\nX-Half: a",
    "half a body": b"POST /health HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc",
    "no gzip": (
        b"POST /health HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"
    ),
    "10 MB to a page": (
        b"POST /metrics HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % HUGE + b"a" * HUGE
    ),
    "1000 requests at once": (b"GET /health HTTP/1.1\r\n" + _HEAD + b"\r\n") * 1000,
}


def requests() -> Sequence[bytes]:
    """All by hand, for any server."""
    return list(_REQUESTS.values())


@st.composite
def like_a_request(draw: st.DrawFn) -> bytes:
    """A good request with some of it replaced."""
    path = draw(st.sampled_from([b"/health", b"/ready", b"/metrics", b"/api/v3/time", b"/"]))
    text = b"GET " + path + b" HTTP/1.1\r\nHost: here\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n"
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        bits = st.one_of(raw_bits, st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"\t", b"%"]))
        text = text[:start] + draw(bits) + text[end:]
    return text


def bodies() -> Sequence[bytes]:
    """For what wants JSON."""
    deep = b"[" * 100_000 + b"]" * 100_000
    return [
        *(b"", b"\xff\xfe", b"null", b"1", b"[]", b"[1]", b'""', b"{", b"NaN", b'{"a": 1e400}'),
        *(b'{"venue": null}', b'{"venue": "luno", "venue": "luno"}', b'{"id": "\\ud800"}'),
        *(deep, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, b"x" * HUGE, b"9" * 5000),
        json.dumps({"symbol": "BTC/USDT", "price": "\uff11\uff12"}).encode(),
        json.dumps({"symbol": "BTC/USDT", "price": "9" * 5000}).encode(),
        json.dumps({"symbol": "\x1b[2J" * 10_000, "price": "1"}).encode(),
        json.dumps({"venue": "binance", "offset_ms": 10**400}).encode(),
        json.dumps({"venue": "luno", "endpoint": "place", "contains": "\ud800"}).encode(),
        json.dumps([{"venue": "luno", "endpoint": "place", "times": -1}] * 1000).encode(),
    ]


async def ask(port: int, request: bytes) -> bytes:
    """Send bytes on a connection of their own; what came back, if anything did."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            writer.write(request)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while part := await reader.read(1 << 16):
                        answer += part
    except ConnectionError:
        pass  # refused in the middle of it
    finally:
        writer.transport.abort()
    return answer


def check(request: bytes, answer: bytes) -> None:
    """It is an answer of ours, or none."""
    for word in NEVER:
        assert word not in answer, (request[:200], answer[-1000:])
    assert not answer.startswith(b"HTTP/1.1 5") or b"503" in answer[:13], (request[:200], answer)
