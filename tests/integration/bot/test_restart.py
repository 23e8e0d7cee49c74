"""A bot that ends, in whatever way, and the one that comes after it."""

import signal

import msgspec
import pytest
from redis.asyncio import Redis

from common_models import QueryOrderCommand
from services.bot.journal import POSITIONS, SAVED_STATE
from tests.integration.bot.conftest import StartBot
from tests.support.bot.process import known
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually, eventually_async

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

PLUGINS = "tests.support.bot.strategies"
INSISTENT = f"{PLUGINS}.Insistent:binance:BTC/USDT:0.002"
WATCHING = f"{PLUGINS}.Watching:binance:BTC/USDT:0.002"


async def watching_state(stage: Stage) -> dict[str, object]:
    """What the watching strategy has saved; empty before it saved anything."""
    if not await stage.redis.exists(SAVED_STATE):
        return {}
    states = (await known(stage.redis)).states
    found: dict[str, object] = msgspec.json.decode(next(iter(states.values()), b"{}"))
    return found


async def until_state(stage: Stage, **wanted: object) -> None:
    """Wait until the watching strategy has saved this."""

    async def saved() -> bool:
        state = await watching_state(stage)
        return {name: state.get(name) for name in wanted} == wanted

    await eventually_async(saved)


async def test_killed_before_a_decision_is_written_it_decides_the_same_again(
    stage: Stage, bots: StartBot
) -> None:
    """The same entry leads to the same decision, under the same id, once."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await eventually_async(lambda: stage.redis.exists(POSITIONS))
        await bot.service.end()
    entry_id = await stage.ticker()
    async with bots(INSISTENT, BOT_DECISION_MAX_AGE="60", FAILPOINT="before_journal_write") as bot:
        await eventually(lambda: bot.service.exited)
    assert await stage.commands() == []
    async with bots(INSISTENT, BOT_DECISION_MAX_AGE="60") as bot:
        command = await stage.command()
        told = await bot.decision(lambda each: each.outcome == "sent")
        assert told.decision_id == command.client_order_id
        assert told.caused_by == [f"binance:BTCUSDT:ticker {entry_id}"]


async def test_killed_after_a_decision_is_written_it_does_not_send_it_again(
    stage: Stage, bots: StartBot
) -> None:
    """The next one knows the order, and that it is pending."""
    async with bots(INSISTENT, FAILPOINT="after_journal_write:kill:4") as bot:
        await bot.until_ready()

        async def killed() -> bool:
            await stage.ticker()
            return bot.service.exited

        await eventually_async(killed)
    first = await stage.command()
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        (order,) = (await bot.portfolio()).open_orders
        assert (order.client_order_id, order.state) == (first.client_order_id, "sent")
        await stage.ticker()
        await bot.refusal("pending")
        assert await stage.commands() == [first]
        await stage.fill(first)  # a ticker that is read after it may be traded on
        await bot.decision(lambda each: each.order_status == "filled")
        assert (await stage.commands()).count(first) == 1


async def test_a_decision_that_is_too_old_is_dropped_with_a_reason(
    stage: Stage, bots: StartBot
) -> None:
    """What was read too late isn't traded on."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await eventually_async(lambda: stage.redis.exists(POSITIONS))
        await bot.service.end()
    await old_enough(stage, await stage.ticker())
    async with bots(INSISTENT, BOT_DECISION_MAX_AGE="0.5") as bot:
        refused = await bot.refusal("stale_decision")
        assert "BOT_DECISION_MAX_AGE allows 0.5 s" in str(refused.refusal)
        assert await stage.commands() == []


async def test_a_decision_dropped_by_a_kill_does_not_use_up_the_signal(
    stage: Stage, bots: StartBot
) -> None:
    """Its strategy is told by the next run, and acts on the next value."""
    rsi = "rsi_reversion:binance:BTC/USDT:0.002"
    async with bots(rsi) as bot:
        await bot.until_ready()
        await eventually_async(lambda: stage.redis.exists(POSITIONS))
        await bot.service.end()
    await old_enough(stage, await stage.indicator(20))
    late = {"BOT_DECISION_MAX_AGE": "0.5", "FAILPOINT": "before_refusal"}
    async with bots(rsi, **late) as bot:
        await eventually(lambda: bot.service.exited, within=40)
    (kept,) = (await known(stage.redis)).state.orders.values()
    assert kept.state == "refused"
    async with bots(rsi) as bot:
        await bot.until_ready()
        await stage.indicator(20)
        assert (await stage.command()).side == "buy"
        assert [each.outcome for each in await bot.decisions()] == ["refused", "sent"]


async def old_enough(stage: Stage, entry_id: str) -> None:
    """Wait until an entry is more than half a second old."""

    async def is_old() -> bool:
        seconds, microseconds = await stage.redis.time()
        milliseconds = seconds * 1000 + microseconds // 1000
        return bool(milliseconds > int(entry_id.partition("-")[0]) + 500)

    await eventually_async(is_old)


