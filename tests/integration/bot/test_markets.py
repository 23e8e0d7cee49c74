"""A strategy over several markets: a real bot on a real Redis, its connectors played."""

import pytest

from common_models.stream_names import MarketStream
from tests.integration.bot.conftest import StartBot
from tests.support.bot.stage import Stage, of_now
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import order_book, ticker

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

DIFFERENCE = "price_difference:binance:BTC/USDT:0.002"
WATCHED = {"LUNO_SYMBOLS": "XBT/ZAR,USDT/ZAR"}


async def luno_book(stage: Stage, symbol: str, middle: float) -> str:
    """A book of Luno's; the entry."""
    book = of_now(order_book(symbol, "luno", middle))
    return await stage.put(MarketStream.of("luno", symbol, "orderbook"), book)


async def open_all(stage: Stage) -> None:
    """What a bot finds: a USDT costs 10.5 rand, a bitcoin 100.5 USDT here and 1000 rand there."""
    stage.more = ["USDT/ZAR"]
    await stage.status()
    await luno_book(stage, "USDT/ZAR", 10.5)
    await luno_book(stage, "XBT/ZAR", 1000.0)
    await stage.put(MarketStream.of("luno", "USDT/ZAR", "ticker"), ticker("USDT/ZAR", "luno"))


async def test_a_price_difference_to_another_exchange_is_traded_on_one_leg(
    stage: Stage, bots: StartBot
) -> None:
    """A book of Luno's leads to a buy at Binance, and another to its sale; none goes to Luno."""
    await open_all(stage)
    async with bots(DIFFERENCE, **WATCHED) as bot:
        await bot.until_ready()
        cause = await luno_book(stage, "XBT/ZAR", 1200.0)
        command = await stage.command()
        assert (command.side, command.quantity) == ("buy", 0.002)
        sent = await bot.decision(lambda each: each.outcome == "sent")
        assert sent.strategy == "price_difference:binance:BTC/USDT"
        assert sent.caused_by == [f"luno:XBTZAR:orderbook {cause}"]
        assert sent.reason.startswith("luno:XBT/ZAR pays 109.04545, +7.97% of 101 here")
        await stage.fill(command)
        await bot.decision(lambda each: each.order_status == "filled")
        await luno_book(stage, "XBT/ZAR", 1000.0)
        assert (await stage.command(2)).side == "sell"
        assert await stage.redis.xlen("luno_connector:commands:place_order") == 0


async def test_observe_mode_only_publishes_the_difference(stage: Stage, bots: StartBot) -> None:
    """The default mode: it is told once, and nothing is sent."""
    await open_all(stage)
    async with bots(DIFFERENCE, BOT_MODE="observe", **WATCHED) as bot:
        await bot.until_ready()
        await luno_book(stage, "XBT/ZAR", 1200.0)
        told = await bot.decision(lambda each: each.outcome == "observed")
        assert (told.exchange, told.side) == ("binance", "buy")
        assert await stage.commands() == []


async def test_nothing_is_traded_on_where_one_of_the_markets_is_stale(
    stage: Stage, bots: StartBot
) -> None:
    """The strategy isn't given what it asks for; what it wants all the same is refused."""
    peeking = "tests.support.bot.strategies.Peeking:binance:BTC/USDT:0.002"
    async with bots(peeking) as bot:
        await bot.until_ready()
        await stage.ticker()
        await stage.fill(await stage.command())
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.status(symbols_of={"luno": "stale"})

        async def knows() -> bool:
            return "luno:XBTZAR:orderbook: stale" in await bot.part("market_data")

        await eventually_async(knows)

        async def refused() -> bool:
            await stage.ticker()
            return "stale_market" in [each.reason_code for each in await bot.decisions()]

        await eventually_async(refused)
        told = await bot.refusal("stale_market")
        assert told.refusal == "luno XBT/ZAR: stale: told so"
        assert len(await stage.commands()) == 1
