"""Whatever Redis loses, and whoever halts meanwhile: no loss that is seen lets orders go."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Self

import hiredis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common_models.stream_names import HALT, TRADING
from services._connector_kit.orders.keys import beat_key
from services._connector_kit.orders.risk.halt_watch import HaltWatch
from services._runtime.halt import halt_reason
from tests.unit._connector_kit.orders.risk.test_halt_watch import NAME, HandClock

Keys = dict[str, bytes]


class MemoryRedis:
    """As much of a client, its pool, a connection and a server as the watch needs.

    `keys` may be put back.
    """

    socket_timeout: float | None = None

    def __init__(self) -> None:
        self.keys: Keys = {}
        self.connection_pool = self
        self._replies: deque[Any] = deque()

    async def get_connection(self) -> Self:
        """There is one."""
        return self

    async def release(self, _connection: Self) -> None: ...

    async def send_packed_command(self, packed: bytes) -> None:
        """Reads of values, as one MULTI."""
        reader: Any = hiredis.Reader()
        reader.feed(packed)
        commands = list(iter(reader.gets, False))
        assert (commands[0], commands[-1]) == ([b"MULTI"], [b"EXEC"])
        assert {command[0] for command in commands[1:-1]} == {b"GET"}
        values = [self.keys.get(key.decode()) for _, key in commands[1:-1]]
        self._replies.extend([b"OK", *[b"QUEUED"] * len(values), values])

    async def read_response(self, *, timeout: float | None = None) -> Any:
        """The next reply."""
        return self._replies.popleft()

    async def setnx(self, key: str, value: str) -> bool:
        """Where it isn't there."""
        return self.keys.setdefault(key, value.encode()) == value.encode()

    async def delete(self, key: str) -> int:
        """No longer there."""
        return int(self.keys.pop(key, None) is not None)

    async def persist(self, _key: str) -> int:
        """Nothing expires here."""
        return 0

    async def incrby(self, key: str, amount: int) -> int:
        """The next beat."""
        value = int(self.keys.get(key, b"0")) + amount
        self.keys[key] = str(value).encode()
        return value


class World:
    """One Redis, two instances of a connector, an operator, and what is true of them."""

    def __init__(self) -> None:
        self.redis = MemoryRedis()
        client: Any = self.redis
        self.watches = [HaltWatch(client, NAME, lambda: "simulator", HandClock()) for _ in range(2)]
        self.copies: list[Keys] = []
        self.resumes = 0

    async def start(self) -> None:
        """Trading is allowed."""
        for watch in self.watches:
            await watch.start()
        self.copy()

    def beat(self) -> int:
        """The one that is there."""
        return int(self.redis.keys.get(beat_key(NAME), b"0"))

    def copy(self) -> None:
        """Somebody keeps a copy, as a file that isn't written to the end."""
        self.copies.append(dict(self.redis.keys))

    def lose(self, which: int) -> None:
        """One of the copies is put back, or nothing at all."""
        copies = [*self.copies, {}]
        self.redis.keys = dict(copies[which % len(copies)])

    def halt(self) -> None:
        """By an operator, with the tool."""
        self.redis.keys.pop(TRADING, None)
        self.redis.keys[HALT] = b"why"

    def resume(self) -> None:
        """By an operator."""
        self.resumes += 1
        self.redis.keys[TRADING] = b"%d" % self.resumes
        self.redis.keys.pop(HALT, None)


STEPS = st.sampled_from(["look 0", "look 1", "order 0", "order 1", "copy", "halt", "resume"])
LOSSES = st.integers(0, 9).map("lose {}".format)


@settings(max_examples=300)
@example(["halt", "order 0", "lose 0", "order 0"])
@example(["resume", "copy", "lose 1", "order 0", "lose 1", "order 0"])
@example(["look 0", "resume", "copy", "lose 0", "look 0", "lose 1", "look 0"])
@example(["look 0", "look 1", "resume", "copy", "lose 0", "look 0", "lose 1", "look 0"])
@given(st.lists(STEPS | LOSSES, max_size=40))
def test_what_a_process_saw_halted_or_lost_is_ended_by_nothing_but_a_resume(
    steps: list[str],
) -> None:
    """In any order of looks, orders, copies, losses, halts and resumes."""

    async def play() -> None:
        world = World()
        await world.start()
        # For each process, its own last beat, and whether it saw a halt or a loss since a resume.
        known = [1, 2]
        saw_halt = [False, False]
        doing: dict[str, Callable[[], None]] = {
            "copy": world.copy,
            "halt": world.halt,
            "resume": world.resume,
        }
        for step in steps:
            what, _, number = step.partition(" ")
            if what in doing:
                doing[what]()
                if what == "resume":
                    saw_halt = [False, False]
            elif what == "lose":
                world.lose(int(number))
            else:
                who = int(number)
                watch = world.watches[who]
                keys = world.redis.keys
                halted_in_redis = halt_reason(keys.get(TRADING), keys.get(HALT)) is not None
                lost = world.beat() < known[who]
                if what == "order":
                    reason = (await watch.reason_after())[1]
                    if lost:
                        known[who] = 0
                else:
                    await watch.poll()
                    reason = watch.fault.message if watch.fault else None
                    known[who] = world.beat()
                saw_halt[who] |= halted_in_redis or lost
                assert not saw_halt[who] or reason is not None, step

    asyncio.run(play())