async def test_what_came_while_it_was_away_is_counted_once(stage: Stage, bots: StartBot) -> None:
    """Trades, values, fills and balances; the strategy's own memory goes on where it was."""
    async with bots(WATCHING) as bot:
        await bot.until_ready()
        await stage.indicator(50)
        await until_state(stage, values=1)
        await stage.ticker()
        order = await stage.command()
        await stage.trade()
        await stage.became(order, "partially_filled", 0.0005)
        await until_state(stage, tickers=1, trades=1, values=1)
        await bot.decision(lambda each: each.order_status == "partially_filled")
        await bot.service.end(signal.SIGKILL)
    for _ in range(3):
        await stage.trade()
    await stage.indicator(60)
    await stage.became(order, "partially_filled", 0.0005)
    await stage.became(order, "filled", 0.002)
    await stage.balance("BTC", 1.25)
    for _ in range(2):
        async with bots(WATCHING) as bot:
            await bot.until_ready()
            wanted = [["partially_filled", "0.0005"]] * 2 + [["filled", "0.002"]]
            await until_state(stage, tickers=1, trades=4, values=2, orders=wanted)
            (position,) = (await bot.portfolio()).positions
            assert position.quantity == 0.002
            await bot.service.end(signal.SIGKILL)
    balances = (await known(stage.redis)).balances
    assert [(each.asset, each.free) for each in balances] == [("BTC", 1.25)]


async def test_it_is_ready_at_once_on_what_the_streams_still_hold(
    stage: Stage, bots: StartBot
) -> None:
    """In a quiet market nothing new comes, and what came last is still true."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await bot.service.end()
    async with bots(INSISTENT) as bot:
        await bot.until_ready()


async def test_two_bots_on_one_redis_do_not_get_along(stage: Stage, bots: StartBot) -> None:
    """The one that finds another's hand in its books ends, and says why."""
    async with bots(INSISTENT) as first, bots(INSISTENT) as second:

        async def one_has_ended() -> bool:
            return first.service.exited or second.service.exited

        await eventually_async(one_has_ended)
        ended = first if first.service.exited else second
        assert ended.service.process.returncode == 1
        assert "expected one bot for one Redis" in ended.logged("service_failed")[0]["error"]


async def test_an_invalid_saved_state_ends_the_bot(
    stage: Stage, redis: Redis, bots: StartBot
) -> None:
    """Nobody trades on books that are guessed."""
    await stage.redis.hset(SAVED_STATE, mapping={"revision": "x:1", "rest": "{"})
    async with bots(INSISTENT) as bot:
        await eventually(lambda: bot.service.exited)
        assert f"{SAVED_STATE} can't be read" in bot.logged("service_failed")[0]["error"]


async def test_a_redis_that_lost_data_gets_the_saved_state_again(
    stage: Stage, bots: StartBot
) -> None:
    """What it holds isn't lost with the server's memory."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.ticker()
        order = await stage.command()
        await stage.fill(order)
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.redis.flushall()
        await eventually_async(lambda: stage.redis.exists(SAVED_STATE))
        books = (await known(stage.redis)).state
        assert books.orders[order.client_order_id].state == "filled"
        assert bot.logged("saved_state_missing")


async def test_a_redis_that_went_back_to_the_previous_run_gets_the_saved_state_again(
    stage: Stage, bots: StartBot
) -> None:
    """Those are the books that this run began from: no other bot writes them."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await eventually_async(lambda: stage.redis.exists(SAVED_STATE))
        earlier = await stage.redis.hgetall(SAVED_STATE)

        async def written_again() -> bool:
            return bool(await stage.redis.hget(SAVED_STATE, "revision") != earlier[b"revision"])

        await eventually_async(written_again)
        assert await bot.service.end() == 0
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.ticker()
        order = await stage.command()
        await stage.redis.delete(SAVED_STATE)
        await stage.redis.hset(SAVED_STATE, mapping=earlier)

        async def knows_it_again() -> bool:
            return order.client_order_id in (await known(stage.redis)).state.orders

        await eventually_async(knows_it_again)
        assert bot.logged("saved_state_missing")
        assert (await bot.get("/health"))["code"] == 200


async def test_events_that_were_trimmed_away_are_asked_for(stage: Stage, bots: StartBot) -> None:
    """Of each order that is still open; what comes then is booked as ever."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        await stage.ticker()
        order = await stage.command()
        await stage.answer(order, "accepted")
        await bot.decision(lambda each: each.outcome == "answered")
        assert await bot.service.end() == 0
    await stage.became(order, "open")
    await stage.redis.xtrim("binance_connector:events:order_status", maxlen=0)
    queries = "binance_connector:commands:query_order"
    async with bots(INSISTENT) as bot:
        await eventually_async(lambda: stage.redis.xlen(queries))
        ((_, fields),) = await stage.redis.xrange(queries)
        query = QueryOrderCommand.model_validate_json(fields[b"data"])
        assert query.client_order_id == order.client_order_id
        await stage.became(order, "filled", order.quantity)
        await bot.decision(lambda each: each.order_status == "filled")
        assert len(await stage.commands()) == 1
