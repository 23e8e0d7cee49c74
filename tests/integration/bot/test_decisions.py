"""What becomes of a strategy's intents: a real bot on a real Redis, its connectors played."""

from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from common_models.stream_names import HALT
from services._local.redis_server import RedisServer
from tests.integration.bot.conftest import StartBot
from tests.support.bot.indicator_host import hosting, market, publish
from tests.support.bot.process import Bot, running_bot
from tests.support.bot.stage import Stage, ago
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.halt import resume

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

PLUGINS = "tests.support.bot.strategies"
INSISTENT = f"{PLUGINS}.Insistent:binance:BTC/USDT:0.002"
FICKLE = f"{PLUGINS}.Fickle:binance:BTC/USDT:0.002"
ASKING = f"{PLUGINS}.Asking:binance:BTC/USDT:0.002"


async def test_no_second_order_while_one_is_pending(stage: Stage, bots: StartBot) -> None:
    """Until the first has ended; each refusal says what it waits for."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.ticker()
        first = await stage.command()
        await stage.ticker()
        refused = await bot.refusal("pending")
        assert refused.refusal == f"order {first.client_order_id} is sent"
        await stage.answer(first, "accepted")
        await stage.became(first, "partially_filled", 0.001)
        await bot.decision(lambda each: each.order_status == "partially_filled")
        await stage.ticker()
        assert [c.client_order_id for c in await stage.commands()] == [first.client_order_id]
        await stage.became(first, "filled", 0.002)
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.ticker()
        second = await stage.command(2)
        assert second.client_order_id != first.client_order_id


async def test_a_strategy_cancels_its_order(stage: Stage, bots: StartBot) -> None:
    """Once, though it insists; halted or not; and when that is done it may want another."""
    async with bots(FICKLE) as bot:
        await bot.until_ready()
        await stage.ticker()
        first = await stage.command()
        await stage.answer(first, "accepted")
        await bot.decision(lambda each: each.outcome == "answered")
        await stage.redis.set(HALT, "for the test")
        entry_id = await stage.ticker()
        told = await bot.decision(lambda each: each.outcome == "cancel_sent")
        assert (told.decision_id, told.reason) == (first.client_order_id, "no longer")
        assert told.caused_by == [f"binance:BTCUSDT:ticker {entry_id}"]
        assert told.command_stream == "binance_connector:commands:cancel_order"
        await stage.ticker()
        await resume(stage.redis)
        await stage.became(first, "canceled")
        await bot.decision(lambda each: each.order_status == "canceled")
        assert await stage.cancels() == [first.client_order_id]
        await stage.ticker()
        assert (await stage.command(2)).client_order_id != first.client_order_id


async def test_a_bot_that_observes_sends_no_cancel_either(stage: Stage, bots: StartBot) -> None:
    """Not even for an order of an earlier run, which traded."""
    async with bots(FICKLE) as bot:
        await bot.until_ready()
        await stage.ticker()
        first = await stage.command()
        await stage.answer(first, "accepted")
        await bot.decision(lambda each: each.outcome == "answered")
        assert await bot.service.end() == 0
    async with bots(FICKLE, BOT_MODE="observe") as bot:
        await bot.until_ready()
        await stage.ticker()
        told = await bot.decision(lambda each: each.outcome == "cancel_dropped")
        assert (told.decision_id, told.command_stream) == (first.client_order_id, None)
        assert await stage.cancels() == []


async def test_an_order_that_ended_is_not_cancelled(stage: Stage, bots: StartBot) -> None:
    """There is nothing to cancel: what it wants then is another order."""
    async with bots(FICKLE) as bot:
        await bot.until_ready()
        await stage.ticker()
        await stage.fill(await stage.command())
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.ticker()
        await stage.command(2)
        assert await stage.cancels() == []


async def test_a_rejected_order_is_over_and_the_next_waits(stage: Stage, bots: StartBot) -> None:
    """The answer's reason is told in the chain; the same isn't sent again at each ticker."""
    async with bots(INSISTENT, RISK_ORDERS_PER_MINUTE="1") as bot:
        await bot.until_ready()
        await stage.ticker()
        first = await stage.command()
        await stage.answer(first, "rejected", reason_code="price_collar", error_message="too far")
        told = await bot.decision(lambda each: each.outcome == "answered")
        assert (told.order_status, told.reason_code, told.refusal) == (
            *("rejected", "price_collar"),
            "too far",
        )

        async def next_is_sent() -> bool:
            await stage.ticker()
            return len(await stage.commands()) == 2

        await eventually_async(next_is_sent)  # the rejected one has used up no pace
        (refused,) = [d for d in await bot.decisions() if d.reason_code == "backing_off"]
        assert "the last buy was rejected (price_collar: too far)" in str(refused.refusal)
        second = await bot.decision(
            lambda each: each.outcome == "sent" and each.decision_id != first.client_order_id
        )
        assert (second.timestamp - told.timestamp).total_seconds() > 4.5


RSI = "rsi_reversion:binance:BTC/USDT:0.002"


async def test_a_signal_that_was_stale_is_acted_on_when_it_is_fresh(
    stage: Stage, bots: StartBot
) -> None:
    """As after a quiet market: what holds still with the next value isn't lost; nor is an exit."""
    async with bots(RSI) as bot:
        await bot.until_ready()
        await stage.indicator(5.15, timestamp=ago(31.7), timeframe="10s")
        assert "31.7 s old" in str((await bot.refusal("stale_indicator")).refusal)
        await stage.indicator(5.15, timestamp=ago(1.7), timeframe="10s")
        await stage.fill(await stage.command())
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.indicator(5.15)
        await stage.indicator(75, timestamp=ago(31.7), timeframe="10s")
        await bot.decision(lambda each: (each.side, each.outcome) == ("sell", "refused"))
        await stage.indicator(75)
        assert [(await stage.command(number)).side for number in (1, 2)] == ["buy", "sell"]


