"""A simulated process: what a kill and a freeze do to it, and what they don't."""

import asyncio
from collections.abc import Callable

import pytest

from services._connector_kit.errors import TransientError
from tests.simulation.loop import Timers, run
from tests.simulation.process import Process, Reply


class Watcher:
    """Does something to a process at one of its points."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.act: dict[str, Callable[[Process], None]] = {}

    def reached(self, process: Process, label: str) -> None:
        """Note the point, and act."""
        self.passed.append(label)
        if label in self.act:
            self.act[label](process)


class Far:
    """Something in the world that takes a second to be done and a second to reply."""

    def __init__(self) -> None:
        self.done_at: list[float] = []
        self.timers: Timers | None = None

    def ask(self, reply: Reply[str]) -> None:
        """Do it, and reply."""
        loop = asyncio.get_running_loop()
        assert self.timers is not None
        self.timers.after(1, lambda: self.done_at.append(loop.time()))
        self.timers.after(2, reply, "done")


async def call(watcher: Watcher, far: Far) -> tuple[str | None, float]:
    """What a process gets within a minute, and when."""
    loop = asyncio.get_running_loop()
    far.timers = Timers()
    process = Process(watcher, "one")
    task = process.start(process.call("far", far.ask))
    await asyncio.wait([task], timeout=60)
    return (task.result(), loop.time()) if task.done() else (None, loop.time())


def test_a_call_passes_three_points() -> None:
    """Before it is sent, while it is under way, and after its reply."""
    watcher, far = Watcher(), Far()
    assert run(lambda: call(watcher, far), 1) == ("done", 2.0)
    assert watcher.passed == ["far.before", "far.sent", "far.after"]


def test_a_killed_process_never_goes_on_but_what_it_sent_does() -> None:
    """The request is carried out; nobody hears of it."""
    watcher, far = Watcher(), Far()
    watcher.act["far.sent"] = Process.kill
    assert run(lambda: call(watcher, far), 1) == (None, 60.0)
    assert far.done_at == [1.0]
    assert watcher.passed == ["far.before", "far.sent"]


def test_a_process_that_is_killed_before_it_sends_sends_nothing() -> None:
    """The request never leaves."""
    watcher, far = Watcher(), Far()
    watcher.act["far.before"] = Process.kill
    assert run(lambda: call(watcher, far), 1) == (None, 60.0)
    assert far.done_at == []


def test_a_frozen_process_goes_on_when_it_thaws() -> None:
    """The world went on without it: the reply was there long ago."""
    watcher, far = Watcher(), Far()
    watcher.act["far.sent"] = lambda process: process.freeze(30)
    assert run(lambda: call(watcher, far), 1) == ("done", 30.0)
    assert far.done_at == [1.0]


def test_a_process_frozen_twice_thaws_at_the_later_time() -> None:
    """The first thaw is not the end of the second freeze."""
    watcher, far = Watcher(), Far()

    def freeze_twice(process: Process) -> None:
        process.freeze(10)
        process.freeze(20)

    watcher.act["far.before"] = freeze_twice
    assert run(lambda: call(watcher, far), 1) == ("done", 22.0)


def test_trouble_is_raised_where_the_call_was_made() -> None:
    """As the ports promise."""

    async def main() -> None:
        process = Process(Watcher(), "one")
        with pytest.raises(TransientError, match="gone"):
            await process.call("far", lambda reply: reply(TransientError("gone")))

    run(main, 1)


def test_all_tasks_and_timers_of_a_process_stop_with_it() -> None:
    """A killed process's other tasks do nothing more; a frozen one's do it when it thaws."""

    async def main(stop: Callable[[Process], None]) -> list[float]:
        loop = asyncio.get_running_loop()
        process, ticks = Process(Watcher(), "one"), list[float]()

        async def tick() -> None:
            while True:
                await asyncio.sleep(1)
                ticks.append(loop.time())

        async def work() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(tick())

        process.start(work())
        await asyncio.sleep(2.5)
        stop(process)
        await asyncio.sleep(3)
        return ticks

    assert run(lambda: main(Process.kill), 1) == [1, 2]
    assert run(lambda: main(lambda process: process.freeze(2)), 1) == [1, 2, 4.5, 5.5]
