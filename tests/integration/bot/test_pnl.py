"""What `tradectl pnl` shows is what the bot's own limit goes by."""

from decimal import Decimal

import pytest

from services._local.redis_server import RedisServer
from tests.integration.bot.conftest import StartBot
from tests.integration.tradectl.hand import tradectl
from tests.support.bot.stage import Stage

pytestmark = pytest.mark.timeout(180)

INSISTENT = "tests.support.bot.strategies.Insistent:binance:BTC/USDT:0.05"


async def test_the_profit_of_the_day_is_what_the_daily_loss_is_judged_by(
    stage: Stage, bots: StartBot, redis_server: RedisServer
) -> None:
    """The refusal says how much was lost: the very number that pnl shows, fees and all."""
    async with bots(INSISTENT, RISK_MAX_DAILY_LOSS="USDT:0.3") as bot:
        await bot.until_ready()
        await stage.ticker()
        await stage.fill(await stage.command(), 100.25, fee={"USDT": 0.005})
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.ticker(93.5)
        refused = await bot.refusal("max_daily_loss")
        told = await tradectl(redis_server.url, "pnl", "--json")
        shown = await tradectl(redis_server.url, "pnl", COLUMNS="80")
    assert told.code == 0, told
    found = told.json["bot"]
    lost = Decimal(str(refused.refusal).split()[0])
    assert Decimal(str(found["profit_today"]["USDT"])) == -lost
    # 0.05 for 100.25, and a fee of 0.005; 93.5 is what one is worth now.
    (strategy,) = found["strategies"]
    assert lost == Decimal("0.3375") + Decimal("0.005")
    assert (strategy["realised"], strategy["unrealised"]) == (-0.005, -0.3375)
    assert (strategy["fees"], strategy["profit_today"]) == (0.005, float(-lost))
    (market,) = found["markets"]
    assert market == {name: value for name, value in strategy.items() if name != "strategy"}
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["USDT", "-0.3425"] in lines, shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


async def test_a_market_without_a_bot_says_so_and_shows_the_connectors_books(
    stage: Stage, redis_server: RedisServer
) -> None:
    """Whoever trades with a bot of their own has no bot:events:portfolio."""
    await stage.open()
    key = "binance_connector:state:positions"
    await stage.redis.hset(key, "BTC/USDT", '{"quantity":"0","cash":"-1.25","day":"2020-01-01"}')
    told = await tradectl(redis_server.url, "pnl", "--json")
    assert told.code == 0, told
    assert told.json["bot"] is None
    (market,) = told.json["connectors"]["markets"]
    assert (market["realised"], market["unrealised"], market["fees"]) == (-1.25, 0, 0)
    # Its day was never ended by a connector: nobody knows what is of today.
    assert market["profit_today"] is None
    shown = await tradectl(redis_server.url, "pnl")
    assert "the bot has published nothing (bot:events:portfolio)" in shown.out


async def test_a_bot_that_is_gone_is_said_to_be(stage: Stage, redis_server: RedisServer) -> None:
    """What it told of another day is not of today."""
    await stage.open()
    position = (
        '{"strategy":"s","exchange":"binance","symbol":"BTC/USDT","quantity":1,"price":9,'
        '"profit":-3,"profit_today":-3}'
    )
    event = f'{{"mode":"paper","positions":[{position}],"open_orders":[]}}'
    await stage.redis.xadd("bot:events:portfolio", {"data": event}, id="1000-0")
    shown = await tradectl(redis_server.url, "pnl")
    assert "THE BOT IS GONE" in shown.out
    told = (await tradectl(redis_server.url, "pnl", "--json")).json["bot"]
    (strategy,) = told["strategies"]
    assert (strategy["profit"], strategy["profit_today"]) == (-3, None)
    assert told["profit_today"] == {}
    # Of a release that didn't tell it.
    assert (strategy["realised"], strategy["unrealised"]) == (None, None)
