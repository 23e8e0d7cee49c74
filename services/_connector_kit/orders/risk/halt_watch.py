"""A connector's view of the halt switch, which it keeps from being lost, and pulls itself."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from common_models.stream_names import HALT, TRADING
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.keys import beat_key, redis_key
from services._connector_kit.orders.ports import Clock, DataLossRecord, Rejection
from services._connector_kit.orders.risk.halt_latch import HaltLatch
from services._connector_kit.world import World
from services._runtime.halt import trading_permission
from services._runtime.redis_client import explain, server_identity
from services._runtime.redis_commands import Command
from services._runtime.redis_transaction import Change, at_once, reading, transact
from services._runtime.supervise import FailureLog

log = structlog.get_logger()

# In seconds.
POLL_INTERVAL = 1.0
# An answer that takes longer may be older than a halt.
READ_TIMEOUT = 1.0
HALT_WHEN_FULL_FOR = 5.0
# Beats that were refused: one after another for that long, or so many of the last ones. A Redis
# that has room now and then refuses other writes meanwhile.
REFUSED_BEATS, LAST_BEATS = 6, 20
# Beats: more than another instance may be ahead.
LOSS_MARGIN = 1_000_000


def _nothing() -> None:
    """No callback is set."""


class HaltWatch:
    """Reads the halt switch for each order, and looks after it once a second.

    A beat, a number in Redis that rises once a second, shows whether Redis lost data: an
    append-only file loses its end, never its middle, so nothing older than a beat that is there
    was lost. Where a beat that Redis acknowledged is gone, trading is halted. It is halted too
    where Redis has refused `REFUSED` of the last beats because it is full; then `full` is set.

    `on_change` is called when trading is halted or resumed.
    """

    def __init__(
        self, redis: Redis, connector: str, world: Callable[[], World], clock: Clock
    ) -> None:
        self.on_change: Callable[[], None] = _nothing
        self.full = asyncio.Event()
        self._redis: Any = redis
        self._connector = connector
        self._world = world
        self._clock = clock
        self._latch = HaltLatch()
        self._beat_key = beat_key(connector)
        self._acknowledged = 0  # the last beat that is known to have been in Redis
        self._rise = 1  # of the next beat
        self._refused: deque[bool] = deque(maxlen=LAST_BEATS)  # the last beats
        self._found_full = False  # no write was taken since
        self._reported: str | None = None

    @property
    def fault(self) -> Rejection | None:
        """Why no new order may leave, as it was read last; None where trading isn't halted."""
        reason = self._latch.reason
        return None if reason is None else Rejection("halted", f"trading is halted: {reason}")

    async def halted(self) -> Rejection | None:
        """Why no new order may leave; read anew where none might, so that a resume counts at once.

        The order itself needs `reason_after`.
        """
        if self.fault is not None:
            with suppress(TransientError):
                await self._read()
        return self.fault

    async def reason_after(self, *commands: Command) -> tuple[list[Any], str | None]:
        """Carry out *commands* and read the switch, as one MULTI.

        Their replies, and why trading is halted; None where it isn't.

        Raises:
            TransientError: Redis is in trouble, or slow; it isn't known whether they were carried
                out.
        """
        replies, _ = await self._read(*commands)
        return replies, self._latch.reason

    async def start(self) -> None:
        """The start of the process: nothing is known yet of what Redis may have lost.

        On a Redis that isn't the one remembered, real money waits for an operator. In other worlds
        the connector resumes by itself where nobody has halted.

        Raises:
            TransientError: Redis is in trouble.
        """
        _, (trading, halt, _) = await self._values()
        if self._world() != "live":
            if trading is None and halt is None:
                await self._allow()
        elif trading is not None and not await self._is_remembered():
            self._halt("Redis was started anew or restored since this connector ran last")
        await self.poll()

    async def poll(self) -> None:
        """Look after the switch once.

        Raises:
            TransientError: Redis is in trouble.
        """
        _, (trading, halt, _) = await self._read()
        await self._write_halt()
        if halt is not None:
            await reading(self._redis.persist(HALT))
            if trading is not None:  # set by hand
                await self._complete_halt()
        await self._beat()
        await self._write_halt()

    async def keep_polling(self) -> None:
        """Look every second; runs until cancelled."""
        failures = FailureLog("halt_poll_failed")
        while True:
            await self._clock.sleep(POLL_INTERVAL)
            try:
                await self.poll()
            except TransientError as e:
                failures.seen(e)
            else:
                failures.over()

    async def _read(self, *commands: Command) -> tuple[list[Any], list[bytes | None]]:
        acknowledged = self._acknowledged  # as it is before Redis is asked
        replies, values = await self._values(*commands)
        trading, halt, beat = values
        if _number(beat) < acknowledged:
            self._lost_data(acknowledged - _number(beat))
        self._latch.update(trading, halt)
        self._report()
        return replies, values

    async def _values(self, *commands: Command) -> tuple[list[Any], list[bytes | None]]:
        """The replies to *commands*, then the values of `control:trading`, `control:halt`, beat.

        Not by MGET, which says of a key of another type that it isn't there.
        """
        reads = [("GET", key) for key in (TRADING, HALT, self._beat_key)]
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                replies = await at_once(self._redis, *commands, *reads)
        except TimeoutError:
            raise TransientError(f"no answer within {READ_TIMEOUT:g} s") from None
        return replies[: len(commands)], replies[len(commands) :]

    def _lost_data(self, behind: int) -> None:
        """The beat is *behind* the one that was acknowledged.

        The next one is above all that there ever were, another instance's too: a copy of any time
        before it, put back later, is recognised.
        """
        self._acknowledged, self._rise = 0, 1 + behind + LOSS_MARGIN
        self._halt("Redis lost data")

    def _halt(self, why: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        reason = f"{why} (noticed at {at} by {self._connector}); look, then `tradectl resume`"
        self._latch.halt(reason)
        log.error("halted_by_connector", reason=reason)
        self._report()

    async def _write_halt(self) -> None:
        """Write what isn't in Redis yet: deleting needs no memory; a reason that is there stays."""
        reason = self._latch.unwritten
        if reason is None:
            return
        await reading(self._redis.delete(TRADING))
        self._latch.written()
        try:
            await reading(self._redis.setnx(HALT, reason))
        except TransientError as e:
            log.warning(
                "halt_without_reason", error=str(e), meaning="trading is halted all the same"
            )

    async def _complete_halt(self) -> None:
        """A halt that was set by hand: `control:trading` goes too, unless somebody just resumed."""

        async def decide(change: Change) -> None:
            if change.found != [None]:
                change.write("DEL", TRADING)

        await transact(self._redis, [HALT, TRADING], [("GET", HALT)], decide)

    async def _allow(self) -> None:
        try:
            allowed = await self._redis.setnx(TRADING, trading_permission(self._connector))
        except OutOfMemoryError as e:
            log.warning("trading_not_allowed", error=explain(e))
        except (RedisError, OSError, TimeoutError) as e:
            raise TransientError(explain(e)) from e
        else:
            if allowed:
                log.info("trading_allowed", world=self._world(), reason="no real money, no halt")

    async def _is_remembered(self) -> bool:
        """Whether this is the Redis, and its run, that the connector knew last."""
        found = await reading(self._redis.get(redis_key(self._connector)))
        identity = await reading(server_identity(self._redis))
        return found is not None and _identity(found) == identity

    async def _beat(self) -> None:
        acknowledged = self._acknowledged
        try:
            beat = await self._redis.incrby(self._beat_key, self._rise)
        except OutOfMemoryError as e:
            self._refuse(e)
            return
        except (RedisError, OSError, TimeoutError) as e:
            raise TransientError(explain(e)) from e
        self._found_full = False
        self._refused.append(False)
        if beat <= acknowledged:  # lost since it was read
            self._lost_data(acknowledged - beat)
        else:
            self._acknowledged, self._rise = beat, 1

    def _refuse(self, error: Exception) -> None:
        """Redis is full: a write was refused."""
        if self._found_full:
            return  # once is enough
        if not any(self._refused):
            log.error(
                "redis_full", error=explain(error), meaning=f"a halt in {HALT_WHEN_FULL_FOR:g} s"
            )
        self._refused.append(True)
        if self._refused.count(True) >= REFUSED_BEATS:
            self._found_full = True
            self._refused.clear()
            self._halt("Redis is full")
            self.full.set()

    def _report(self) -> None:
        reason = self._latch.reason
        if reason == self._reported:
            return
        self._reported, before = reason, self._reported
        if reason is not None:
            log.warning("trading_halted", reason=reason)
        else:
            log.info("trading_resumed", before=before)
        self.on_change()


def _number(beat: bytes | None) -> int:
    """The beat; 0 where there is none, or something else has its key."""
    return int(beat) if beat is not None and beat.isdigit() else 0


def _identity(remembered: bytes) -> str | None:
    try:
        return msgspec.json.decode(remembered, type=DataLossRecord).identity
    except msgspec.MsgspecError:
        return None
