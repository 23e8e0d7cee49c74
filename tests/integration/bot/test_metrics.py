"""What a real bot tells Prometheus."""

import pytest

from tests.integration.bot.conftest import StartBot
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually_async
from tests.support.metrics import Numbers

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

PLUGINS = "tests.support.bot.strategies"
INSISTENT = f"{PLUGINS}.Insistent:binance:BTC/USDT"
BROKEN = f"{PLUGINS}.Crashing:binance:BTC/USDT"


async def test_an_order_is_seen_from_the_decision_to_the_fill(stage: Stage, bots: StartBot) -> None:
    """Counted, open, unanswered, and then a position; each hop is measured once."""
    async with bots(f"{INSISTENT}:0.002") as bot:
        await bot.until_ready()
        before = await bot.metrics()
        assert before["bot_decisions_total", "sent", INSISTENT] == 0
        assert before["bot_mode_info", "paper"] == 1
        assert before["bot_halted",] == 0
        await stage.ticker()
        command = await stage.command()
        waiting = await bot.shows(lambda m: m["bot_orders_unanswered", "binance"] == 1)
        assert waiting["bot_orders_open", "binance"] == 1
        assert waiting["bot_decisions_total", "sent", INSISTENT] == 1
        await bot.shows(lambda m: m["bot_order_unanswered_oldest_seconds", "binance"] > 0.1)
        await stage.fill(command)
        after = await bot.shows(lambda m: m["bot_hop_seconds_count", "first_status"] == 1)
    assert after["bot_hop_seconds_count", "decision"] == 1
    assert after["bot_hop_seconds_count", "answer"] == 1
    assert after["bot_order_answers_total", "binance", "accepted"] == 1
    assert after["bot_orders_open", "binance"] == 0
    assert after["bot_orders_unanswered", "binance"] == 0
    assert after["bot_order_unanswered_oldest_seconds", "binance"] == 0
    assert after["bot_position", "binance", INSISTENT, "BTC/USDT"] == 0.002
    assert ("bot_profit_today", "USDT", "binance", INSISTENT) in after


async def test_refusals_are_counted_by_their_reason(stage: Stage, bots: StartBot) -> None:
    """And the halt switch is seen."""
    async with bots(f"{INSISTENT}:0.002") as bot:
        await bot.until_ready()
        await stage.redis.set("control:halt", "prices look wrong")
        await bot.shows(lambda m: m["bot_halted",] == 1)
        await stage.ticker()
        found = await bot.shows(lambda m: ("bot_refusals_total", "halted") in m)
    assert found["bot_refusals_total", "halted"] == 1
    assert found["bot_decisions_total", "refused", INSISTENT] == 1


async def test_metrics_show_what_it_reads_and_relies_on(stage: Stage, bots: StartBot) -> None:
    """By stream and market: entries, those that can't be read, ages, and what is live."""
    async with bots("") as bot:
        await bot.until_ready()
        await stage.redis.xadd("binance:BTCUSDT:ticker", {"data": "{"})
        await stage.redis.xadd("binance_connector:events:order_status", {"data": "{"})
        found = await bot.shows(
            lambda m: (
                m["stream_entries_malformed_total", "binance:BTCUSDT:ticker"] == 1
                and ("stream_entries_malformed_total", "binance_connector:events:order_status") in m
            )
        )
        assert found["stream_entries_read_total", "binance:BTCUSDT:ticker"] >= 1
        assert found["stream_entries_lost_total", "binance:BTCUSDT:ticker"] == 0
        assert found["redis_connections_total",] == 1
        assert found["bot_journal_age_seconds",] < 30
        assert found["bot_market_age_seconds", "orderbook", "binance", "BTC/USDT"] < 60
        assert found["bot_market_live", "binance", "BTC/USDT"] == 1
        await stage.status("stale")
        await bot.shows(lambda m: m["bot_market_live", "binance", "BTC/USDT"] == 0)


async def test_a_strategy_that_has_failed_is_shown(stage: Stage, bots: StartBot) -> None:
    """The one; not the other."""

    def stopped(found: Numbers) -> bool:
        return found["bot_strategy_stopped", BROKEN] == 1

    async with bots(f"{INSISTENT}:0.002,{BROKEN}:0.002") as bot:

        async def has_failed() -> bool:
            await stage.ticker()
            return stopped(await bot.metrics())

        await eventually_async(has_failed)
        found = await bot.metrics()
    assert found["bot_strategy_stopped", INSISTENT] == 0
