"""An HTTP server down at the socket: it counts what arrives, and answers or breaks as told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import responses
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

End = Literal["answer", "close", "reset", "hang"]


@dataclass
class Request:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: str

    @property
    def path(self) -> str:
        """The target without its query string."""
        return urlsplit(self.target).path

    @property
    def params(self) -> dict[str, str]:
        """The parameters: of the query string, then of the body."""
        return dict(parse_qsl(urlsplit(self.target).query) + parse_qsl(self.body))


@dataclass
class RawServer:
    """Every request is answered with `status`, `headers` and `body`, or ends as `end` says."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    end: End = "answer"
    # Close the connection right after an answer, without having said so: a stale keep-alive.
    then_close: bool = False
    requests: list[Request] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        """What the next requests get; a header's underscores stand for dashes."""
        self.end, self.status, self.body = "answer", status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        try:
            while request := await _request(reader):
                self.requests.append(request)
                if self.end == "hang":
                    await reader.read()
                    return
                if self.end == "reset":
                    writer.transport.abort()
                    return
                if self.end == "close":
                    return
                headers = {"Content-Type": "application/json", **self.headers}
                lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Odd')}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                lines += [f"Content-Length: {len(self.body)}", "", ""]
                writer.write("\r\n".join(lines).encode() + self.body)
                await writer.drain()
                if self.then_close:
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.closed.set()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = head[0].split(" ")
    pairs = (line.partition(": ") for line in head[1:] if line)
    headers = {name.lower(): value for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body.decode())


@asynccontextmanager
async def raw_server() -> AsyncIterator[RawServer]:
    """A server on 127.0.0.1 while the block runs."""
    raw = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await raw.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
