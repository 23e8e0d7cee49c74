"""Bot and indicator host under a flood of garbage: they live, and go on as before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from services.bot.journal import POSITIONS
from tests.fuzz.commands import MOST_MEMORY, peak_memory
from tests.fuzz.streams import event_messages, flood, market_messages, until_read
from tests.support.bot.indicator_host import TRADES, hosting, market, publish, values
from tests.support.bot.process import Bot, running_bot
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually_async
from tests.support.processes import Service

STRATEGIES = (
    "tests.support.bot.strategies.Insistent:binance:BTC/USDT:0.002,"
    "rsi_reversion:binance:BTC/USDT:0.002"
)
INDICATORS = (
    "binance:BTC/USDT:rsi_14@trade,binance:BTC/USDT:macd_12_26_9@trade,"
    "binance:BTC/USDT:bb_20_2@1m,binance:BTC/USDT:atr_14@1m,binance:BTC/USDT:ema_9_t@ticker"
)
LONGEST_LINE = 20_000


@asynccontextmanager
async def trading_bot(redis: Redis, url: str, folder: Path) -> AsyncIterator[tuple[Bot, Stage]]:
    """A bot that wants to buy at every ticker, and who plays its connectors."""
    stage = Stage(redis)
    await stage.open()
    telling = asyncio.create_task(stage.keep_publishing_status())
    settings = {"BOT_MODE": "paper", "STRATEGIES": STRATEGIES}
    async with running_bot(redis, url, folder, **settings) as bot:
        yield bot, stage
    telling.cancel()
    await asyncio.wait([telling])


async def until_it_decides(bot: Bot, stage: Stage) -> None:
    """Wait until it decides once more, whatever it decides."""
    before = len(await bot.decisions())

    async def decides() -> bool:
        await stage.ticker()
        return len(await bot.decisions()) > before

    await eventually_async(decides)


async def flood_bot(redis: Redis, url: str, folder: Path, count: int, rounds: int = 1) -> None:
    """It decides before, and after each round; what it sends is still what its limits allow."""
    async with trading_bot(redis, url, folder) as (bot, stage):
        await bot.until_ready()
        await stage.ticker()
        command = await stage.command()
        wanted = {**market_messages(), **event_messages(command.client_order_id)}
        places = {stream: (POSITIONS, stream) for stream in wanted}
        for number in range(rounds):
            await flood(redis, wanted, count, start=100 * number, faults=number == 0)
            await until_read(redis, list(wanted), places, bot.service)
            await stage.open()
            await until_it_decides(bot, stage)
            await bot.until_ready()
        assert all(each.quantity == 0.002 for each in await stage.commands())
        _check_process(bot.service)


async def flood_host(redis: Redis, url: str, folder: Path, count: int, rounds: int = 1) -> None:
    """It computes before, and after each round."""
    wanted = market_messages()
    del wanted["binance:BTCUSDT:orderbook"]
    places = {stream: (f"indicator_host:state:{stream}", "position") for stream in wanted}
    trades = market()
    async with hosting(url, folder, INDICATORS) as host:
        for number in range(rounds):
            await flood(redis, wanted, count, start=100 * number + 50, faults=number == 0)
            await until_read(redis, list(wanted), places, host.service)
            before = len(await values(redis, "rsi_14"))
            await publish(redis, trades, 40)
            await until_read(redis, [TRADES], places, host.service)
            assert len(await values(redis, "rsi_14")) > before
        _check_process(host.service)
        assert await host.service.end() == 0


def _check_process(service: Service) -> None:
    assert peak_memory(service) < MOST_MEMORY
    assert max(map(len, service.log.read_text().splitlines())) < LONGEST_LINE
