"""A venue that only feeds: `python -m benchmarks.feeder KIND COUNT PORT CORE`.

It speaks HTTP and WebSocket by hand, because its frames are made before the clock runs and go
out in large writes: what is measured is the client. A socket gets the primer at once;
`GET /bench/feed` starts the rest on the newest socket: as fast as the client reads, or `?rate=`
frames a second, or with at most `window` frames that are no entry yet of one of the streams named
`stream` in the Redis on port `redis`. `GET /bench/sent` tells when each frame was sent.
"""

import asyncio
import base64
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis

from benchmarks import frames
from benchmarks.pinned import pin

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CHUNK_BYTES = 64 << 10
# How often Redis is asked how far it has come, in seconds.
ASK_EVERY = 0.003
MARKET_STREAMS = ("/stream", "/api/1/stream/")


def framed(payload: bytes, kind: int = TEXT) -> bytes:
    """One whole unmasked frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | kind, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2) + payload
    return bytes((0x80 | kind, 127)) + size.to_bytes(8) + payload


def exchange_info() -> dict[str, Any]:
    """`GET /api/v3/exchangeInfo`."""
    filters = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01000000",
            "maxPrice": "1000000.00000000",
            "tickSize": "0.01000000",
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": "0.00001000",
            "maxQty": "9000.00000000",
            "stepSize": "0.00001000",
        },
    ]
    symbols = [
        {
            "symbol": f"{base}{frames.QUOTE}",
            "status": "TRADING",
            "baseAsset": base,
            "quoteAsset": frames.QUOTE,
            "filters": filters,
        }
        for base in frames.BASES
    ]
    return {"timezone": "UTC", "rateLimits": [], "exchangeFilters": [], "symbols": symbols}


def luno_markets() -> dict[str, Any]:
    """`GET /api/exchange/1/markets`."""
    market = {
        "market_id": frames.LUNO_PAIR,
        "trading_status": "ACTIVE",
        "base_currency": "XBT",
        "counter_currency": "ZAR",
        "min_volume": "0.0001",
        "max_volume": "100.00",
        "volume_scale": 6,
        "min_price": "1.00",
        "max_price": "100000000.00",
        "price_scale": 2,
        "fee_scale": 8,
    }
    return {"markets": [market]}


def luno_tickers() -> dict[str, Any]:
    """`GET /api/1/tickers`; never newer than the stream."""
    row = {
        "pair": frames.LUNO_PAIR,
        "timestamp": frames.FIRST_MS,
        "bid": f"{frames.LUNO_MIDDLE - 1}.00",
        "ask": f"{frames.LUNO_MIDDLE + 1}.00",
        "last_trade": f"{frames.LUNO_MIDDLE}.00",
        "rolling_24_hour_volume": "100.00",
        "status": "ACTIVE",
    }
    return {"tickers": [row]}


class Feeder:
    """The frames, and whom they go to."""

    def __init__(self, feed: frames.Feed) -> None:
        self._primer = b"".join(map(framed, feed.frames[: feed.primer]))
        self._frames = [framed(frame) for frame in feed.frames[feed.primer :]]
        self._chunks = _chunks(self._frames)
        self._newest: asyncio.StreamWriter | None = None
        self._sent: list[int] = []
        self._feeding: asyncio.Task[None] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a request, or a socket for as long as it lives."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = urlsplit(head.split(" ", 2)[1])
            lines = (line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
            headers = {name.lower(): value.strip() for name, value in lines}
            # Market streams only: an account's socket must not get the feed.
            if "sec-websocket-key" in headers and target.path.startswith(MARKET_STREAMS):
                await self._websocket(headers["sec-websocket-key"], reader, writer)
            else:
                status, body = self._answer(target.path, parse_qs(target.query))
                text = json.dumps(body).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
                    + text
                )
                await writer.drain()
        writer.close()

    def _answer(self, path: str, query: dict[str, list[str]]) -> tuple[str, Any]:
        if path == "/api/v3/depth":
            return "200 OK", frames.snapshot(int(query["limit"][0]))
        if path == "/bench/feed":
            if "rate" in query:
                feeding = self._at_rate(float(query["rate"][0]))
            elif "window" in query:
                entries = partial(_entries, Redis(port=int(query["redis"][0])), query["stream"])
                feeding = self._as_read(int(query["window"][0]), entries)
            else:
                feeding = self._as_read()
            self._feeding = asyncio.create_task(feeding)
            return "200 OK", {}
        fixed: dict[str, Callable[[], Any]] = {
            "/api/v3/exchangeInfo": exchange_info,
            "/api/v3/aggTrades": list,
            "/api/exchange/1/markets": luno_markets,
            "/api/1/tickers": luno_tickers,
            "/api/1/trades": lambda: {"trades": []},
            "/bench/sent": lambda: self._sent,
        }
        if path in fixed:
            return "200 OK", fixed[path]()
        return "503 Service Unavailable", {}

    async def _websocket(
        self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        accept = base64.b64encode(hashlib.sha1(f"{key}{MAGIC}".encode()).digest()).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        writer.write(self._primer)
        self._newest = writer
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
            mask = await reader.readexactly(4)
            masked = await reader.readexactly(size)
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
            if first & 0x0F == PING:
                writer.write(framed(payload, PONG))
            elif first & 0x0F == CLOSE:
                writer.write(framed(payload, CLOSE))
                return

    def _socket(self) -> asyncio.StreamWriter:
        if self._newest is None:
            raise RuntimeError("no socket is open")
        return self._newest

    async def _as_read(
        self, window: int | None = None, entries: Callable[[], Awaitable[int]] | None = None
    ) -> None:
        writer, written = self._socket(), 0
        before = known = await entries() if entries else 0
        for count, chunk in self._chunks:
            while window and entries and written - (known - before) > window:
                await asyncio.sleep(ASK_EVERY)
                known = await entries()
            writer.write(chunk)
            await writer.drain()
            written += count

    async def _at_rate(self, rate: float) -> None:
        writer = self._socket()
        self._sent = []
        start = time.monotonic_ns()
        for number, frame in enumerate(self._frames):
            due = start + int(number * 1e9 / rate)
            if (wait := due - time.monotonic_ns()) > 0:
                await asyncio.sleep(wait / 1e9)
            self._sent.append(time.monotonic_ns())
            writer.write(frame)


async def _entries(redis: Redis, streams: list[str]) -> int:
    """How many entries the streams were ever given."""
    return sum([(await redis.xinfo_stream(name))["entries-added"] for name in streams])


def _chunks(pieces: list[bytes]) -> list[tuple[int, bytes]]:
    """The same bytes in writes of about CHUNK_BYTES, and how many pieces are in each."""
    chunks, part, size = [], [], 0
    for piece in pieces:
        part.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            chunks.append((len(part), b"".join(part)))
            part, size = [], 0
    return [*chunks, (len(part), b"".join(part))] if part else chunks


async def main(kind: str, count: int, port: int) -> None:
    """Serve until killed."""
    feeder = Feeder(frames.feed(kind, count))
    server = await asyncio.start_server(feeder.serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    pin(int(sys.argv[4]))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
