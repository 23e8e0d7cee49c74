"""Fees in a third asset: a real bot, and a connector that tells what the asset is worth."""

import pytest

from tests.integration.bot.conftest import StartBot
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually, eventually_async

pytestmark = pytest.mark.timeout(180)

HOLDER = "tests.support.bot.strategies.Holder:binance:BTC/USDT:0.05"


async def test_a_fee_that_nothing_values_counts_in_full_until_the_connector_does(
    stage: Stage, bots: StartBot
) -> None:
    """Bought for 5 USDT: a thousandth at first; 0.00001 BNB are then worth 0.00375 USDT."""
    async with bots(HOLDER) as bot:
        await bot.until_ready()
        await stage.ticker()
        await stage.fill(await stage.command(), fee={"BNB": 0.00001})
        await stage.ticker(last=100.0)

        async def counted() -> tuple[dict[str, float], float]:
            (position,) = (await bot.portfolio()).positions
            assert position.profit is not None
            return position.fees_unvalued, round(position.profit, 6)

        async def in_full() -> bool:
            return await counted() == ({"BNB": 0.00001}, -0.005)

        async def by_its_price() -> bool:
            return await counted() == ({}, -0.00375)

        await bot.decision(lambda each: each.order_status == "filled")
        await eventually_async(in_full)
        await eventually(lambda: bot.logged("fees_unvalued"))
        await stage.instrument({"BNB": 375.0})
        await eventually_async(by_its_price)
