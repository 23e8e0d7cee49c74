"""Reads the halt switch, restores it after data loss, and halts if Redis loses data or is full."""

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
# A reply that takes longer may be older than a halt.
READ_TIMEOUT = 1.0
HALT_WHEN_FULL_FOR = 5.0
# Halt after this many refused beats among the last ones. They need not be consecutive: a Redis that
# has room now and then refuses other writes in between.
REFUSED_BEATS, LAST_BEATS = 6, 20
# In beats: more than another instance can be ahead.
LOSS_MARGIN = 1_000_000


def _nothing() -> None:
    """Default callback; does nothing."""


class HaltWatch:
    """Reads the halt switch for each order, and polls it once a second.

    A beat, a number in Redis that rises once a second, shows whether Redis lost data: an
    append-only file loses its end, never its middle, so every write before an existing beat is
    there. If Redis lost an acknowledged beat, trading is halted. It is halted too
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
        self._acknowledged = 0  # the last beat that Redis acknowledged
        self._rise = 1  # the increment of the next beat
        self._refused: deque[bool] = deque(maxlen=LAST_BEATS)  # the last beats
        self._found_full = False  # no write has succeeded since
        self._reported: str | None = None

    @property
    def fault(self) -> Rejection | None:
        """The rejection of new orders by the last read; None if trading isn't halted."""
        reason = self._latch.reason
        return None if reason is None else Rejection("halted", f"trading is halted: {reason}")

    async def halted(self) -> Rejection | None:
        """The rejection of new orders; read again if halted, so that a resume takes effect at once.

        Before a POST, `reason_after` is required.
        """
        if self.fault is not None:
            with suppress(TransientError):
                await self._read()
        return self.fault

    async def reason_after(self, *commands: Command) -> tuple[list[Any], str | None]:
        """Execute *commands* and read the switch in one MULTI.

        Returns the replies of *commands*, and the reason of the halt; None if not halted.

        Raises:
            TransientError: Redis failed or was slow; the commands may have been executed.
        """
        replies, _ = await self._read(*commands)
        return replies, self._latch.reason

    async def start(self) -> None:
        """Read the switch at the start of the process.

        Redis may have lost data while no process ran. With real money, a Redis that isn't the one
        of the last run halts trading until an operator resumes. In other worlds the connector
        resumes by itself if no halt is set.

        Raises:
            TransientError: Redis is in trouble.
        """
        _, (trading, halt, _) = await self._values()
        if self._world() != "live":
            if trading is None and halt is None:
                await self._allow()
        elif trading is not None and not await self._is_remembered():
            self._halt("Redis was replaced or restored since this connector last ran")
        await self.poll()

    async def poll(self) -> None:
        """Read the switch once, repair its keys, and write a beat.

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
        """Poll every second, until cancelled."""
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
        acknowledged = self._acknowledged  # copy before the request
        replies, values = await self._values(*commands)
        trading, halt, beat = values
        if _number(beat) < acknowledged:
            self._lost_data(acknowledged - _number(beat))
        self._latch.update(trading, halt)
        self._report()
        return replies, values

    async def _values(self, *commands: Command) -> tuple[list[Any], list[bytes | None]]:
        """The replies to *commands*; the values of `control:trading`, `control:halt` and the beat.

        GET, not MGET: MGET returns nil for a key of another type.
        """
        reads = [("GET", key) for key in (TRADING, HALT, self._beat_key)]
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                replies = await at_once(self._redis, *commands, *reads)
        except TimeoutError:
            raise TransientError(f"no answer within {READ_TIMEOUT:g} s") from None
        return replies[: len(commands)], replies[len(commands) :]

    def _lost_data(self, behind: int) -> None:
        """Halt: Redis's beat is *behind* the acknowledged one by this many.

        The next beat is larger than every beat before, another instance's too. So an older copy
        that is restored later is recognised.
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
        """Write an unwritten halt. A delete needs no memory; an existing reason stays."""
        reason = self._latch.unwritten
        if reason is None:
            return
        await reading(self._redis.delete(TRADING))
        self._latch.written()
        try:
            await reading(self._redis.setnx(HALT, reason))
        except TransientError as e:
            log.warning("halt_without_reason", error=str(e), meaning="trading is halted without it")

    async def _complete_halt(self) -> None:
        """Delete `control:trading` after a halt set by hand, unless it was just resumed."""

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
        """Whether this Redis and its run id are those that the connector saved last."""
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
        if beat <= acknowledged:  # Redis lost data since the read
            self._lost_data(acknowledged - beat)
        else:
            self._acknowledged, self._rise = beat, 1

    def _refuse(self, error: Exception) -> None:
        """Redis refused a beat because it is full."""
        if self._found_full:
            return  # already halted for it
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
    """The beat; 0 if the key is missing or holds another value."""
    return int(beat) if beat is not None and beat.isdigit() else 0


def _identity(remembered: bytes) -> str | None:
    try:
        return msgspec.json.decode(remembered, type=DataLossRecord).identity
    except msgspec.MsgspecError:
        return None
