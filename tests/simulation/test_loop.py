"""The loop the worlds run on: virtual time, and the same order of things for the same seed."""

import asyncio
import hashlib
import os
import subprocess
import sys

import pytest

from tests.simulation.loop import DeadlockError, run
from tests.simulation.plan import draw
from tests.simulation.world import simulate

# Two instances, freezes, a Redis that rolls back, and every fault: much that can be out of order.
BUSY = 616


def trace_hash(seed: int) -> str:
    """A digest of everything that happens in a world, and when."""
    return hashlib.sha256("\n".join(simulate(draw(seed), trace=True).trace).encode()).hexdigest()


def order_of_ten(seed: int) -> list[int]:
    """The order in which ten tasks that are ready at once get their turn."""

    async def main() -> list[int]:
        turns: list[int] = []

        async def take_turn(number: int) -> None:
            await asyncio.sleep(1)
            turns.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(take_turn(number))
        return turns

    return run(main, seed)


def test_a_day_passes_at_once() -> None:
    """Waiting costs no time, and takes exactly as long as it should."""

    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run(main, 1) == 86_400


def test_timeouts_and_semaphores_work_in_virtual_time() -> None:
    """The pieces of asyncio that the core is made of keep their meaning."""

    async def main() -> float:
        room = asyncio.Semaphore(1)
        await room.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await room.acquire()
        return asyncio.get_running_loop().time()

    assert run(main, 1) == 30


def test_the_seed_decides_who_goes_first() -> None:
    """The same seed gives the same interleaving, other seeds give others."""
    assert order_of_ten(1) == order_of_ten(1)
    assert len({tuple(order_of_ten(seed)) for seed in range(5)}) == 5


def test_waiting_for_nothing_is_an_error() -> None:
    """A world in which nothing can happen any more ends with an error, not with a hang."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        run(main, 1)


def test_the_same_seed_gives_the_same_world_twice_in_one_process() -> None:
    """The second run leaves the very trace of the first."""
    assert trace_hash(BUSY) == trace_hash(BUSY)
    assert trace_hash(BUSY) != trace_hash(BUSY + 1)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_gives_the_same_world_in_another_process(hash_seed: str) -> None:
    """Nothing hangs on the addresses of objects or on Python's own hash seed."""
    code = f"from tests.simulation.test_loop import trace_hash; print(trace_hash({BUSY}))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert found.stdout.strip() == trace_hash(BUSY)
