"""Kill the real bot, again and again: `python -m tests.chaos_bot --runs 200`.

In all but every eighth run Redis loses what the bot has just written, too.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from redis.exceptions import RedisError

from tests.support.bot.data_loss import LOSSES
from tests.support.bot.kills import WAITS, carry_out
from tests.support.orders.trading import MARKETS, NO_LIMITS, trading_desk

WITHIN = 400.0


def main() -> int:
    """0 if the bot's view was the exchange's after every run, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos_bot", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first run")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--only", type=int, nargs="+", help="these runs alone, by number")
    options = parser.parse_args()
    seeds = options.only or range(options.seed, options.seed + options.runs)
    started = time.monotonic()
    broken = asyncio.run(_run_all(seeds, options.jobs))
    took = time.monotonic() - started
    _say(f"{len(seeds)} runs in {took:.0f} s, {len(broken)} broken: {sorted(broken)}")
    return 1 if broken else 0


async def _run_all(seeds: Sequence[int], jobs: int) -> list[int]:
    broken: list[int] = []
    waiting = iter(seeds)

    async def work() -> None:
        for seed in waiting:
            said = await _run(seed)
            _say(f"{seed}: {said}")
            if not said.startswith("agreed"):
                broken.append(seed)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(jobs):
            tasks.create_task(work())
    return broken


async def _run(seed: int) -> str:
    """One run on one of the exchanges, with processes of its own."""
    market = MARKETS[seed % len(MARKETS)]
    fates = (None, *LOSSES)
    loss = fates[seed // len(MARKETS) % len(fates)]
    with tempfile.TemporaryDirectory(prefix=f"chaos-bot-{seed}-") as name:
        try:
            async with (
                asyncio.timeout(WITHIN),
                trading_desk(market, Path(name)) as desk,
                desk.connector(**NO_LIMITS, **WAITS) as connector,
            ):
                orders = await carry_out(desk, seed, Path(name), connector, loss)
        except (AssertionError, OSError, RuntimeError, TimeoutError, RedisError):
            return f"{traceback.format_exc()}\nrepeat: python -m tests.chaos_bot --only {seed}"
    return f"agreed on {orders} orders, {loss}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
