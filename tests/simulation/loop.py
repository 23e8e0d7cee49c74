"""An asyncio event loop whose time is virtual and whose interleavings come from a seed."""

import asyncio
import collections
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Every task waits, and nothing will ever wake one."""


class _NoSockets:
    """Stands where the loop looks for ready sockets: lets time pass instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise DeadlockError("nothing is scheduled any more")
        self._loop.pass_time(timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready in a seeded order; when nothing is, jumps to the next timer.

    It leans on `_ready`, `_selector`, `_run_once`, `_process_events` and `_clock_resolution` of the
    standard loop, which are the same in CPython 3.11, 3.12 and 3.13.
    """

    _ready: collections.deque[asyncio.Handle]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now = 0.0
        self._order = random.Random(seed)
        self._selector = _NoSockets(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Let that much time be over at once."""
        self._now += max(0.0, seconds)

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets, so there are no events of theirs."""

    def _run_once(self) -> None:
        if len(self._ready) > 1:
            ready = list(self._ready)
            self._order.shuffle(ready)
            self._ready.clear()
            self._ready.extend(ready)
        super()._run_once()  # type: ignore[misc]


def run(main: Callable[[], Coroutine[Any, Any, T]], seed: int) -> T:
    """What *main* returns, run from virtual second 0 on a loop of its own.

    Raises:
        DeadlockError: it waits for what can't come.
    """
    loop = VirtualLoop(seed)
    try:
        return loop.run_until_complete(main())
    finally:
        _end_all_tasks(loop)
        loop.close()


def _end_all_tasks(loop: VirtualLoop) -> None:
    """Cancel what is left over: killed processes wait for ever."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
