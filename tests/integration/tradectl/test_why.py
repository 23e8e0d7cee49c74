"""The story of an order that a real bot decided on: not one hop is missing."""

from pathlib import Path

import pytest

from tests.integration.tradectl.hand import tradectl
from tests.support.bot import running_bot
from tests.support.eventually import eventually_async
from tests.support.indicator_host import hosting
from tests.support.trading import MARKETS, trading_desk

pytestmark = pytest.mark.timeout(240)

CHAIN = ["tick", "indicator", "decision", "risk (bot)", "command", "risk (connector)", "journal"]


async def test_an_order_of_the_bot_is_explained_from_the_tick_to_the_fill(tmp_path: Path) -> None:
    """The market falls, the RSI with it, the strategy buys: each hop, in order, with its time."""
    paper = {"BOT_MODE": "paper", "STRATEGIES": "rsi_reversion:binance:BTC/USDT:0.002"}
    async with (
        trading_desk(MARKETS[0], tmp_path) as desk,
        desk.connector(),
        hosting(desk.redis_url, tmp_path / "i", "binance:BTC/USDT:rsi_14@trade"),
        running_bot(desk.redis, desk.redis_url, tmp_path / "b", **paper) as bot,
    ):
        await bot.until_it_sees("binance")

        async def warm() -> bool:
            return int(await desk.redis.xlen("binance:BTCUSDT:trades")) > 40

        await eventually_async(warm, within=60)
        await desk.move_market((await desk.book()).bids[0].price * 0.9)
        decided = await bot.decision(lambda each: each.order_status == "filled")
        told = await tradectl(desk.redis_url, "why", decided.decision_id, "--json")
    assert told.code == 0, told
    (story,) = told.json["stories"]
    hops = story["hops"]
    assert [hop["what"] for hop in hops if hop["missing"]] == []
    assert [hop["hop"] for hop in hops][: len(CHAIN)] == CHAIN
    assert {"response", "fill", "bot heard"} <= {hop["hop"] for hop in hops[len(CHAIN) :]}
    told_at = [hop["time"] for hop in hops if hop["hop"] not in ("risk (connector)", "journal")]
    assert told_at == sorted(told_at)
    (decision,) = [hop for hop in hops if hop["hop"] == "decision"]
    assert decision["what"].startswith("rsi_reversion:binance:BTC/USDT: buy 0.002 BTC/USDT: rsi_14")
