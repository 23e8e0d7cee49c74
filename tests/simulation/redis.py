"""A Redis that fails: errors before and after applying, restarts, and every way of forgetting."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from common_models import OrderResponseEvent
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.ports import Claim, Entry, Remembered, Server, VenueOrder
from services._connector_kit.orders.record import Record
from tests.simulation.faults import Faults
from tests.simulation.process import Process, Reply
from tests.simulation.redis_state import State

T = TypeVar("T")

# Where virtual time 0 lies, in milliseconds since 1970.
EPOCH = 1_750_000_000_000
BLOCK = 5.0
LEASE_MS = 10_000

# restart   comes back with everything
# rollback  comes back as it was a while ago (a lost tail, an old copy)
# keep      the same, but the command stream is complete
# empty     comes back with nothing
# failover  another server takes over at once: as it was a while ago, with another clock
# flush     is emptied under the open connections
Fate = Literal["restart", "rollback", "keep", "empty", "failover", "flush"]


class FaultyRedis:
    """One Redis, as it is seen through a network."""

    def __init__(self, rng: random.Random, faults: Faults, say: Callable[[str], None]) -> None:
        self.state = State()
        self.up = True
        self.epoch = 0  # connections of an earlier one are broken
        self._rng = rng
        self._faults = faults
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._ahead = rng.uniform(-300, 300)
        self._saved = self.state.snapshot()
        self._blocked: list[tuple[str, Reply[list[Entry]]]] = []

    def milliseconds(self) -> int:
        """Its clock."""
        return int(EPOCH + self._loop.time() * 1000 + self._ahead)

    def server(self) -> Server:
        """Which one it is, and its time."""
        return Server(f"run {self.epoch}", self.milliseconds())

    # --- what happens to it

    def save(self) -> None:
        """Remember this moment: a rollback comes back to it."""
        self._saved = self.state.snapshot()

    def suffer(self, fate: Fate, down_for: float) -> None:
        """Let *fate* have its way."""
        self._say(f"redis {fate}, down for {down_for:.1f}")
        before = self.state
        if fate in ("empty", "flush"):
            self.state = State()
        elif fate != "restart":
            self.state = self._saved
            if fate == "keep":
                self.state.entries, self.state.last_id = before.entries, before.last_id
            self._saved = self.state.snapshot()
        if fate == "failover":
            self._ahead = self._rng.uniform(-300, 300)
        if fate != "flush":
            self.epoch += 1
            if fate != "failover":
                self.up = False
                self._loop.call_later(down_for, self._come_up)
        blocked, self._blocked = self._blocked, []
        for _, reply in blocked:
            reply(TransientError("NOGROUP" if fate == "flush" else "connection lost"))

    def _come_up(self) -> None:
        self._say("redis is up")
        self.up = True

    # --- what is asked of it

    def add(self, data: bytes, wanted: str | None) -> str:
        """A bot's XADD."""
        entry_id = self.state.add(data, self.milliseconds(), wanted)
        while self._blocked and self.state.group and self.state.undelivered():
            consumer, reply = self._blocked.pop(0)
            self._answer(reply, self.state.read_new(consumer, self.milliseconds()))
        return entry_id

    def request(self, epoch: int, work: Callable[[State], T], reply: Reply[T]) -> None:
        """Carry *work* out on the state, and reply; or not."""
        self._loop.call_later(self._latency(), self._apply, epoch, work, reply)

    def _apply(self, epoch: int, work: Callable[[State], T], reply: Reply[T]) -> None:
        if not self.up or epoch != self.epoch:
            reply(TransientError("connection lost"))
        elif self._rng.random() < self._faults.redis_before:
            reply(TransientError("failed before it was applied"))
        else:
            try:
                self._answer(reply, work(self.state))
            except TransientError as e:
                reply(e)

    def _answer(self, reply: Reply[T], found: T) -> None:
        lost = self._rng.random() < self._faults.redis_after
        self._loop.call_later(
            self._latency(), reply, TransientError("the reply was lost") if lost else found
        )

    def read_new(self, epoch: int, consumer: str, reply: Reply[list[Entry]]) -> None:
        """XREADGROUP with BLOCK."""
        waiting = (consumer, reply)

        def read() -> None:
            if not self.up or epoch != self.epoch or not self.state.group:
                reply(TransientError("connection lost, or NOGROUP"))
            elif self._rng.random() < self._faults.redis_before:
                reply(TransientError("failed before it was applied"))
            elif self.state.undelivered():
                self._answer(reply, self.state.read_new(consumer, self.milliseconds()))
            else:
                self._blocked.append(waiting)
                self._loop.call_later(BLOCK, give_up)

        def give_up() -> None:
            if waiting in self._blocked:
                self._blocked.remove(waiting)
                reply([])

        self._loop.call_later(self._latency(), read)

    def _latency(self) -> float:
        return self._rng.uniform(0.0002, 0.008)


