"""Commands and replies on one redis-py connection, several of them in one write."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Argument = str | bytes | int
Command = tuple[Argument, ...]

_pack: Any = hiredis.pack_command


async def ask(connection: Any, *command: Argument) -> Any:
    """One command and its reply.

    Raises:
        RedisError: no reply, or an error.
    """
    (reply,) = await ask_all(connection, command)
    return reply


async def ask_all(connection: Any, *commands: Command) -> list[Any]:
    """The replies to *commands*, which Redis carries out in this order.

    The client's own pipeline costs two to three times as much, and takes another connection. One
    timeout stands for all replies: the client sets one for each, which costs more than parsing it.

    Raises:
        RedisError: a reply is missing; or the first error among the replies.
    """
    packed: Any = b"".join(map(_pack, commands))
    await connection.send_packed_command(packed)
    try:
        async with asyncio.timeout(connection.socket_timeout):
            replies = [await _reply(connection) for _ in commands]
    except TimeoutError:
        raise RedisTimeoutError("Timeout reading from socket") from None
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return replies


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as e:  # the other replies follow
        return e


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """The fields of a hash, which comes as a flat list on a plain connection."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
