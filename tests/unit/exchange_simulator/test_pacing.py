"""Pacing: the configured rate, and an event loop that stays responsive at any rate."""

import asyncio
from dataclasses import dataclass
from typing import cast

import pytest

from services.exchange_simulator import pacing
from services.exchange_simulator.traders import Traders
from tests.support.eventually import eventually


@dataclass
class Counting:
    """Traders that count their actions."""

    acted: int = 0

    def act(self) -> None:
        """One action."""
        self.acted += 1


def all_traders(count: int) -> tuple[list[Counting], list[Traders]]:
    """The same objects, as `Counting` and as `Traders`."""
    counting = [Counting() for _ in range(count)]
    return counting, [cast("Traders", traders) for traders in counting]


async def test_the_traders_of_every_market_act_at_the_rate() -> None:
    """Three markets at 200 actions a second: never ahead of the clock, and equally often."""
    counting, traders = all_traders(3)
    loop = asyncio.get_running_loop()
    started = loop.time()
    task = asyncio.ensure_future(pacing.drive(traders, 200.0))
    try:
        await eventually(lambda: counting[0].acted >= 40)
        acted = [traders.acted for traders in counting]
        assert acted[0] <= 200 * (loop.time() - started) + 2
        assert max(acted) - min(acted) <= 1
    finally:
        task.cancel()


async def test_full_speed_leaves_time_for_other_tasks() -> None:
    """Other tasks run every few slices, during thousands of actions."""
    counting, traders = all_traders(2)
    task = asyncio.ensure_future(pacing.drive(traders, 0))
    turns = 0
    try:
        while counting[0].acted < 200_000:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 3
    finally:
        task.cancel()


async def test_actions_beyond_the_largest_lag_are_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a pause the rate continues, plus at most the actions of the largest lag."""
    counting, traders = all_traders(1)
    loop = asyncio.get_running_loop()
    skipped = 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + skipped)
    task = asyncio.ensure_future(pacing.drive(traders, 100.0))
    try:
        await eventually(lambda: counting[0].acted >= 2)
        before = counting[0].acted
        skipped = 3600.0
        await asyncio.sleep(0)
        started = real()
        await eventually(lambda: counting[0].acted > before + 50)
        most = 100 * (pacing.MAX_LAG + real() - started) + 10
        assert counting[0].acted - before <= most
    finally:
        task.cancel()
