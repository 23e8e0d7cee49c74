"""Strategies with parameters, and several of one kind: a real bot, its connectors played."""

from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.integration.bot.conftest import StartBot
from tests.integration.tradectl.hand import tradectl
from tests.support.bot.process import Bot, known, running_bot
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually, eventually_async

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

QUICK = "tests.support.bot.strategies.Quick:binance:BTC/USDT"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (
            "lots=0",
            f"{QUICK}:1?lots=0': tests.support.bot.strategies.Quick: lots='0': expected a",
        ),
        ("lot=1", "no parameter 'lot': expected lots: a whole number, at least 1, at most 9"),
        ("lots=5&most=2", f"STRATEGIES: {QUICK}: lots=5: expected at most most=2"),
    ],
)
async def test_a_bad_parameter_is_one_clear_error_at_the_start(
    redis: Redis, redis_server: RedisServer, tmp_path: Path, given: str, fault: str
) -> None:
    """It names the strategy, the field, the value and what is right; nothing is read or sent."""
    settings = {"STRATEGIES": f"{QUICK}:1?{given}"}
    async with running_bot(redis, redis_server.url, tmp_path / "bot", **settings) as bot:
        await eventually(lambda: bot.service.exited)
        assert bot.service.process.returncode == 1
        (failed,) = bot.logged("service_failed")
        assert fault in failed["error"]
        assert "Traceback" not in bot.service.log.read_text()


async def test_two_instances_of_one_strategy_on_one_market_are_kept_apart(
    stage: Stage, bots: StartBot, redis_server: RedisServer
) -> None:
    """Parameters, orders, decisions, positions, state and stories: each has its own."""
    first, second = QUICK, f"{QUICK}:large"
    strategies = f"{QUICK}:0.001,{QUICK}:0.001?lots=2&as=large"
    async with bots(strategies) as bot:
        await bot.until_ready()
        await stage.ticker()
        commands = [await stage.command(number) for number in (1, 2)]
        assert len({each.client_order_id for each in commands}) == 2
        assert {each.quantity for each in commands} == {0.001, 0.002}
        ids = {}
        for command in commands:
            sent = await bot.decision(
                lambda each, wanted=command.client_order_id: each.decision_id == wanted  # type: ignore[misc]
            )
            ids[sent.strategy] = command.client_order_id
        assert set(ids) == {first, second}
        for command in commands:
            await stage.became(command, "filled", command.quantity)
        await eventually_async(lambda: holds(bot, {first: 0.001, second: 0.002}))
        told = {each.strategy: each.parameters for each in (await bot.portfolio()).strategies}
        assert told == {first: {"lots": 1, "most": 9}, second: {"lots": 2, "most": 9}}
        story = (await tradectl(redis_server.url, "why", ids[second], "--json")).json["stories"][0]
        assert f"{second}: buy 0.002 BTC/USDT" in str(story["hops"])
        assert await bot.service.end() == 0
    assert set((await known(stage.redis)).states) == {first, second}
    async with bots(strategies) as bot:
        await bot.until_ready()
        assert await holds(bot, {first: 0.001, second: 0.002})
        await stage.ticker()
        await eventually_async(lambda: counted(stage, {first: 2, second: 2}))
        assert len(await stage.commands()) == 2


async def test_one_strategy_works_on_several_markets(stage: Stage, bots: StartBot) -> None:
    """Each with a state of its own."""
    luno = QUICK.replace("binance:BTC/USDT", "luno:XBT/ZAR")
    async with bots(f"{QUICK}:0.001,{luno}:0.001", BOT_MODE="observe") as bot:
        await bot.until_ready()
        await stage.ticker()
        for name in (QUICK, luno):
            told = await bot.decision(lambda each, key=name: each.strategy == key)  # type: ignore[misc]
            assert told.symbol in name
        await eventually_async(lambda: counted(stage, {QUICK: 1, luno: 1}))


async def test_what_a_strategy_holds_and_knows_stays_when_it_is_given_parameters(
    stage: Stage, bots: StartBot
) -> None:
    """Or a second instance beside it: neither changes its name, under which all is kept."""
    async with bots(f"{QUICK}:0.001") as bot:
        await bot.until_ready()
        await stage.ticker()
        command = await stage.command()
        await stage.fill(command)
        await eventually_async(lambda: holds(bot, {QUICK: 0.001}))
        await eventually_async(lambda: counted(stage, {QUICK: 1}))
        assert await bot.service.end() == 0
    async with bots(f"{QUICK}:0.001?lots=3,{QUICK}:0.001?as=other") as bot:
        await bot.until_ready()
        assert await holds(bot, {QUICK: 0.001})
        await stage.ticker()
        await eventually_async(lambda: counted(stage, {QUICK: 2, f"{QUICK}:other": 1}))
        (_, bought) = [await stage.command(number) for number in (1, 2)]
        told = await bot.decision(lambda each: each.decision_id == bought.client_order_id)
        assert told.strategy == f"{QUICK}:other"


async def holds(bot: Bot, wanted: dict[str, float]) -> bool:
    """Whether these are the positions."""
    positions = (await bot.portfolio()).positions
    return {each.strategy: each.quantity for each in positions} == wanted


async def counted(stage: Stage, wanted: dict[str, int]) -> bool:
    """Whether the strategies have saved that they saw so many tickers."""
    states = (await known(stage.redis)).states
    found = {key: msgspec.json.decode(state).get("tickers") for key, state in states.items()}
    return found == wanted
