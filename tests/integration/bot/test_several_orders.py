"""Strategies with more than one open order: a real bot on a real Redis, its connectors played."""

import msgspec
import pytest

from common_models import PlaceOrderCommand
from services.bot.decision_maker import decision_id
from services.bot.dispatcher import cause_of
from tests.integration.bot.conftest import StartBot
from tests.support.bot.process import Bot, known
from tests.support.bot.stage import Stage
from tests.support.eventually import eventually, eventually_async

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

LADDER = "tests.support.bot.strategies.Ladder:binance:BTC/USDT:0.002"
RUNG, ALL = 90.0, 80.0  # the last prices at which it cancels one order, and all


async def laid(stage: Stage, number: int = 3) -> list[PlaceOrderCommand]:
    """The orders of a ladder, once they are commanded."""
    await stage.ticker()
    return [await stage.command(each) for each in range(1, number + 1)]


async def open_ids(bot: Bot) -> list[str]:
    """The orders that the bot says may still trade."""
    return [each.client_order_id for each in (await bot.portfolio()).open_orders]


async def refusals(bot: Bot) -> list[str | None]:
    """Why intents were refused."""
    return [each.reason_code for each in await bot.decisions() if each.outcome == "refused"]


async def test_a_ladder_of_orders_rests_and_each_is_known_by_its_own_id(
    stage: Stage, bots: StartBot
) -> None:
    """One message leads to three orders; what becomes of one changes nothing of the others."""
    async with bots(LADDER) as bot:
        await bot.until_ready()
        orders = await laid(stage)
        assert [order.price for order in orders] == [100, 99, 98]
        first, second, third = (order.client_order_id for order in orders)
        assert len({first, second, third}) == 3
        for order in orders:
            await stage.answer(order, "accepted")
            await stage.became(order, "open")
        await stage.ticker()
        await stage.became(orders[1], "partially_filled", 0.0005)

        async def counted() -> bool:
            positions = (await bot.portfolio()).positions
            return [each.quantity for each in positions] == [0.0005]

        await eventually_async(counted)
        assert await open_ids(bot) == [first, second, third]
        await stage.became(orders[1], "filled", 0.002)
        await bot.decision(lambda each: each.order_status == "filled")
        assert await open_ids(bot) == [first, third]
        await stage.ticker()
        again = await stage.command(4)
        assert again.price == 99
        assert len({first, second, third, again.client_order_id}) == 4
        state = await saved_state(stage, "told", 8)
        assert [second, "filled"] in state["told"]
        assert await refusals(bot) == []


async def test_one_of_several_orders_is_cancelled_by_its_id_and_all_without_one(
    stage: Stage, bots: StartBot
) -> None:
    """The others stay; until it is cancelled an order counts."""
    async with bots(LADDER) as bot:
        await bot.until_ready()
        orders = await laid(stage)
        for order in orders:
            await stage.became(order, "open")
        ids = [order.client_order_id for order in orders]
        await stage.ticker(RUNG)
        await eventually_async(lambda: cancelled(stage, ids[:1]))
        assert await open_ids(bot) == ids
        await stage.became(orders[0], "canceled")
        await bot.decision(lambda each: each.order_status == "canceled")
        await stage.ticker(ALL)
        await eventually_async(lambda: cancelled(stage, ids))
        told = [each.decision_id for each in await bot.decisions() if each.outcome == "cancel_sent"]
        assert told == ids


async def test_orders_beyond_what_the_strategy_may_have_open_are_refused(
    stage: Stage, bots: StartBot
) -> None:
    """Each by itself: the strategy is told which; one whose outcome is unknown is one of them."""
    async with bots(f"{LADDER}?max_orders=2") as bot:
        await bot.until_ready()
        orders = await laid(stage, 2)
        told = await bot.refusal("pending")
        for order in orders:
            assert f"order {order.client_order_id} is " in str(told.refusal)
        state = await saved_state(stage, "refused", 1)
        assert state["refused"] == [["pending", "98"]]
        await stage.answer(orders[0], "unknown")
        await bot.decision(lambda each: each.order_status == "unknown")
        await stage.ticker()
        await saved_state(stage, "refused", 2)
        assert len(await stage.commands()) == 2
        await stage.became(orders[1], "canceled")
        await bot.decision(lambda each: each.order_status == "canceled")
        await stage.ticker()
        assert (await stage.command(3)).price == 99
        assert orders[0].client_order_id in await open_ids(bot)


