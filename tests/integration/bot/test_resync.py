"""An order of which nothing comes: a real bot on a real Redis, whose connectors are played."""

import signal

import msgspec
import pytest

from common_models import PlaceOrderCommand
from services.bot.journal import SAVED_STATE
from tests.integration.bot.conftest import StartBot
from tests.support.bot.process import Bot, known
from tests.support.bot.stage import COMMANDS, Stage
from tests.support.eventually import eventually_async

# Several processes start in each of them.
pytestmark = pytest.mark.timeout(180)

PLUGINS = "tests.support.bot.strategies"
INSISTENT = f"{PLUGINS}.Insistent:binance:BTC/USDT:0.002"
WATCHING = f"{PLUGINS}.Watching:binance:BTC/USDT:0.002"
# An order is asked about each second, and can no longer be carried out after 1.2.
SMALL_WAITS = {
    "ORDER_COMMAND_MAX_AGE": "0.9",
    "ORDER_VALIDITY": "0.1",
    "ORDER_RESOLVE_MARGIN": "0.1",
    "ORDER_MISSED_FOR": "0.1",
}
LOST_AFTER = 1.2


async def sent_order(stage: Stage) -> PlaceOrderCommand:
    """An order of the bot's, that is in its stream."""
    await stage.ticker()
    return await stage.command()


async def deny(stage: Stage, bot: Bot) -> str:
    """Say of each question that there is no such order, until the bot gives it up; its event."""
    answered = 0

    async def given_up() -> bool:
        nonlocal answered
        for query in (await stage.queries())[answered:]:
            await stage.answer_query(query)
            answered += 1
        return any(each.outcome == "lost" for each in await bot.decisions())

    await eventually_async(given_up, within=30.0)
    assert answered >= 3
    told = await bot.decision(lambda each: each.outcome == "lost")
    assert told.told_by
    return told.model_dump_json()


async def test_a_command_that_redis_lost_is_given_up_and_never_sent_again(
    stage: Stage, bots: StartBot
) -> None:
    """Its strategy goes on with another; this one isn't sent again, by no restart either."""
    async with bots(INSISTENT, **SMALL_WAITS) as bot:
        await bot.until_ready()
        first = await sent_order(stage)
        await stage.redis.delete(COMMANDS)
        await deny(stage, bot)
        told = await bot.decision(lambda each: each.outcome == "lost")
        assert told.decision_id == first.client_order_id
        assert (told.reason_code, told.order_status) == ("command_lost", "lost")
        assert "Order does not exist" in str(told.refusal)
        assert str(told.told_by).startswith("binance_connector:events:command_response ")
        lost_at = int(str(told.told_by).rpartition(" ")[2].partition("-")[0]) / 1000
        order = (await known(stage.redis)).state.orders[first.client_order_id]
        assert lost_at - order.sent_at > LOST_AFTER
        assert (await bot.portfolio()).open_orders == []
        (line,) = bot.logged("order_lost")
        assert line["id"] == first.client_order_id
        assert {query.client_order_id for query in await stage.queries()} == {first.client_order_id}
        assert await bot.service.end() == 0
    async with bots(INSISTENT, **SMALL_WAITS) as bot:
        await bot.until_ready()
        order = (await known(stage.redis)).state.orders[first.client_order_id]
        assert order.state == "lost"
        await stage.ticker()
        again = await stage.command()
        assert again.client_order_id != first.client_order_id


async def test_the_strategy_is_notified_of_a_lost_order(stage: Stage, bots: StartBot) -> None:
    """By `on_order`, once."""
    async with bots(WATCHING, **SMALL_WAITS) as bot:
        await bot.until_ready()
        await stage.indicator(50)
        await sent_order(stage)
        await stage.redis.delete(COMMANDS)
        await deny(stage, bot)

        async def heard() -> bool:
            states = (await known(stage.redis)).states
            state = msgspec.json.decode(next(iter(states.values()), b"{}"))
            return bool(state.get("orders") == [["lost", "0"]])

        await eventually_async(heard)


async def test_a_restart_goes_on_asking(stage: Stage, bots: StartBot) -> None:
    """An order that was `unknown` when the bot was killed is asked about at once."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        first = await sent_order(stage)
        await stage.answer(first, "unknown")
        await bot.decision(lambda each: each.order_status == "unknown")

        async def saved() -> bool:
            return (await known(stage.redis)).state.orders[first.client_order_id].state == "unknown"

        await eventually_async(saved)
        await bot.service.end(signal.SIGKILL)
    assert await stage.queries() == []
    async with bots(INSISTENT) as bot:  # by the default waits it would be asked after 15 s
        query = await stage.query(1)
        assert query.client_order_id == first.client_order_id
        await stage.became(first, "filled", first.quantity)
        await stage.answer_query(query, "done")
        await bot.decision(lambda each: each.order_status == "filled")
        await stage.ticker()
        await stage.command(2)


async def test_an_order_waits_for_a_connector_without_an_answer_and_says_so(
    stage: Stage, bots: StartBot
) -> None:
    """Without keys nobody knows: the order stays pending, and each refusal says why."""
    async with bots(INSISTENT, **SMALL_WAITS) as bot:
        await bot.until_ready()
        first = await sent_order(stage)
        for number in range(1, 6):
            await stage.answer_query(await stage.query(number), "rejected", "no_credentials")

        async def says_why() -> bool:
            await stage.ticker()
            refusals = [str(each.refusal) for each in await bot.decisions()]
            return any("rejected (no_credentials)" in said for said in refusals)

        await eventually_async(says_why)
        (line,) = bot.logged("order_unresolved")
        assert line["id"] == first.client_order_id
        (order,) = (await bot.portfolio()).open_orders
        assert order.state == "sent"
        await stage.fill(first)
        await bot.decision(lambda each: each.order_status == "filled")


async def test_a_redis_that_went_back_is_a_reason_to_ask(stage: Stage, bots: StartBot) -> None:
    """The books are written again; what the order's command led to may be gone."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        first = await sent_order(stage)
        await stage.answer(first, "accepted")
        await bot.decision(lambda each: each.order_status == "accepted")
        await stage.redis.delete(SAVED_STATE)
        query = await stage.query(1)
        assert query.client_order_id == first.client_order_id
        assert bot.logged("saved_state_missing")


async def test_the_answer_to_anothers_command_leaves_the_order_alone(
    stage: Stage, bots: StartBot
) -> None:
    """Somebody sent the same client order id: the connector refuses that one, not ours."""
    async with bots(INSISTENT) as bot:
        await bot.until_ready()
        first = await sent_order(stage)
        mine = await stage.command_id()

        async def saved() -> bool:
            order = (await known(stage.redis)).state.orders[first.client_order_id]
            return order.command_id == mine

        await eventually_async(saved)
        await stage.answer(first, "accepted", command_id=mine)
        await bot.decision(lambda each: each.order_status == "accepted")
        await stage.answer(first, "rejected", command_id="1-1", reason_code="duplicate_id")
        query = await stage.query(1)  # it is asked about, to be sure
        await stage.became(first, "open")
        await stage.answer_query(query, "done")
        await bot.decision(lambda each: each.order_status == "open")
        (order,) = (await bot.portfolio()).open_orders
        assert order.state == "open"
        assert bot.logged("answer_to_another_command")
        statuses = [each.order_status for each in await bot.decisions()]
        assert "rejected" not in statuses
        await stage.answer(first, "rejected", command_id=mine, reason_code="exchange_rejected")
        await bot.decision(lambda each: each.order_status == "rejected")
