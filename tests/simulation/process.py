"""A simulated process: whatever it waits for reaches it only while it lives and runs."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from services._connector_kit.errors import TransientError

T = TypeVar("T")

# How the world answers a request: with what was asked for, or with why not.
Reply = Callable[[T | TransientError], None]


class Watcher(Protocol):
    """Told of every point that a process passes; it may kill or freeze it there."""

    def reached(self, process: "Process", label: str) -> None:
        """*process* is at *label*."""


class Process:
    """One run of a connector.

    A killed process never takes another step: no handler and no `finally` of it runs. Requests that
    it sent go on in the world. A frozen one (SIGSTOP, a paused machine) takes no step until it
    thaws; what arrives meanwhile waits for it.
    """

    def __init__(self, watcher: Watcher, name: str) -> None:
        self.name = name
        self.alive = True
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        self._frozen_until = 0.0
        self._held: list[Callable[[], None]] = []

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        self._held.clear()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        self._frozen_until = max(self._frozen_until, self._loop.time() + seconds)
        self._loop.call_later(seconds, self._thaw)

    @property
    def frozen(self) -> bool:
        """True while it can't take a step."""
        return self._loop.time() < self._frozen_until

    def _thaw(self) -> None:
        if self.frozen:
            return
        held, self._held = self._held, []
        for step in held:
            step()

    async def call(self, label: str, send: Callable[[Reply[T]], None]) -> T:
        """Send a request into the world, and wait for the answer.

        There are three points at which the process may be killed or frozen: before the request
        leaves, while it is under way, and once it was carried out and answered.

        Raises:
            TransientError: the world answered with it.
        """
        await self._pass(f"{label}.before")
        answer: asyncio.Future[T | TransientError] = self._loop.create_future()
        send(lambda found: self._deliver(answer, found))
        await self._pass(f"{label}.sent")
        found = await answer
        await self._pass(f"{label}.after")
        if isinstance(found, TransientError):
            raise found
        return found

    async def sleep(self, seconds: float) -> None:
        """Wait, by this process's own timers."""
        over: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_later(seconds, self._deliver, over, None)
        await over
        await self._pass("sleep.after")

    async def _pass(self, label: str) -> None:
        self._watcher.reached(self, label)
        if not self.alive or self.frozen:
            go_on: asyncio.Future[None] = self._loop.create_future()
            self._deliver(go_on, None)
            await go_on

    def _deliver(self, waiting: asyncio.Future[T], found: T) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._held.append(lambda: self._deliver(waiting, found))
        elif not waiting.done():
            waiting.set_result(found)