class BusPort:
    """`Bus`, on one connection at a time."""

    def __init__(
        self, process: Process, redis: FaultyRedis, consumer: str, *, lease: bool, idle: int
    ) -> None:
        self._process = process
        self._redis = redis
        self._consumer = consumer
        self._lease = lease
        self._idle = idle
        self._epoch: int | None = None
        self._remembered: Remembered | None = None

    async def _call(self, label: str, work: Callable[[State], T]) -> T:
        epoch = self._connection()
        try:
            return await self._process.call(
                label, lambda reply: self._redis.request(epoch, work, reply)
            )
        except TransientError:
            self._epoch = None
            raise

    def _connection(self) -> int:
        if self._epoch is None:
            self._epoch = self._redis.epoch
        return self._epoch

    async def server(self) -> Server:
        """INFO and TIME."""
        return await self._call("server", lambda _: self._redis.server())

    async def prepare(self) -> bool:
        """XGROUP CREATE … 0 MKSTREAM."""

        def work(state: State) -> bool:
            made, state.group = not state.group, True
            return made

        return await self._call("prepare", work)

    async def remembered(self) -> Remembered | None:
        """GET."""
        return await self._call("remembered", lambda state: state.remembered)

    async def remember(self, what: Remembered) -> None:
        """SET."""
        self._remembered = what
        await self._call("remember", lambda state: setattr(state, "remembered", what))

    async def newest_entry(self) -> int:
        """XREVRANGE COUNT 1."""
        return await self._call("newest", lambda state: state.last_id[0])

    async def hold_lease(self) -> bool:
        """SET NX PX."""
        if not self._lease:
            return True
        now = self._redis.milliseconds
        return await self._call(
            "lease", lambda state: state.hold_lease(self._consumer, now(), LEASE_MS)
        )

    async def own_pending(self) -> Sequence[Entry]:
        """XREADGROUP `0`."""
        now = self._redis.milliseconds
        return await self._call(
            "own_pending", lambda state: _grouped(state).read_pending(self._consumer, now())
        )

    async def take_over(self) -> Sequence[Entry]:
        """XAUTOCLAIM."""
        now = self._redis.milliseconds
        return await self._call(
            "take_over", lambda state: _grouped(state).take_over(self._consumer, now(), self._idle)
        )

    async def new_entries(self, *, wait: bool = True) -> Sequence[Entry]:
        """XREADGROUP `>` with BLOCK; without, nothing that waits is in these worlds yet."""
        assert wait
        epoch = self._connection()
        try:
            return await self._process.call(
                "new_entries", lambda reply: self._redis.read_new(epoch, self._consumer, reply)
            )
        except TransientError:
            self._epoch = None
            raise

    async def claim(self, record: Record) -> Claim:
        """SET NX GET, then GET what is remembered, and TIME."""
        found = await self._call("claim", lambda state: state.claim(record))
        now = self._redis.milliseconds
        remembered, at = await self._call("recall", lambda state: (state.remembered, now()))
        if remembered != self._remembered:
            self._epoch = None
            raise TransientError("it isn't what this connection remembers")
        return Claim(found, at)


def _grouped(state: State) -> State:
    if not state.group:
        raise TransientError("NOGROUP")
    return state


class JournalPort:
    """`Journal`, on whichever connection there is."""

    def __init__(self, process: Process, redis: FaultyRedis) -> None:
        self._process = process
        self._redis = redis

    async def _call(self, label: str, work: Callable[[State], T]) -> T:
        epoch = self._redis.epoch
        return await self._process.call(
            label, lambda reply: self._redis.request(epoch, work, reply)
        )

    async def get(self, client_order_id: str) -> Record | None:
        """GET."""
        return await self._call("get", lambda state: state.records.get(client_order_id))

    async def unanswered(self) -> Sequence[Record]:
        """ZRANGE and MGET."""
        return await self._call("unanswered", lambda state: state.unanswered())

    async def unclear(self, record: Record, entry: Entry, answer: OrderResponseEvent) -> None:
        """MULTI."""
        await self._call("unclear", lambda state: state.unclear(record, answer))

    async def close(self, record: Record, entry: Entry) -> Record:
        """MULTI."""
        return await self._call("close", lambda state: state.close(record, entry))

    async def answer(self, entry: Entry, answer: bytes | None, dead_letter: str | None) -> None:
        """MULTI."""
        await self._call("answer", lambda state: state.answer(entry, answer, dead_letter))

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """MULTI."""
        await self._call("correct", lambda state: state.correct(record, order))

    async def told(self, client_order_id: str) -> VenueOrder | None:
        """GET."""
        return await self._call("told", lambda state: state.told.get(client_order_id))

    async def provisional(self) -> Sequence[Record]:
        """ZRANGE and MGET."""
        return await self._call("provisional", lambda state: state.provisional())
