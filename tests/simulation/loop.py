"""An asyncio event loop whose time is virtual and whose interleavings come from a seed."""

import asyncio
import collections
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


# So many turns take no time; then one more takes a moment, in seconds.
MOST_TURNS = 1000
MOMENT = 1e-6


class DeadlockError(RuntimeError):
    """Every task waits, and nothing will ever wake one."""


class Owner(Protocol):
    """Whose code it is that a loop runs."""

    def takes(self, step: asyncio.Handle) -> bool:
        """True where *step* may run now; else the owner has it, for later or for never."""

    def held(self) -> list[asyncio.Handle]:
        """The steps that it has, which it lets go of."""


# Tasks, timers and callbacks belong to whoever was the owner where they were made.
OWNER: ContextVar[Owner | None] = ContextVar("OWNER", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready in a seeded order; when nothing is, jumps to the next timer.

    It leans on `_ready`, `_scheduled` and `_run_once` of the standard loop, and on its handles'
    `_context`, `_when`, `_cancelled` and `_run`, which are the same in CPython 3.11 to 3.13.
    """

    _ready: collections.deque[Any]
    _scheduled: list[Any]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now = 0.0
        self._order = random.Random(seed)
        self._owned = True
        self._since = 0.0
        self._turns = 0  # without any time passing
        self._holding: dict[Owner, None] = {}

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._now

    def disown(self) -> None:
        """From now on nobody's steps are held back."""
        self._owned = False
        for owner in self._holding:
            self.release(owner)

    def release(self, owner: Owner) -> None:
        """Run now what *owner* held back."""
        self._ready.extend(owner.held())

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        self._pass_time()
        while scheduled and scheduled[0]._when <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        steps = list(ready)
        ready.clear()
        if len(steps) > 1:
            self._order.shuffle(steps)
        for step in steps:
            if step._cancelled:
                continue
            owner = step._context.get(OWNER) if self._owned else None
            if owner is None or owner.takes(step):
                step._run()
            else:
                self._holding[owner] = None

    def _pass_time(self) -> None:
        """Until the next timer, where nothing is ready."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not self._ready:
            if not scheduled:
                raise DeadlockError("nothing is scheduled any more")
            self._now = max(self._now, scheduled[0]._when)
        if self._now > self._since:
            self._since, self._turns = self._now, 0
        self._turns += 1
        if self._turns > MOST_TURNS:
            # Whoever waits for what rounding makes nothing would wait for ever.
            self._now += MOMENT

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """They are let go of when their time has come."""


def current() -> VirtualLoop:
    """The loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class Timers:
    """What the world itself does later, whoever's step it was in which that began."""

    def __init__(self) -> None:
        self._loop = current()
        self.context = copy_context()
        self.context.run(OWNER.set, None)

    def after(self, seconds: float, act: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call *act* once so many seconds have passed."""
        return self._loop.call_later(seconds, act, *args, context=self.context)


def run(main: Callable[[], Coroutine[Any, Any, T]], seed: int) -> T:
    """What *main* returns, run from virtual second 0 on a loop of its own.

    Raises:
        DeadlockError: it waits for what can't come.
    """
    loop = VirtualLoop(seed)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.disown()
        _end_all_tasks(loop)
        loop.close()


def _end_all_tasks(loop: VirtualLoop) -> None:
    """Cancel what is left over: killed processes wait for ever."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
