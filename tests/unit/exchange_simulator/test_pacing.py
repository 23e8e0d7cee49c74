"""Pacing: the rate that was asked for, and an event loop that stays alive at any."""

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
    """The same objects, once as what they are and once as the traders they stand for."""
    counting = [Counting() for _ in range(count)]
    return counting, [cast("Traders", traders) for traders in counting]


async def test_every_crowd_acts_at_the_rate() -> None:
    """Three crowds at 200 a second: never ahead of the clock, and equally often."""
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


async def test_as_fast_as_it_can_still_lets_others_run() -> None:
    """The loop turns at least every few slices, while thousands of actions are done."""
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


async def test_arrears_are_left_out_rather_than_made_up_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a pause it goes on at its rate, plus at most the arrears that are allowed."""
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
