"""Sends commands with XADD and reads answers with XREAD, as any bot does."""

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

# Commands that connectors also read from the operator's streams.
OPERATOR_COMMANDS = frozenset({"cancel_order", "cancel_all_orders"})
# In seconds: connectors publish their status every ten.
GONE_AFTER = 30.0
RETRY_DELAY = 0.5


def connector_of(exchange: str) -> str:
    """The name of the connector of an exchange.

    Raises:
        CommandError: *exchange* is not a valid name (USAGE).
    """
    try:
        return connector(exchange)
    except StreamNameError as e:
        raise CommandError(ExitCode.USAGE, f"exchange {exchange!r}: {e}") from None


async def status_age(redis: Redis, name: str) -> float | None:
    """The age of a connector's latest status in seconds; None if it never published one."""
    last = await newest(redis, str(EventStream(name, "connector_status")))
    if last is None:
        return None
    return (await redis_time(redis) - last.milliseconds) / 1000


async def selected_connectors(redis: Redis, exchange: str | None) -> list[str]:
    """The connector of *exchange*, or all connectors on this Redis.

    Raises:
        CommandError: the connector of *exchange* was never on this Redis (NO).
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
    """Whether at least one of these connectors ever published a status on this Redis."""
    return any([await status_age(redis, name) is not None for name in names])


async def require_running(redis: Redis, name: str) -> None:
    """Require a recent status: without a running connector the order would only expire.

    Raises:
        CommandError: the connector's latest status is too old, or there is none (NO).
    """
    age = await status_age(redis, name)
    if age is None:
        raise CommandError(
            ExitCode.NO, f"not sent: {name} has never published a status on this Redis"
        )
    if age > GONE_AFTER:
        raise CommandError(ExitCode.NO, f"not sent: {name} has published no status for {age:.0f} s")


@dataclass
class ReplyReader:
    """Reads one connector's events from a point in time until a deadline."""

    redis: Redis
    positions: dict[str, str]
    deadline: float

    @classmethod
    async def open(
        cls, redis: Redis, name: str, events: Iterable[str], seconds: float
    ) -> "ReplyReader":
        """Start at the end of the streams. Call it before sending, so that no answer is missed."""
        positions = await last_ids(redis, [str(EventStream(name, event)) for event in events])
        return cls(redis, positions, asyncio.get_running_loop().time() + seconds)

    def extend(self, seconds: float) -> None:
        """Move the deadline to *seconds* from now, unless it is later already."""
        self.deadline = max(self.deadline, asyncio.get_running_loop().time() + seconds)

    async def events(self) -> AsyncIterator[StreamEntry]:
        """Each event as it arrives, until the deadline; retries while Redis is unreachable.

        Raises:
            CommandError: Redis refuses to read the answers (UNKNOWN): the command was sent.
        """
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
    """The stream to send a command to.

    It is the operator's stream if the connector reads it: that one does not wait behind the bots'
    commands. Connectors of an earlier release, or of another author, read only the contract's.
    """
    operators = str(OperatorStream(name, command))
    if command in OPERATOR_COMMANDS and await redis.exists(operators):
        return operators
    return str(CommandStream(name, command))


async def send(redis: Redis, name: str, command: str, content: BaseModel, retry_hint: str) -> str:
    """Add a command to its stream; return the entry id. *retry_hint*: how to repeat it safely.

    Raises:
        CommandError: Redis may have received the command (UNKNOWN).
        ResponseError: Redis refused the command.
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
            ExitCode.UNKNOWN, f"{explain(e)}. Redis may have received the command: {retry_hint}"
        ) from None
    return entry_id.decode()