@pytest.mark.parametrize(
    ("limit", "reason_code", "sent"),
    [
        ({"RISK_MAX_OPEN_ORDERS": "2"}, "max_open_orders", 2),
        ({"RISK_ORDERS_PER_MINUTE": "2"}, "orders_per_minute", 2),
        # 0.002 at about 100 each.
        ({"RISK_MAX_POSITION": "USDT:0.3"}, "max_position", 1),
    ],
)
async def test_each_of_several_orders_counts_for_the_limits(
    stage: Stage, bots: StartBot, limit: dict[str, str], reason_code: str, sent: int
) -> None:
    """Those of the same message, too."""
    async with bots(LADDER, **limit) as bot:
        await bot.until_ready()
        await stage.ticker()
        await bot.refusal(reason_code)
        assert len(await stage.commands()) == sent


async def test_a_bid_and_an_ask_rest_beside_each_other(stage: Stage, bots: StartBot) -> None:
    """Neither makes room for the other; the trade of one leaves the other open."""
    async with bots(f"{LADDER}?levels=1&ask=104") as bot:
        await bot.until_ready()
        bid, ask = await laid(stage, 2)
        assert (bid.side, bid.price, ask.side, ask.price) == ("buy", 100, "sell", 104)
        for order in (bid, ask):
            await stage.became(order, "open")
        await stage.became(bid, "filled", 0.002)
        await bot.decision(lambda each: each.order_status == "filled")
        assert await open_ids(bot) == [ask.client_order_id]
        await stage.became(ask, "filled", 0.002, price=104.0)

        async def even() -> bool:
            return [each.quantity for each in (await bot.portfolio()).positions] == [0]

        await eventually_async(even)


async def test_killed_before_its_orders_are_written_it_decides_the_same_again(
    stage: Stage, bots: StartBot
) -> None:
    """All of them, under the same ids, once."""
    async with bots(LADDER) as bot:
        await bot.until_ready()
        await eventually_async(lambda: stage.redis.exists("bot:state:positions"))
        await bot.service.end()
    cause = cause_of("binance:BTCUSDT:ticker", await stage.ticker())
    wanted = [decision_id(LADDER.rpartition(":")[0], cause, number) for number in range(3)]
    patient = {"BOT_DECISION_MAX_AGE": "60"}
    async with bots(LADDER, FAILPOINT="before_command", **patient) as bot:
        await eventually(lambda: bot.service.exited)
    assert await stage.commands() == []
    async with bots(LADDER, **patient) as bot:
        orders = [await stage.command(number) for number in (1, 2, 3)]
        await bot.until_ready()
        ids = [order.client_order_id for order in orders]
        assert ids == wanted
        assert await open_ids(bot) == ids
        await stage.ticker()
        await stage.ticker(RUNG)
        await eventually_async(lambda: cancelled(stage, ids[:1]))
        assert len(await stage.commands()) == 3


async def test_killed_after_its_orders_are_written_it_sends_none_again_and_asks_about_each(
    stage: Stage, bots: StartBot
) -> None:
    """The next run knows them all; one that is lost leaves the others as they are."""
    quick = {
        "ORDER_COMMAND_MAX_AGE": "0.2",
        "ORDER_VALIDITY": "0.1",
        "ORDER_RESOLVE_MARGIN": "0.2",
        "ORDER_MISSED_FOR": "0.1",
    }
    async with bots(LADDER, FAILPOINT="after_journal_write:kill:4") as bot:
        await bot.until_ready()

        async def killed() -> bool:
            await stage.ticker()
            return bot.service.exited

        await eventually_async(killed)
    orders = await stage.commands()
    ids = [order.client_order_id for order in orders]
    assert len(set(ids)) == len(ids) == 3
    async with bots(LADDER, **quick) as bot:
        await bot.until_ready()
        assert await open_ids(bot) == ids
        for order in orders[1:]:
            await stage.became(order, "open")
        answered = 0

        async def lost() -> bool:
            nonlocal answered
            queries = await stage.queries()
            for query in queries[answered:]:
                found = query.client_order_id != ids[0]
                await stage.answer_query(query, "done" if found else "rejected")
            answered = len(queries)
            return await open_ids(bot) == ids[1:]

        await eventually_async(lost, within=40)
        assert {query.client_order_id for query in await stage.queries()} == set(ids)
        told = await bot.decision(lambda each: each.outcome == "lost")
        assert told.decision_id == ids[0]
        assert len(await stage.commands()) == 3


async def cancelled(stage: Stage, ids: list[str]) -> bool:
    """Whether the ends of these orders were commanded, and of no others."""
    return await stage.cancels() == ids


async def saved_state(stage: Stage, what: str, least: int) -> dict[str, list[list[str]]]:
    """The strategy's saved state, once it has noted so much."""
    found: dict[str, list[list[str]]] = {}

    async def noted() -> bool:
        (state,) = (await known(stage.redis)).states.values()
        found.clear()
        found.update(msgspec.json.decode(state))
        return len(found.get(what, [])) >= least

    await eventually_async(noted)
    return found
