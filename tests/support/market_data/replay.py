"""A recorded Binance session, served again: the snapshots over REST, the frames over a socket."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

# Seconds between two frames, so that most of them come after the book was joined.
TEMPO = 0.002

Level = tuple[float, float]
State = tuple[tuple[Level, ...], tuple[Level, ...]]


@dataclass(frozen=True)
class Recording:
    """What a session held. `snapshots` by venue symbol; `frames` in the order they came."""

    exchange_info: dict[str, Any]
    snapshots: dict[str, dict[str, Any]]
    frames: list[str]

    @property
    def symbols(self) -> dict[str, str]:
        """Slash symbol by venue symbol, for those with a snapshot."""
        rows = {row["symbol"]: row for row in self.exchange_info["symbols"]}
        return {
            name: f"{rows[name]['baseAsset']}/{rows[name]['quoteAsset']}" for name in self.snapshots
        }

    def events(self, kind: str) -> dict[str, list[dict[str, Any]]]:
        """The events of one kind, by venue symbol, in order."""
        found = defaultdict(list)
        for frame in self.frames:
            data = json.loads(frame)["data"]
            if data.get("e") == kind and data["s"] in self.snapshots:
                found[data["s"]].append(data)
        return found

    def states(self, symbol: str, depth: int) -> list[State]:
        """Every book the session held: the snapshot's, and the one after each update since."""
        snapshot = self.snapshots[symbol]
        sides = [{float(p): float(q) for p, q in snapshot[side]} for side in ("bids", "asks")]
        states = [_top(sides, depth)]
        for update in self.events("depthUpdate")[symbol]:
            if update["u"] <= snapshot["lastUpdateId"]:
                continue
            for side, changes in zip(sides, (update["b"], update["a"]), strict=True):
                for price, quantity in changes:
                    if float(quantity):
                        side[float(price)] = float(quantity)
                    else:
                        side.pop(float(price), None)
            states.append(_top(sides, depth))
        return states


def _top(sides: list[dict[float, float]], depth: int) -> State:
    bids, asks = sides
    return (
        tuple((price, bids[price]) for price in sorted(bids, reverse=True)[:depth]),
        tuple((price, asks[price]) for price in sorted(asks)[:depth]),
    )


def read_recording(prefix: Path) -> Recording:
    """Read PREFIX.http.*, PREFIX.ws.* and the exchangeInfo.json beside them.

    A line of the first is `URL -> time: body`; the second starts with the socket's URL, then
    has a line `time: frame` each.
    """
    folder = prefix.parent
    snapshots = {}
    for path in sorted(folder.glob(f"{prefix.name}.http.*")):
        for line in path.read_text().splitlines():
            url, _, answer = line.partition(" -> ")
            body = answer.partition(": ")[2]
            if urlsplit(url).path.endswith("/depth"):
                snapshots[parse_qs(urlsplit(url).query)["symbol"][0]] = json.loads(body)
    frames = [
        line.partition(": ")[2]
        for path in sorted(folder.glob(f"{prefix.name}.ws.*"))
        for line in path.read_text().splitlines()
        if ": {" in line
    ]
    exchange_info = json.loads((folder / "exchangeInfo.json").read_text())
    return Recording(exchange_info, snapshots, frames)


@asynccontextmanager
async def replaying(recording: Recording) -> AsyncIterator[str]:
    """Serve *recording* on a free port of 127.0.0.1; yields `127.0.0.1:port`."""

    async def depth(request: web.Request) -> web.Response:
        return web.json_response(recording.snapshots[request.query["symbol"]])

    async def info(_: web.Request) -> web.Response:
        return web.json_response(recording.exchange_info)

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for frame in recording.frames:
            await socket.send_str(frame)
            await asyncio.sleep(TEMPO)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.add_routes(
        [
            web.get("/api/v3/depth", depth),
            web.get("/api/v3/exchangeInfo", info),
            web.get("/stream", stream),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
