"""The story of an order that a real bot decided on: not one hop is missing."""

from pathlib import Path

import pytest

from services._local.redis_server import RedisServer
from tests.integration.tradectl.hand import tradectl
from tests.support.bot.indicator_host import hosting
from tests.support.bot.process import running_bot
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, trading_desk

pytestmark = pytest.mark.timeout(240)

STRATEGY = "tests.integration.tradectl.strategies.OneBuy"
CHAIN = ["tick", "indicator", "decision", "risk (bot)", "command", "risk (connector)", "journal"]


async def test_an_order_of_the_bot_is_explained_from_the_tick_to_the_fill(tmp_path: Path) -> None:
    """A trade makes an indicator's value, the strategy buys: each hop, in order, with its time."""
    paper = {"BOT_MODE": "paper", "STRATEGIES": f"{STRATEGY}:binance:BTC/USDT:0.002"}
    async with (
        trading_desk(MARKETS[0], tmp_path) as desk,
        desk.connector(),
        hosting(desk.redis_url, tmp_path / "i", "binance:BTC/USDT:rsi_14@trade"),
        running_bot(desk.redis, desk.redis_url, tmp_path / "b", **paper) as bot,
    ):

        async def bought() -> list[str]:
            decisions = await bot.decisions()
            return [each.decision_id for each in decisions if each.order_status == "filled"]

        await eventually_async(bought, within=100)
        (bought_as,) = await bought()
        told = await tradectl(desk.redis_url, "why", bought_as, "--json")
        await desk.redis.xadd("bot:events:decision", {"data": "not from the bot"})
        last = await tradectl(desk.redis_url, "why", "--json")
    assert told.code == 0, told
    assert last.json["client_order_id"] == told.json["client_order_id"]
    (story,) = told.json["stories"]
    hops = story["hops"]
    assert [hop["what"] for hop in hops if hop["missing"]] == []
    assert [hop["hop"] for hop in hops][: len(CHAIN)] == CHAIN
    assert {"response", "fill", "bot received"} <= {hop["hop"] for hop in hops[len(CHAIN) :]}
    told_at = [hop["time"] for hop in hops if hop["time"] is not None]
    assert told_at == sorted(told_at)
    (decision,) = [hop for hop in hops if hop["hop"] == "decision"]
    assert ": buy 0.002 BTC/USDT: rsi_14 is " in decision["what"]


async def test_without_an_id_and_without_a_decision_it_says_so(redis_server: RedisServer) -> None:
    """No bot, or one that has decided nothing."""
    told = await tradectl(redis_server.url, "why")
    assert told.code == 1
    assert "no decision yet" in told.err
