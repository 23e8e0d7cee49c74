"""A Redis that fails: errors before and after applying, restarts, and every way of forgetting."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.simulation import loop as virtual
from tests.simulation.faults import Faults
from tests.simulation.loop import Timers
from tests.simulation.redis_engine import Args, Engine, Session
from tests.simulation.redis_streams import Blocked

# Where virtual time 0 lies, in milliseconds since 1970.
EPOCH = 1_750_000_000_000
# How often other connections' commands come between those of one write.
TORN = 0.1

# restart   comes back with everything
# rollback  comes back as it was a while ago (a lost tail, an old copy)
# keep      the same, but the command streams are complete
# empty     comes back with nothing
# failover  another server takes over at once: as it was a while ago, with another clock
# flush     is emptied under the open connections
Fate = Literal["restart", "rollback", "keep", "empty", "failover", "flush"]


@dataclass(eq=False)
class Request:
    """Commands under way on one connection, and the replies so far."""

    epoch: int
    session: Session
    commands: list[Args]
    answer: asyncio.Future[list[Any] | RedisConnectionError]
    replies: list[Any] = field(default_factory=list)

    def reply(self, found: list[Any] | RedisConnectionError) -> None:
        """Let whoever asked go on."""
        if not self.answer.done():
            self.answer.set_result(found)


class FaultyRedis:
    """One Redis, as it is seen through a network."""

    def __init__(self, rng: random.Random, faults: Faults, say: Callable[[str], None]) -> None:
        self.up = True
        self.epoch = 0  # connections of an earlier one are broken
        self._rng = rng
        self._faults = faults
        self._say = say
        self._loop = virtual.current()
        self._timers = Timers()
        self._ahead = rng.uniform(-300, 300)
        self.engine = Engine(self.milliseconds)
        self._saved = self.engine.snapshot()
        self._blocked: list[Request] = []

    def milliseconds(self) -> int:
        """Its clock."""
        return int(EPOCH + self._loop.time() * 1000 + self._ahead)

    # --- what happens to it

    def save(self) -> None:
        """Remember this moment: a rollback comes back to it."""
        self._saved = self.engine.snapshot()

    def suffer(self, fate: Fate, down_for: float) -> None:
        """Let *fate* have its way."""
        self._say(f"redis {fate}, down for {down_for:.1f}")
        if fate in ("empty", "flush"):
            self.engine.restore(({}, {}))
        elif fate != "restart":
            self.engine.restore(self._saved, keep=b":commands:" if fate == "keep" else None)
            self._saved = self.engine.snapshot()
        if fate == "failover":
            self._ahead = self._rng.uniform(-300, 300)
        blocked, self._blocked = self._blocked, []
        if fate == "flush":
            for request in blocked:
                request.reply([ResponseError("UNBLOCKED the stream key no longer exists")])
            return
        self.epoch += 1
        self.engine.identity = f"run {self.epoch}"
        if fate != "failover":
            self.up = False
            self._timers.after(down_for, self._come_up)
        for request in blocked:
            request.reply(RedisConnectionError("connection lost"))

    def _come_up(self) -> None:
        self._say("redis is up")
        self.up = True

    # --- what is asked of it

    def do(self, *words: bytes | str | int) -> Any:
        """One command, carried out at once: a bot's, or a look at what is there.

        Raises:
            ResponseError: it is refused.
        """
        args = tuple(w if isinstance(w, bytes) else str(w).encode() for w in words)
        reply = self.engine.execute(Session(), args)
        if isinstance(reply, ResponseError):
            raise reply
        self._wake()
        return reply

    def request(self, epoch: int, session: Session, commands: list[Args]) -> Request:
        """Carry *commands* out, and reply; or not."""
        request = Request(epoch, session, commands, self._loop.create_future())
        self._timers.after(self._latency(), self._begin, request)
        return request

    def heal(self) -> None:
        """From now on no call fails."""
        self._faults = replace(self._faults, redis_before=0.0, redis_after=0.0)

    def hang_up(self, request: Request) -> None:
        """Nobody waits for it any more: a blocked read ends, what is under way is carried out."""
        if request in self._blocked:
            self._blocked.remove(request)

    def _begin(self, request: Request) -> None:
        if not self.up or request.epoch != self.epoch:
            request.reply(RedisConnectionError("connection lost"))
        elif self._rng.random() < self._faults.redis_before:
            request.reply(RedisConnectionError("failed before it was applied"))
        else:
            self._go_on(request)

    def _go_on(self, request: Request) -> None:
        if not self.up or request.epoch != self.epoch:
            request.reply(RedisConnectionError("connection lost"))
            return
        commands, replies = request.commands, request.replies
        while len(replies) < len(commands):
            reply = self.engine.execute(request.session, commands[len(replies)])
            if type(reply) is Blocked:
                self._blocked.append(request)
                self._timers.after(reply.milliseconds / 1000, self._give_up, request)
                return
            replies.append(reply)
            apart = len(commands) > len(replies) and request.session.queued is None
            if apart and self._rng.random() < TORN:
                self._timers.after(self._latency(), self._go_on, request)
                return
        self._wake()
        self._answer(request)

    def _answer(self, request: Request) -> None:
        lost = self._rng.random() < self._faults.redis_after
        found = RedisConnectionError("the reply was lost") if lost else request.replies
        self._timers.after(self._latency(), request.reply, found)

    def _wake(self) -> None:
        """Let blocked reads see what was added."""
        if not self.engine.added:
            return
        added = self.engine.added.copy()
        self.engine.added.clear()
        for request in list(self._blocked):
            command = request.commands[len(request.replies)]
            if added.isdisjoint(command):
                continue
            reply = self.engine.execute(request.session, command)
            if type(reply) is not Blocked:
                self._blocked.remove(request)
                request.replies.append(reply)
                self._answer(request)

    def _give_up(self, request: Request) -> None:
        if request in self._blocked:
            self._blocked.remove(request)
            request.replies.append(None)
            self._answer(request)

    def _latency(self) -> float:
        return self._rng.uniform(0.0002, 0.008)
