"""Optimistic transactions on Redis: read, decide, write."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from services._runtime.redis_client import explain
from services._runtime.redis_commands import Argument, Command, ask_all
from services._runtime.supervise import TransientError

T = TypeVar("T")


class Change:
    """The replies that a transaction has read, its writes, and then `replies`, one per write."""

    def __init__(self, connection: Any, found: list[Any]) -> None:
        self.found = found  # the replies to the reads
        self.writes: list[Command] = []
        self.replies: list[Any] = []
        self._connection = connection

    async def ask(self, *command: Argument) -> Any:
        """Execute one more read; return its reply."""
        (reply,) = await ask_all(self._connection, command)
        return reply

    def write(self, *command: Argument) -> None:
        """Add a command to those that are executed together after the decision."""
        self.writes.append(command)


async def transact(
    redis: Redis,
    watch: Sequence[str],
    reads: Sequence[Command],
    decide: Callable[[Change], Awaitable[T]],
) -> T:
    """Watch the keys *watch*, execute *reads*, call *decide*, and execute its writes in one MULTI.

    If another client changed one of the keys meanwhile, it starts over. It uses MULTI and WATCH
    and no script, because ACLs check each command by its own keys. It takes two round trips.

    Raises:
        TransientError: Redis failed; the writes may or may not have been executed.
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
                # The next user of the connection must get neither watched keys nor late replies.
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
    """Execute *commands* in one MULTI, in one round trip; return their replies.

    Raises:
        TransientError: Redis failed; the commands may or may not have been executed.
    """
    done = await snapshot(redis, commands)
    for reply in done:
        if isinstance(reply, RedisError):
            raise TransientError(explain(reply)) from reply
    return done


async def snapshot(redis: Redis, reads: Sequence[Command]) -> list[Any]:
    """The replies to *reads*, executed atomically; the reply to a refused one is its error.

    Raises:
        TransientError: Redis failed.
    """
    pool: Any = redis.connection_pool
    try:
        connection = await pool.get_connection()
        try:
            *_, replies = await ask_all(connection, ("MULTI",), *reads, ("EXEC",))
        except BaseException:
            await connection.disconnect(nowait=True)  # replies may still arrive
            raise
        finally:
            await pool.release(connection)
    except (RedisError, OSError, TimeoutError) as e:
        raise TransientError(explain(e)) from e
    return list(replies)


async def reading(reply: Awaitable[T]) -> T:
    """The reply to a command that changes nothing.

    Raises:
        TransientError: Redis failed.
    """
    try:
        return await reply
    except (RedisError, OSError, TimeoutError) as e:
        raise TransientError(explain(e)) from e
