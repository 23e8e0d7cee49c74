"""Commands out, answers in: by XADD and XREAD, as any bot does it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from common_models.stream_names import (
    CommandStream,
    EventStream,
    OperatorStream,
    StreamNameError,
    connector,
)
from services._runtime.redis_client import BLOCK_MS, explain
from services.tradectl.exit_codes import CommandError, ExitCode, print_message
from services.tradectl.reading import (
    StreamEntry,
    connectors,
    last_ids,
    newest,
    read_new,
    redis_time,
)

# What connectors read from the operator's streams too.
OPERATOR_COMMANDS = frozenset({"cancel_order", "cancel_all_orders"})
# Connectors tell their status every ten seconds.
GONE_AFTER = 30.0
RETRY_DELAY = 0.5


def connector_of(exchange: str) -> str:
    """The connector that serves an exchange.

    Raises:
        StopError: that is no exchange's name.
    """
    try:
        return connector(exchange)
    except StreamNameError as e:
        raise CommandError(ExitCode.USAGE, f"exchange {exchange!r}: {e}") from None


async def status_age(redis: Redis, name: str) -> float | None:
    """How long a connector has told no status, in seconds; None: it never did."""
    last = await newest(redis, str(EventStream(name, "connector_status")))
    if last is None:
        return None
    return (await redis_time(redis) - last.milliseconds) / 1000


async def selected_connectors(redis: Redis, exchange: str | None) -> list[str]:
    """The connectors that are meant: that of *exchange*, or all that are on this Redis.

    Raises:
        StopError: that one was never here.
    """
    names = await connectors(redis)
    if exchange is None:
        return names
    name = connector_of(exchange)
    if name not in names:
        there = f"; there: {', '.join(names)}" if names else ""
        raise CommandError(ExitCode.NO, f"{name} was never on this Redis{there}")
    return [name]


async def any_has_status(redis: Redis, names: Iterable[str]) -> bool:
    """Whether one of these connectors was ever on this Redis."""
    return any([await status_age(redis, name) is not None for name in names])


async def require_running(redis: Redis, name: str) -> None:
    """An order that nobody reads would only expire.

    Raises:
        StopError: the connector has said nothing for too long.
    """
    age = await status_age(redis, name)
    if age is None:
        raise CommandError(ExitCode.NO, f"not sent: {name} has never said anything on this Redis")
    if age > GONE_AFTER:
        raise CommandError(ExitCode.NO, f"not sent: {name} has said nothing for {age:.0f} s")


@dataclass
class ReplyReader:
    """The events of one connector from a moment on, until a deadline."""

    redis: Redis
    positions: dict[str, str]
    deadline: float

    @classmethod
    async def open(
        cls, redis: Redis, name: str, events: Iterable[str], seconds: float
    ) -> "ReplyReader":
        """From now on: begin it before anything is sent, so that no answer can be missed."""
        positions = await last_ids(redis, [str(EventStream(name, event)) for event in events])
        return cls(redis, positions, asyncio.get_running_loop().time() + seconds)

    def extend(self, seconds: float) -> None:
        """Wait so long from now on."""
        self.deadline = max(self.deadline, asyncio.get_running_loop().time() + seconds)

    async def events(self) -> AsyncIterator[StreamEntry]:
        """Each event as it comes, until the deadline; a Redis that is away is waited for."""
        loop = asyncio.get_running_loop()
        disconnected = False
        while (left := self.deadline - loop.time()) > 0:
            try:
                block_ms = max(1, min(BLOCK_MS, round(left * 1000)))
                entries = await read_new(self.redis, self.positions, block_ms)
            except ResponseError as e:
                raise CommandError(
                    ExitCode.UNKNOWN, f"it was sent, but its answer can't be read: {explain(e)}"
                ) from None
            except (RedisError, OSError) as e:
                if not disconnected:
                    print_message(f"waiting: {explain(e)}")
                disconnected = True
                await asyncio.sleep(RETRY_DELAY)
                continue
            disconnected = False
            for entry in entries:
                yield entry


async def stream_for(redis: Redis, name: str, command: str) -> str:
    """The stream that a command goes to.

    The operator's, where the connector has it: it isn't read behind what bots send. One of an
    earlier release, or somebody else's, reads the contract's streams only.
    """
    operators = str(OperatorStream(name, command))
    if command in OPERATOR_COMMANDS and await redis.exists(operators):
        return operators
    return str(CommandStream(name, command))


async def send(redis: Redis, name: str, command: str, content: BaseModel, retry_hint: str) -> str:
    """Put a command into its stream; its entry id. *again* says how to repeat it safely.

    Raises:
        StopError: it isn't known whether Redis took it.
        ResponseError: Redis refused it.
    """
    data = content.model_dump_json(exclude_none=True)
    client: Any = redis
    stream = await stream_for(redis, name, command)
    try:
        entry_id: bytes = await client.xadd(stream, {"data": data})
    except ResponseError:
        raise
    except (RedisError, OSError) as e:
        raise CommandError(
            ExitCode.UNKNOWN, f"{explain(e)}. Redis may have taken the command: {retry_hint}"
        ) from None
    return entry_id.decode()
