"""The loss of the day: over restarts, a midnight while the bot was away, and clocks that jump."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common_models.stream_names import MarketStream
from tests.integration.bot.conftest import StartBot
from tests.support.bot.process import Bot
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import ticker

pytestmark = pytest.mark.timeout(180)

HOLDER = "tests.support.bot.strategies.Holder:binance:BTC/USDT:0.05"
TICKERS = str(MarketStream.of("binance", "BTC/USDT", "ticker"))
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


async def priced(stage: Stage, last: float, at: datetime, redis_at: datetime) -> None:
    """A price of one moment by the exchange, which Redis took at another."""
    message = ticker(last=last).model_copy(update={"timestamp": at})
    redis: Any = stage.redis
    entry_id = f"{round(redis_at.timestamp() * 1000)}-*"
    await redis.xadd(TICKERS, {"data": message.model_dump_json()}, id=entry_id)


async def bought(stage: Stage, bot: Bot) -> None:
    """It holds 0.05 BTC, for 5 USDT and no fee."""
    await bot.until_ready()
    await stage.ticker()
    await stage.fill(await stage.command(), fee={})
    await bot.decision(lambda each: each.order_status == "filled")


async def until_lost(bot: Bot, today: float) -> None:
    """Wait until it has lost so much since midnight."""

    async def lost() -> bool:
        (position,) = (await bot.portfolio()).positions
        return position.profit_today == -today

    await eventually_async(lost)


async def test_a_loss_outlives_a_restart_and_clocks_that_jump(stage: Stage, bots: StartBot) -> None:
    """A day begins once the exchange and Redis both say so: neither alone takes a loss back."""
    async with bots(HOLDER) as bot:
        await bought(stage, bot)
        now = datetime.now(UTC)
        await priced(stage, 90.0, now, now)
        await until_lost(bot, 0.5)
        await bot.service.end()
    async with bots(HOLDER) as bot:
        await bot.until_ready()
        await until_lost(bot, 0.5)
        tomorrow = MIDNIGHT + timedelta(hours=1)
        await priced(stage, 88.0, tomorrow, datetime.now(UTC))
        await until_lost(bot, 0.6)
        await priced(stage, 86.0, datetime.now(UTC), tomorrow)
        await until_lost(bot, 0.7)
        await priced(stage, 84.0, tomorrow, tomorrow)
        await until_lost(bot, 0.1)


async def test_a_midnight_while_the_bot_was_away_parts_the_losses(
    stage: Stage, bots: StartBot
) -> None:
    """What it reads of before midnight is yesterday's, what comes after is today's."""
    async with bots(HOLDER) as bot:
        await bought(stage, bot)
        await bot.service.end()
    for price, seconds in ((90.0, -3600), (80.0, -1), (79.0, 1), (70.0, 3600)):
        at = MIDNIGHT + timedelta(seconds=seconds)
        await priced(stage, price, at, at)
    async with bots(HOLDER) as bot:
        await bot.until_ready()
        await until_lost(bot, 0.5)
        (position,) = (await bot.portfolio()).positions
        assert position.profit == -1.5
