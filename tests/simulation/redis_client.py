"""redis-py's commands over a simulated network: what stands where a connection and a pool would."""

import asyncio
from collections import deque
from functools import lru_cache
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.commands import AsyncCoreCommands
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.simulation.process import Process
from tests.simulation.redis import FaultyRedis, Request
from tests.simulation.redis_engine import Args, Session

_CALLBACKS: Any = Redis(protocol=2).response_callbacks
# Which of a command's words is its key; 0: it has none.
_KEY = {b"XGROUP": 2, b"XINFO": 2, b"INFO": 0, b"TIME": 0, b"UNWATCH": 0, b"MULTI": 0}


class Connection:
    """One connection of one process; it passes three points for each write of commands."""

    socket_timeout: float | None = None

    def __init__(self, process: Process, redis: FaultyRedis) -> None:
        self._process = process
        self._redis = redis
        self._session = Session()
        self._epoch: int | None = None
        self._request: Request | None = None
        self._label = ""
        self._replies: deque[Any] = deque()

    async def send_packed_command(self, packed: bytes) -> None:
        """Commands, as bytes."""
        reader: Any = hiredis.Reader()
        reader.feed(packed)
        commands = []
        while (command := reader.gets()) is not False:
            commands.append(tuple(command))
        await self.send(commands)

    async def send(self, commands: list[Args]) -> None:
        """Commands, to be carried out in this order."""
        if self._epoch is None:
            self._epoch, self._session = self._redis.epoch, Session()
        self._label = _label(commands)
        self._replies.clear()
        await self._process.reach(f"{self._label}.before")
        self._request = self._redis.request(self._epoch, self._session, commands)
        await self._process.reach(f"{self._label}.sent")

    async def read_response(self, *, timeout: float | None = None) -> Any:
        """The next reply.

        Raises:
            RedisError: there is none, or it is an error.
        """
        try:
            if not self._replies:
                await self._receive()
        except BaseException:
            await self.disconnect()
            raise
        reply = self._replies.popleft()
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    async def _receive(self) -> None:
        if self._request is None:
            raise RedisConnectionError("nothing was asked on this connection")
        found = await self._request.answer
        self._request = None
        await self._process.reach(f"{self._label}.after")
        if isinstance(found, RedisConnectionError):
            raise found
        self._replies.extend(found)

    async def disconnect(self, *, nowait: bool = False) -> None:
        """The next command goes over another connection."""
        if self._request is not None:
            self._redis.hang_up(self._request)
        self._epoch = self._request = None
        self._replies.clear()


class Pool:
    """Connections of one process."""

    def __init__(self, process: Process, redis: FaultyRedis) -> None:
        self._process = process
        self._redis = redis
        self._idle: list[Connection] = []

    async def get_connection(self) -> Connection:
        """One that nobody uses."""
        return self._idle.pop() if self._idle else Connection(self._process, self._redis)

    async def release(self, connection: Connection) -> None:
        """It isn't used any more."""
        self._idle.append(connection)


class Client(AsyncCoreCommands):
    """redis-py's client as `open_redis` gives it: its commands, over these connections."""

    def __init__(self, process: Process, redis: FaultyRedis, *, single: bool = False) -> None:
        self.connection_pool = Pool(process, redis)
        self.connection = Connection(process, redis) if single else None
        self._event_dispatcher: Any = None
        self._lock = asyncio.Lock()

    async def initialize(self) -> "Client":
        """The one connection is there."""
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command, and its reply as redis-py gives it."""
        name = str(args[0])
        words = tuple(_bytes(word) for word in (*name.split(), *args[1:]))
        if self.connection is not None:
            async with self._lock:
                reply = await self._ask(self.connection, words)
        else:
            connection = await self.connection_pool.get_connection()
            try:
                reply = await self._ask(connection, words)
            finally:
                await self.connection_pool.release(connection)
        options.pop("keys", None)
        callback = _CALLBACKS.get(name)
        return callback(reply, **options) if callback else reply

    @staticmethod
    async def _ask(connection: Connection, words: Args) -> Any:
        try:
            await connection.send([words])
        except BaseException:
            await connection.disconnect()
            raise
        return await connection.read_response()


def _bytes(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def _label(commands: list[Args]) -> str:
    """A name for what is asked: "SET order", "XREADGROUP place_order"."""
    first = commands[0]
    if first[0] == b"MULTI":
        return "EXEC " + _kind_of(commands[1])
    kind = _kind_of(first)
    return f"{first[0].decode()} {kind}" if kind else first[0].decode()


def _kind_of(command: Args) -> str:
    name = command[0].upper()
    if name in (b"XREADGROUP", b"XREAD"):
        return _kind(command[command.index(b"STREAMS") + 1])
    at = _KEY.get(name, 1)
    return _kind(command[at]) if at else ""


@lru_cache(maxsize=1000)
def _kind(key: bytes) -> str:
    """What is kept under a key: `x:state:order:1` is an order, `x:events:balance` balances."""
    parts = key.decode(errors="replace").split(":")
    return parts[2] if len(parts) > 2 else parts[-1]