async def test_a_signal_outlives_a_halt_and_an_order_that_was_rejected(
    stage: Stage, bots: StartBot
) -> None:
    """The first value after either is acted on."""
    await stage.redis.set(HALT, "lunch")
    async with bots(RSI) as bot:
        await bot.until_ready()
        await stage.indicator(20)
        await bot.refusal("halted")
        await resume(stage.redis)

        async def sent(number: int) -> bool:
            await stage.indicator(20)
            return len(await stage.commands()) == number

        await eventually_async(partial(sent, 1))
        await stage.answer(await stage.command(), "rejected", reason_code="expired")
        await bot.decision(lambda each: each.order_status == "rejected")
        await eventually_async(partial(sent, 2))
        await stage.fill(await stage.command(2))
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.indicator(20)
        await stage.indicator(75)
        assert (await stage.command(3)).side == "sell"


@pytest.mark.parametrize(
    ("limit", "reason_code"),
    [
        ({"RISK_MAX_QUANTITY": "BTC:0.001"}, "max_quantity"),
        ({"RISK_MAX_QUANTITY": "ETH:1"}, "max_quantity"),
        ({"RISK_MAX_NOTIONAL": "USDT:0.1"}, "max_notional"),
        ({"RISK_MAX_POSITION": "USDT:0.1"}, "max_position"),
        ({"RISK_MAX_DAILY_LOSS": "ZAR:1"}, "max_daily_loss"),
    ],
)
async def test_an_order_over_a_limit_is_refused_by_its_name(
    stage: Stage, bots: StartBot, limit: dict[str, str], reason_code: str
) -> None:
    """Nothing is sent, and the refusal names the limit."""
    async with bots(INSISTENT, **limit) as bot:
        await bot.until_ready()
        await stage.ticker()
        refused = await bot.refusal(reason_code)
        assert next(iter(limit)) in str(refused.refusal)
        assert await stage.commands() == []


