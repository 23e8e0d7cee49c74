"""Read, decide and write in one go: an optimistic transaction on Redis."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from services._runtime.redis_client import explain
from services._runtime.redis_commands import Argument, Command, ask_all
from services._runtime.supervise import TransientError

T = TypeVar("T")


class Change:
    """What a transaction has read, and what it is to write; then `replies`, one for each write."""

    def __init__(self, connection: Any, found: list[Any]) -> None:
        self.found = found  # the replies to what was to be read
        self.writes: list[Command] = []
        self.replies: list[Any] = []
        self._connection = connection

    async def ask(self, *command: Argument) -> Any:
        """Read something more."""
        (reply,) = await ask_all(self._connection, command)
        return reply

    def write(self, *command: Argument) -> None:
        """A command that is carried out once all is decided, together with the others."""
        self.writes.append(command)


async def transact(
    redis: Redis,
    watch: Sequence[str],
    reads: Sequence[Command],
    decide: Callable[[Change], Awaitable[T]],
) -> T:
    """Watch the keys *watch*, carry out *reads*, *decide*, and write what it wrote as one MULTI.

    It is decided again where somebody else changed one of the keys meanwhile. With plain MULTI and
    WATCH, not a script: access lists judge each command by its own key. Two round trips in all.

    Raises:
        TransientError: Redis is in trouble, and it is not known whether anything was written.
    """
    pool: Any = redis.connection_pool
    while True:
        try:
            connection = await pool.get_connection()
            try:
                return await _once(connection, watch, reads, decide)
            except WatchError:
                continue
            except BaseException:
                # Keys that are still watched, or replies that are still to come, are nobody else's.
                await connection.disconnect(nowait=True)
                raise
            finally:
                await pool.release(connection)
        except (RedisError, OSError, TimeoutError) as e:
            raise TransientError(explain(e)) from e


async def _once(
    connection: Any,
    watch: Sequence[str],
    reads: Sequence[Command],
    decide: Callable[[Change], Awaitable[T]],
) -> T:
    change = Change(connection, (await ask_all(connection, ("WATCH", *watch), *reads))[1:])
    result = await decide(change)
    if not change.writes:
        await ask_all(connection, ("UNWATCH",))
        return result
    *_, done = await ask_all(connection, ("MULTI",), *change.writes, ("EXEC",))
    if done is None:
        raise WatchError
    for reply in done:
        if isinstance(reply, RedisError):
            raise reply
    change.replies = done
    return result


async def at_once(redis: Redis, *commands: Command) -> list[Any]:
    """Carry out *commands* as one MULTI, in one round trip; their replies.

    Raises:
        TransientError: Redis is in trouble, and it is not known whether anything was written.
    """
    done = await snapshot(redis, commands)
    for reply in done:
        if isinstance(reply, RedisError):
            raise TransientError(explain(reply)) from reply
    return done


async def snapshot(redis: Redis, reads: Sequence[Command]) -> list[Any]:
    """The replies to *reads*, all of one moment; that to one which Redis refuses is its error.

    Raises:
        TransientError: Redis is in trouble.
    """
    pool: Any = redis.connection_pool
    try:
        connection = await pool.get_connection()
        try:
            *_, replies = await ask_all(connection, ("MULTI",), *reads, ("EXEC",))
        except BaseException:
            await connection.disconnect(nowait=True)  # replies may be still to come
            raise
        finally:
            await pool.release(connection)
    except (RedisError, OSError, TimeoutError) as e:
        raise TransientError(explain(e)) from e
    return list(replies)


async def reading(reply: Awaitable[T]) -> T:
    """The reply of a command that changes nothing.

    Raises:
        TransientError: Redis is in trouble.
    """
    try:
        return await reply
    except (RedisError, OSError, TimeoutError) as e:
        raise TransientError(explain(e)) from e
