"""A bot that is killed at random moments, and what it knows in the end."""

from pathlib import Path

import pytest

from tests.support.bot_kills import carry_out
from tests.support.trading import MARKETS, trading_desk

SEEDS = range(10)
BATCH = 5


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", SEEDS[::BATCH])
async def test_a_killed_bots_view_is_the_exchanges_in_the_end(first: int, tmp_path: Path) -> None:
    """No command twice, no order it doesn't know, and every fill booked once."""
    async with (
        trading_desk(MARKETS[0], tmp_path) as desk,
        desk.connector(RISK_ORDERS_PER_MINUTE="10000"),
    ):
        orders = 0
        for seed in range(first, first + BATCH):
            before, orders = orders, await carry_out(desk, seed, tmp_path)
            assert orders > before
