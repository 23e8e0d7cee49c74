"""What is too little for the exchange: a real bot, told of lots and bounds by a connector."""

import pytest

from tests.integration.bot.conftest import StartBot
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually_async

pytestmark = pytest.mark.timeout(180)

FLIP = "tests.support.bot.strategies.Flip:binance:BTC/USDT"


async def test_a_round_trip_leaves_dust_that_is_published_and_blocks_no_order(
    stage: Stage, bots: StartBot
) -> None:
    """All whole lots are sold, what is left counts as nothing, and the next order buys again."""
    await stage.instrument(lot=0.0001, min_notional=3)
    async with bots(f"{FLIP}:0.05") as bot:
        await bot.until_ready()
        await stage.ticker()
        await stage.fill(await stage.command(), fee={"BTC": 0.000055})
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.ticker()
        sell = await stage.command(2)
        assert (sell.side, sell.quantity) == ("sell", 0.0499)
        await stage.fill(sell)

        async def left() -> tuple[float, float]:
            (position,) = (await bot.portfolio()).positions
            return position.quantity, position.dust

        async def only_dust() -> bool:
            return await left() == (0.000045, 0.000045)

        await eventually_async(only_dust)
        await stage.ticker()
        buy = await stage.command(3)
        assert (buy.side, buy.quantity) == ("buy", 0.05)
        await stage.fill(buy, fee={"BTC": 0.00005})
        bought = (buy.client_order_id, "filled")
        await bot.decision(lambda each: (each.decision_id, each.order_status) == bought)
        await stage.ticker()
        assert (await stage.command(4)).quantity == 0.0499
        assert await left() == (0.049995, 0.000095)


async def test_a_buy_of_which_too_little_would_be_left_is_refused(
    stage: Stage, bots: StartBot
) -> None:
    """Before it is sent: 5.005 USDT bought are less than 5 after the fee."""
    await stage.instrument(min_notional=5)
    async with bots(f"{FLIP}:0.05004") as bot:
        await bot.until_ready()
        await stage.ticker()
        refused = await bot.refusal("dust")
        assert "would be left, too little to be sold" in str(refused.refusal)
        assert await stage.commands() == []


async def test_lots_are_followed_while_the_bot_runs(stage: Stage, bots: StartBot) -> None:
    """A connector may start later than the bot."""
    async with bots(f"{FLIP}:0.0105") as bot:
        await bot.until_ready()
        await stage.instrument(lot=0.001)

        async def sends_whole_lots() -> bool:
            await stage.ticker()
            if not (commands := await stage.commands()):
                return False
            await stage.answer(commands[-1], "rejected")
            return commands[-1].quantity == 0.01

        await eventually_async(sends_whole_lots, within=20)
