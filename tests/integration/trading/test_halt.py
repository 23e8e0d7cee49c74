"""A halt on real processes: quiet, with orders coming in, on a full Redis, after lost data."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import RedisError

from common_models import ConnectorStatusEvent
from common_models.stream_names import HALT, TRADING, EventStream
from services._connector_kit.orders.risk.halt_watch import HALT_WHEN_FULL_FOR
from tests.integration.tradectl.hand import tradectl
from tests.integration.trading.flood import everything, pour, resting_orders
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.orders.halt import is_halted, late, refused_after
from tests.support.orders.trading import MARKETS, NO_LIMITS, TradingDesk, gather_all

pytestmark = pytest.mark.timeout(240)

# Where the venue makes no difference.
ON_ONE = pytest.mark.parametrize(
    "desk", MARKETS[:1], ids=lambda market: market.venue.name, indirect=True
)
FAST = {**NO_LIMITS, "RISK_MAX_NOTIONAL": "USDT:100000,ZAR:1000000"}


async def status(desk: TradingDesk) -> ConnectorStatusEvent:
    """What the connector said last of itself."""
    redis: Any = desk.redis
    entries = await redis.xrevrange(str(EventStream(desk.name, "connector_status")), count=1)
    return ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])


async def says(desk: TradingDesk, reason_code: str | None) -> None:
    """Wait until the connector says whether it trades."""

    async def said() -> bool:
        event = await status(desk)
        return event.reason_code == reason_code and event.trading == (reason_code is None)

    await eventually_async(said)


async def refused(desk: TradingDesk, price: float) -> str:
    """A new order is refused as halted, and never reaches the venue; the reason."""
    answer = await desk.response(await desk.order(price=price))
    assert (answer.status, answer.reason_code) == ("rejected", "halted"), answer
    assert await desk.arrivals(answer.client_order_id) == 0
    return answer.error_message or ""


async def trades_again(desk: TradingDesk, price: float) -> None:
    """An operator resumes, and new orders are taken."""
    assert (await tradectl(desk.redis_url, "resume", "--by", "ann")).code == 0
    assert b'"by": "ann"' in (await desk.redis.get(TRADING) or b"")
    await says(desk, None)
    assert (await desk.response(await desk.order(price=price))).status == "accepted"


async def pour_orders(desk: TradingDesk, number: int, price: float) -> list[str]:
    """Give so many orders that would rest, at once."""
    orders = resting_orders(desk, number, price)
    await pour(desk.redis, f"{desk.name}:commands:place_order", orders)
    return [order["client_order_id"] for order in orders]


@asynccontextmanager
async def orders_coming_in(desk: TradingDesk, price: float) -> AsyncIterator[None]:
    """While the block runs there is an order, and the next once it was answered."""

    async def keep_sending() -> None:
        while True:
            await desk.response(await desk.order(price=price))

    task = asyncio.create_task(keep_sending())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("flood", [0, 500], ids=["quiet", "flooded"])
async def test_no_order_reaches_the_venue_two_seconds_after_a_halt(
    desk: TradingDesk, flood: int, attempt: Attempts
) -> None:
    """Orders come in all the while; what was open is cancelled, whatever was under way."""
    async with desk.connector(**FAST, ORDER_COMMAND_MAX_AGE="10"):
        price = await desk.far_below()
        await desk.status(await desk.order(price=price), "open")
        for command, contents in everything(desk, flood, price).items():
            await pour(desk.redis, f"{desk.name}:commands:{command}", contents)
        async with orders_coming_in(desk, price):
            await eventually_async(lambda: _accepted(desk, 3))
            halted_at = time.time()
            halted = await tradectl(desk.redis_url, "halt", "a trial", "--timeout", "60")
            # In a flood it may take longer to find out what became of orders under way.
            assert halted.code == 0 or (flood and "orders_unresolved" in halted.out), halted
            await eventually_async(lambda: refused_after(desk, halted_at), within=60.0)
        too_late = await late(desk, halted_at)
        actor = "bot that floods" if flood else "bot in a loop"
        attempt(actor, "have an order reach the venue 2 s after a halt", too_late)
        assert not too_late
        orders = (await desk.ledger())["orders"]
        assert {order["state"] for order in orders} == {"canceled"}
        await says(desk, "halted")
        if not flood:
            await trades_again(desk, price)


async def _accepted(desk: TradingDesk, count: int) -> bool:
    return len((await desk.ledger())["orders"]) >= count


async def test_an_order_that_is_looked_up_first_does_not_leave_after_a_halt(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """On a new Redis each order is looked for before it is sent: the halt comes meanwhile."""
    async with desk.connector():
        price = await desk.far_below()
        placed = [uuid4().hex for _ in range(4)]
        await desk.trouble("query", answer_after_ms=1500, count=None)
        for each in placed:
            await desk.order(client_order_id=each, price=price)

        async def looked_up() -> bool:
            return bool(sum((await desk.struck()).values()))

        await eventually_async(looked_up)
        await desk.redis.set(HALT, "why")
        for each in placed:
            answer = await desk.response(each)
            assert (answer.status, answer.reason_code) == ("rejected", "halted")
            left = bool(await desk.arrivals(each))
            attempt("order under way", "leave after a halt, once it was looked up", left)
            assert not left


async def test_a_full_redis_is_halted_by_hand_and_by_the_connector_which_cancels_what_is_open(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """Redis takes no command, no reason and no event: the halt needs none of them."""
    redis: Any = desk.redis
    async with desk.connector(**FAST, ORDER_COMMAND_MAX_AGE="120") as connector:
        price = await desk.far_below()
        resting = [await desk.order(price=price) for _ in range(3)]
        for each in resting:
            await desk.status(each, "open")
        waiting = await pour_orders(desk, 50, price)
        await redis.config_set("maxmemory", "1")
        began, halted_at = time.monotonic(), time.time()
        halted = await tradectl(desk.redis_url, "halt", "full", "--keep-orders")
        assert halted.code == 0, halted
        assert "Trading is halted, but the reason" in halted.err
        prevented = bool(await redis.exists(TRADING))
        attempt("full Redis", "keep `tradectl halt` from halting", prevented)
        assert not prevented
        full = await tradectl(desk.redis_url, "halt", "full", "--json")
        assert full.code == 0, full
        (left,) = full.json["canceled"]
        assert (left["status"], left["reason_code"]) == ("unknown", "redis_full")
        assert "cancels all open orders by itself, which is not confirmed" in left["error_message"]
        assert "Some open orders may not be cancelled" in full.err
        examined = await tradectl(desk.redis_url, "doctor", "--json")
        (permissions,) = [each for each in examined.json if each["check"] == "permissions"]
        assert permissions["state"] == "ok"

        async def cancelled() -> bool:
            found = await gather_all(*(desk.at_venue(each) for each in resting))
            return all(order["state"] == "canceled" for (order,) in found)

        await eventually_async(cancelled, within=HALT_WHEN_FULL_FOR + 20.0)
        for each in resting:
            (order,) = await desk.at_venue(each)
            attempt("full Redis", "keep orders open after a halt", order["state"] == "open")
        assert time.monotonic() - began >= HALT_WHEN_FULL_FOR - 1.0
        assert "Redis is full" in connector.log.read_text()
        refused_resume = await tradectl(desk.redis_url, "resume")
        assert refused_resume.code == 3, refused_resume
        await redis.config_set("maxmemory", "0")
        for each in resting:
            await desk.status(each, "canceled")

        async def answered() -> bool:
            said = await desk.events("order_response")
            return {*waiting} <= {each.client_order_id for each in said if each.status != "unknown"}

        # All are refused together, each once it was looked for: by few requests a second on Luno.
        await eventually_async(answered, within=60.0)
        too_late = await late(desk, halted_at)
        attempt("full Redis", "have an order reach the venue 2 s after a halt", too_late)
        assert not too_late
        await says(desk, "halted")
        assert "Redis is full" in await refused(desk, price)
        await trades_again(desk, price)


@ON_ONE
async def test_trading_halts_if_redis_is_full_for_long(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """Nothing resumes by itself when there is room again."""
    redis: Any = desk.redis
    async with desk.connector():
        price = await desk.far_below()
        await redis.config_set("maxmemory", "1")

        async def gone() -> bool:
            return not await redis.exists(TRADING)

        await eventually_async(gone, within=HALT_WHEN_FULL_FOR + 20.0)
        await redis.config_set("maxmemory", "0")
        reason = await refused(desk, price)
        attempt("full Redis", "trade on when there is room again", "Redis is full" not in reason)
        assert "Redis is full" in reason
        await trades_again(desk, price)


async def _emptied(desk: TradingDesk) -> None:
    await desk.redis.flushall()


async def _without_its_keys(desk: TradingDesk) -> None:
    await desk.redis.delete(HALT, TRADING)


async def _expired(desk: TradingDesk) -> None:
    """A halt for a second, by hand; then nothing halts in Redis any more."""
    await desk.redis.set(HALT, "for a second", ex=1)
    await says(desk, "halted")
    await desk.redis.delete(HALT)


async def _halt_deleted_by_hand(desk: TradingDesk) -> None:
    await desk.redis.set(HALT, "why")
    await says(desk, "halted")
    await desk.redis.delete(HALT)


async def _rolled_back(desk: TradingDesk) -> None:
    """The server comes back with a copy of some seconds ago, which allows trading."""
    server = desk.server
    assert server is not None
    copy = desk.folder / "an-older-copy"
    shutil.copytree(server.data_dir, copy)
    beat: Any = await desk.redis.get(f"{desk.name}:state:beat")

    async def later() -> bool:
        now: Any = await desk.redis.get(f"{desk.name}:state:beat")
        return int(now) >= int(beat) + 2

    await eventually_async(later)
    await server.stop()
    shutil.rmtree(server.data_dir)
    shutil.move(copy, server.data_dir)
    await server.start()
    await _answers(desk)


async def _answers(desk: TradingDesk) -> None:
    async def answers() -> bool:
        try:
            return bool(await desk.redis.ping())
        except (RedisError, OSError):
            return False

    await eventually_async(answers)


LOSSES: dict[str, Callable[[TradingDesk], Awaitable[None]]] = {
    "emptied": _emptied,
    "the keys lost": _without_its_keys,
    "an expiring halt": _expired,
    "deleted by hand": _halt_deleted_by_hand,
    "rolled back": _rolled_back,
}


@ON_ONE
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_halt_that_redis_lost_holds_until_an_operator_resumes(
    desk: TradingDesk, loss: str, attempt: Attempts
) -> None:
    """For each order that comes after it, and for those that came just before."""
    async with desk.connector(**FAST):
        price = await desk.far_below()
        await desk.status(await desk.order(price=price), "open")
        await pour_orders(desk, 50, price)
        await LOSSES[loss](desk)
        lost_at = time.time()
        # Of what came before the connector noticed the loss it asks the venue, and sends nothing.
        at_once = await desk.response(await desk.order(price=price))
        assert at_once.reason_code in ("halted", "not_found")
        traded = bool(await desk.arrivals(at_once.client_order_id))
        attempt("Redis that loses data", f"trade on after the loss: {loss}", traded)
        assert not traded
        await says(desk, "halted")
        await refused(desk, price)
        if loss in ("rolled back", "emptied"):
            assert "Redis lost data" in await refused(desk, price)
        too_late = await late(desk, lost_at)
        attempt(
            "Redis that loses data", f"have an order leave 2 s after the loss: {loss}", too_late
        )
        assert not too_late
        await trades_again(desk, price)


@ON_ONE
async def test_a_halt_holds_for_a_connector_that_is_killed_and_started_again(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """No start resumes what somebody halted."""
    async with desk.connector() as connector:
        price = await desk.far_below()
        halted = await tradectl(desk.redis_url, "halt", "over a restart")
        assert halted.code == 0, halted
        await connector.end(signal.SIGKILL)
    async with desk.connector():
        assert "over a restart" in await refused(desk, price)
        resumed = not await is_halted(desk.redis)
        attempt("connector killed and started again", "trade in spite of a halt", resumed)
        assert not resumed
        await trades_again(desk, price)


@ON_ONE
async def test_a_redis_that_restarts_with_all_it_had_trades_on(desk: TradingDesk) -> None:
    """Nothing was lost, so nobody has to resume."""
    server = desk.server
    assert server is not None
    async with desk.connector():
        price = await desk.far_below()
        await server.stop()
        await server.start()
        await _answers(desk)

        async def accepted() -> bool:
            return (await desk.response(await desk.order(price=price))).status == "accepted"

        await eventually_async(accepted)
        assert not await is_halted(desk.redis)
