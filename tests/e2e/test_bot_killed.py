"""A bot that is killed at random moments, and what it knows in the end."""

from pathlib import Path

import pytest

from tests.support.bot.data_loss import LOSSES, Loss
from tests.support.bot.kills import SEVERAL, WAITS, carry_out
from tests.support.orders.trading import MARKETS, NO_LIMITS, trading_desk

SEEDS = range(10)
BATCH = 5


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", SEEDS[::BATCH])
async def test_a_killed_bots_view_is_the_exchanges_in_the_end(first: int, tmp_path: Path) -> None:
    """No command twice, no order it doesn't know, and every fill booked once."""
    async with (
        trading_desk(MARKETS[0], tmp_path) as desk,
        desk.connector(**NO_LIMITS),
    ):
        orders = 0
        for seed in range(first, first + BATCH):
            before, orders = orders, await carry_out(desk, seed, tmp_path)
            assert orders > before


@pytest.mark.timeout(300)
async def test_a_killed_bot_with_several_open_orders_knows_each_of_them_in_the_end(
    tmp_path: Path,
) -> None:
    """Of each list that was decided on all orders are sent once, or none is."""
    async with (
        trading_desk(MARKETS[0], tmp_path) as desk,
        desk.connector(**NO_LIMITS),
    ):
        orders = 0
        for seed in range(BATCH):
            before, orders = orders, await carry_out(desk, seed, tmp_path, strategy=SEVERAL)
            assert orders >= before + 3  # what the last run sent first is one list


@pytest.mark.timeout(300)
@pytest.mark.parametrize("loss", [LOSSES[0], LOSSES[4]], ids=str)
async def test_what_redis_loses_of_a_bot_leaves_no_order_pending(
    loss: Loss, tmp_path: Path
) -> None:
    """Just after the bot has written a command: all of them are in `python -m tests.chaos_bot`."""
    async with (
        trading_desk(MARKETS[0], tmp_path) as desk,
        desk.connector(**NO_LIMITS, **WAITS) as connector,
    ):
        assert await carry_out(desk, 1, tmp_path, connector, loss) > 0
