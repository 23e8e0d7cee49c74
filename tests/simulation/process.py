"""A simulated process: its code runs only while it lives and isn't stopped."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Protocol, TypeVar

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from tests.simulation import loop as virtual
from tests.simulation.loop import OWNER, Timers

T = TypeVar("T")

# How the world answers a request: with what was asked for, or with why not.
Trouble = TransientError | RejectedError | FeedStoppedError
Reply = Callable[[T | Trouble], None]


class Watcher(Protocol):
    """Told of every point that a process passes; it may kill or freeze it there."""

    def reached(self, process: "Process", label: str) -> None:
        """*process* is at *label*."""


class Process:
    """One run of a connector, and the owner of each step of its code.

    A killed process never takes another step: no handler, timer or `finally` of it runs. Requests
    that it sent go on in the world. A frozen one (SIGSTOP, a paused machine) takes no step until it
    thaws; what would have run meanwhile runs then.
    """

    def __init__(self, watcher: Watcher, name: str) -> None:
        self.name = name
        self.alive = True
        self._watcher = watcher
        self._loop = virtual.current()
        self._timers = Timers()
        self._frozen_until = -1.0
        self._held: list[asyncio.Handle] = []

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* as this process's."""
        context = copy_context()
        context.run(OWNER.set, self)
        return self._loop.create_task(work, context=context)

    def takes(self, step: asyncio.Handle) -> bool:
        """Whether *step* may run now; a dead process's never does."""
        if self.alive and not self.frozen:
            return True
        self._held.append(step)
        return False

    def held(self) -> list[asyncio.Handle]:
        """What would have run meanwhile."""
        held, self._held = self._held, []
        return held

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        self._frozen_until = max(self._frozen_until, self._loop.time() + seconds)
        self._timers.after(seconds, self._thaw)

    @property
    def frozen(self) -> bool:
        """True while it can't take a step."""
        return self._loop.time() < self._frozen_until

    def _thaw(self) -> None:
        if not self.frozen and self.alive:
            self._loop.release(self)

    async def call(self, label: str, send: Callable[[Reply[T]], None]) -> T:
        """Send a request into the world, and wait for the answer.

        There are three points at which the process may be killed or frozen: before the request
        leaves, while it is under way, and once it was carried out and answered.

        Raises:
            TransientError, RejectedError, FeedStoppedError: the world answered with it.
        """
        await self.reach(f"{label}.before")
        answer: asyncio.Future[T | Trouble] = self._loop.create_future()

        def reply(found: T | Trouble) -> None:
            if not answer.done():
                answer.set_result(found)

        send(reply)
        await self.reach(f"{label}.sent")
        found = await answer
        await self.reach(f"{label}.after")
        if isinstance(found, Trouble):
            raise found
        return found

    async def sleep(self, seconds: float) -> None:
        """Wait, by this process's own timers."""
        await asyncio.sleep(seconds)
        await self.reach("sleep.after")

    async def reach(self, label: str) -> None:
        """Come to a point, and go on from it if nothing befalls the process there."""
        self._watcher.reached(self, label)
        if not self.alive or self.frozen:
            await asyncio.sleep(0)