async def test_a_price_far_off_the_market_is_refused(stage: Stage, bots: StartBot) -> None:
    """A limit buy at twice the price."""
    async with bots(f"{PLUGINS}.Distant:binance:BTC/USDT:0.002") as bot:
        await bot.until_ready()
        await stage.ticker()
        assert "RISK_PRICE_COLLAR" in str((await bot.refusal("price_collar")).refusal)
        assert await stage.commands() == []


async def test_orders_a_minute_are_counted_over_a_restart(stage: Stage, bots: StartBot) -> None:
    """A bot that starts anew has sent what it sent."""
    async with bots(INSISTENT, RISK_ORDERS_PER_MINUTE="1") as bot:
        await bot.until_ready()
        await stage.ticker()
        await stage.fill(await stage.command())
        await bot.decision(lambda each: each.order_status == "filled")
        assert await bot.service.end() == 0
    async with bots(INSISTENT, RISK_ORDERS_PER_MINUTE="1") as bot:
        await bot.until_ready()
        await stage.ticker()
        assert "RISK_ORDERS_PER_MINUTE" in str((await bot.refusal("orders_per_minute")).refusal)
        assert len(await stage.commands()) == 1


@pytest.mark.parametrize("state", ["stale", "syncing"])
async def test_a_stale_market_blocks(stage: Stage, bots: StartBot, state: str) -> None:
    """What the connector doesn't stand for isn't traded on."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.status(state)
        await eventually_async(lambda: _waits_for_market(bot, state))
        await stage.ticker()
        assert "told so" in str((await bot.refusal("stale_market")).refusal)
        assert await stage.commands() == []


async def test_a_stale_indicator_blocks(stage: Stage, bots: StartBot) -> None:
    """None, one made long ago, and one of a candle that is over; a fresh one lets it go."""
    async with bots(ASKING) as bot:
        await bot.until_ready()
        await stage.ticker()
        assert "no value yet" in str((await bot.refusal("stale_indicator")).refusal)
        await stage.indicator(50, timestamp=ago(15))

        async def why() -> list[str | None]:
            await stage.ticker()
            return [each.refusal for each in await bot.decisions()]

        async def told_again() -> bool:
            return len(await why()) > 1

        await eventually_async(told_again)
        assert "s old; expected at most 10 s" in str((await why())[1])
        assert len(await why()) == 2
        assert await stage.commands() == []
        await stage.indicator(50, timestamp=ago(15), timeframe="1m")
        await stage.ticker()
        await stage.command()


async def test_stale_says_how_many_values_are_missing(
    stage: Stage, bots: StartBot, redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """With a real indicator host: in the refusal, and of each strategy on its page."""
    rsi = "binance:BTC/USDT:rsi_14@trade"
    trades = market()
    async with bots(ASKING) as bot, hosting(redis_server.url, tmp_path / "i", rsi) as host:
        await host.until_ready()
        await publish(redis, trades, 7)

        async def told() -> bool:
            await stage.ticker()
            refusals = [str(each.refusal) for each in await bot.decisions()]
            return any("8 trades are missing, it has 7 of 15" in each for each in refusals)

        await eventually_async(told, within=40)
        (strategy,) = (await bot.portfolio()).strategies
        assert strategy.waits_for == (
            "indicators:rsi_14:binance:BTCUSDT: no value yet; 8 trades are missing, it has 7 of 15"
        )
        await publish(redis, trades, 8)

        async def waits_no_more_for_a_first() -> bool:
            (strategy,) = (await bot.portfolio()).strategies
            return "no value yet" not in str(strategy.waits_for)

        await eventually_async(waits_no_more_for_a_first)


async def test_an_indicator_that_is_not_computed_says_what_to_do(
    stage: Stage, bots: StartBot
) -> None:
    """INDICATORS must name it."""
    async with bots(ASKING) as bot:
        await bot.until_ready()
        await stage.ticker()
        refused = await bot.refusal("stale_indicator")
        assert "INDICATORS must name binance:BTC/USDT:rsi_14" in str(refused.refusal)


async def test_halt_stops_new_orders_and_resuming_lets_them_go(
    stage: Stage, bots: StartBot
) -> None:
    """The reason is told; a halt outlives a restart."""
    await stage.redis.set(HALT, "lunch")
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.ticker()
        assert (await bot.refusal("halted")).refusal == "trading is halted: lunch"
        assert (await bot.portfolio()).halted == "lunch"
        assert await stage.commands() == []
        await resume(stage.redis)

        async def goes() -> bool:
            await stage.ticker()
            return bool(await stage.commands())

        await eventually_async(goes)


async def test_a_strategy_that_fails_is_stopped_and_the_rest_go_on(
    stage: Stage, bots: StartBot
) -> None:
    """Whatever it fails with, it is named on /ready, and nobody else suffers."""
    bad = ["Answering", "Crashing", "Forgetful", "Mumbling", "Unborn"]
    specs = [f"{PLUGINS}.{name}:binance:BTC/USDT:0.001" for name in bad]
    async with bots(",".join([*specs, INSISTENT])) as bot:

        async def all_named() -> bool:
            await stage.ticker()
            said = await bot.part("strategies")
            return all(f"{PLUGINS}.{name}" in said for name in bad)

        await eventually_async(all_named)
        said = await bot.part("strategies")
        for why in (
            *("a strategy's own fault", "no such model", "expected an Intent, a Cancel, a list of"),
            "on_refused returned Intent",
        ):
            assert why in said
        assert "Insistent" not in said
        assert [c.quantity for c in await stage.commands()] == [0.002]
        assert len(bot.logged("strategy_stopped")) == len(bad)


async def test_observing_decides_and_sends_nothing(stage: Stage, bots: StartBot) -> None:
    """The default: what it would have sent is told."""
    async with bots(INSISTENT, BOT_MODE="") as bot:
        await bot.until_ready()
        await stage.ticker()
        told = await bot.decision(lambda each: each.outcome == "observed")
        assert (told.mode, told.command_stream) == ("observe", None)
        assert (await bot.portfolio()).mode == "observe"
        assert await stage.commands() == []


async def test_paper_refuses_real_money_and_a_connector_that_does_not_trade(
    stage: Stage, bots: StartBot
) -> None:
    """What the connector says of itself counts."""
    await stage.status(world="live")
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.ticker()
        assert "expected simulator or testnet" in str((await bot.refusal("wrong_world")).refusal)
        await stage.status(trading=False, reason_code="no_credentials")

        async def refused() -> bool:
            await stage.ticker()
            codes = [each.reason_code for each in await bot.decisions()]
            return "connector_not_trading" in codes

        await eventually_async(refused)
        assert await stage.commands() == []


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"BOT_MODE": "live"}, "LIVE_TRADING=yes-i-mean-it is required"),
        ({"BOT_MODE": "yes"}, "BOT_MODE='yes'"),
        ({"STRATEGIES": "rsi:binance:BTC/USDT:1"}, "expected one of do_nothing, price_difference,"),
    ],
)
async def test_settings_that_cannot_be_used_end_it_with_one_clear_error(
    redis: Redis,
    redis_server: RedisServer,
    tmp_path: Path,
    settings: dict[str, str],
    error: str,
) -> None:
    """Exit code 1, before anything is read or sent."""
    async with running_bot(redis, redis_server.url, tmp_path / "bot", **settings) as bot:
        await eventually(lambda: bot.service.exited)
        assert bot.service.process.returncode == 1
        assert error in bot.service.log.read_text()


async def _waits_for_market(bot: Bot, state: str) -> bool:
    return f"{state}: told so" in await bot.part("market_data")
