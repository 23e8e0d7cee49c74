"""Timers of strategies: a real bot on a real Redis, its connectors played."""

import pytest

from services._local.redis_server import RedisServer
from tests.integration.bot.conftest import StartBot
from tests.integration.tradectl.hand import tradectl
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually, eventually_async

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

TICKING = "tests.support.bot.strategies.Ticking:binance:BTC/USDT:0.002"


async def test_a_strategy_with_a_timer_is_called_and_may_trade(
    stage: Stage, bots: StartBot, redis_server: RedisServer
) -> None:
    """In a market in which nothing comes; what led to the order is the timer."""
    async with bots(TICKING) as bot:
        command = await stage.command()
        sent = await bot.decision(lambda each: each.outcome == "sent")
        assert sent.decision_id == command.client_order_id
        (cause,) = sent.caused_by
        told, _, entry_id = cause.partition(" ")
        assert (told, int(entry_id.partition("-")[0]) % 1000) == ("timer", 0)
        story = (await tradectl(redis_server.url, "why", sent.decision_id, "--json")).json
        (timer,) = [hop for hop in story["stories"][0]["hops"] if hop["hop"] == "timer"]
        assert "the strategy's timer was due at" in timer["what"]
        assert not timer["missing"]
        assert len(await stage.commands()) == 1


async def test_a_strategy_that_fails_in_its_timer_is_stopped_and_the_rest_go_on(
    stage: Stage, bots: StartBot
) -> None:
    """As in any other method."""
    async with bots(f"{TICKING}?fails_at=1&as=bad,{TICKING}") as bot:

        async def is_named() -> bool:
            return ":bad: ZeroDivisionError" in await bot.part("strategies")

        await eventually_async(is_named)
        assert (await stage.command()).quantity == 0.002
        (stopped,) = bot.logged("strategy_stopped")
        assert (stopped["where"], stopped["strategy"][-4:]) == ("on_timer", ":bad")


async def test_a_timer_out_of_bounds_ends_it_at_the_start(stage: Stage, bots: StartBot) -> None:
    """One error, which says what would be right."""
    async with bots(f"{TICKING}?timer_seconds=0.1") as bot:
        await eventually(lambda: bot.service.exited)
        (failed,) = bot.logged("service_failed")
        assert "timer_seconds='0.1': expected a number, at least 1, at most 60" in failed["error"]
