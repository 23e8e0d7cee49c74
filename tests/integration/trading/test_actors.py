"""Actor by actor in secure mode: what the access list lets somebody do is survived."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import NoPermissionError, OutOfMemoryError

from common_models.stream_names import HALT, TRADING
from services._local.access_list import OPERATOR, USERS
from tests.integration.tradectl.hand import tradectl
from tests.integration.trading.flood import everything, pour, resting_orders, unknown_cancels
from tests.integration.trading.tampering import OPERATORS, command_streams, deleted_unread, repaired
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.memory import CONTAINER, forget_peak, peak
from tests.support.orders.halt import is_halted, late, open_at_venue, refused_after
from tests.support.orders.trading import MARKETS, NO_LIMITS, Market, TradingDesk
from tests.support.redis.secure import Guarded, secure_desk

pytestmark = pytest.mark.timeout(240)

FLOOD = 3000
BOT = "bot (secure mode)"
SEVERAL = "several operators (secure mode)"
# An order that waits in a flood is soon too old, so that each has its answer.
FLOODED = {**NO_LIMITS, "ORDER_COMMAND_MAX_AGE": "10"}

both = pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)
one = pytest.mark.parametrize("market", MARKETS[:1], ids=lambda market: market.venue.name)


async def rest(desk: TradingDesk, number: int = 3) -> None:
    """Have so many orders open."""
    price = await desk.far_below()
    for order in [await desk.order(price=price) for _ in range(number)]:
        await desk.status(order, "open")


async def halts(desk: TradingDesk, guarded: Guarded) -> float:
    """As the operator halts and has all cancelled, without waiting for that; when it began."""
    at = time.time()
    done = await tradectl(desk.redis_url, "halt", "flooded", "--keep-orders")
    assert done.code == 0, done
    async with guarded.user(OPERATOR) as operator:
        await operator.xadd(f"{desk.name}:operator:cancel_all_orders", {"data": "{}"})
    return at


async def none_open(desk: TradingDesk) -> bool:
    """Whether all orders were cancelled, within a minute."""

    async def none() -> bool:
        return await open_at_venue(desk) == 0

    try:
        await eventually_async(none, within=60.0)
    except AssertionError:
        return False
    return True


async def survives(
    desk: TradingDesk, guarded: Guarded, pid: int, attempt: Attempts, actor: str, how: str
) -> None:
    """Halt in the middle of a flood."""
    halted_at = await halts(desk, guarded)
    left_open = not await none_open(desk)
    await eventually_async(lambda: refused_after(desk, halted_at), within=60.0)
    too_late = await late(desk, halted_at)
    too_large = peak(pid) > CONTAINER
    tried = {**after_a_halt(too_late, left_open), "fill a connector's container": too_large}
    assert_all_failed(attempt, actor, how, tried)


def after_a_halt(too_late: bool, left_open: bool) -> dict[str, bool]:
    """What must not succeed after it, and whether it did."""
    return {
        "have an order reach the venue 2 s after a halt": too_late,
        "keep orders open after a halt": left_open,
    }


def assert_all_failed(attempt: Attempts, actor: str, how: str, tried: Mapping[str, bool]) -> None:
    """Count each attempt; none may have succeeded."""
    for what, succeeded in tried.items():
        attempt(actor, f"{what}: {how}", succeeded)
    assert not any(tried.values()), tried


@both
async def test_no_flood_of_all_that_a_bot_may_send_holds_up_a_halt(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """Orders, cancels, cancel-alls and questions, thousands of each."""
    async with (
        secure_desk(market, tmp_path, **FLOODED) as (desk, guarded),
        desk.connector() as service,
    ):
        await rest(desk)
        flood = everything(desk, FLOOD, await desk.far_below())
        forget_peak(service.process.pid)
        for command, contents in flood.items():
            await pour(desk.redis, f"{desk.name}:commands:{command}", contents)
        how = f"{FLOOD:,} commands of each kind"
        await survives(desk, guarded, service.process.pid, attempt, BOT, how)


@both
async def test_operators_who_flood_each_other_hold_up_no_halt(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """One cancels ids that nobody knows, another cancels everything, again and again."""
    async with (
        secure_desk(market, tmp_path, **FLOODED) as (desk, guarded),
        desk.connector() as service,
        guarded.user(OPERATOR) as ann,
        guarded.user(OPERATOR) as ben,
    ):
        await rest(desk)
        price = await desk.far_below()
        forget_peak(service.process.pid)
        orders = resting_orders(desk, 200, price)
        await pour(desk.redis, f"{desk.name}:commands:place_order", orders)
        cancels = unknown_cancels(desk, FLOOD)
        await pour(ann, f"{desk.name}:operator:cancel_order", cancels)
        await pour(ben, f"{desk.name}:operator:cancel_all_orders", [{}] * FLOOD)
        how = f"{FLOOD:,} of their own commands of each kind"
        await survives(desk, guarded, service.process.pid, attempt, SEVERAL, how)


@both
async def test_no_stream_is_blocked_or_emptied_unnoticed(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """Who may add to a stream may give the largest id, or trim it: the connector finds out."""
    async with secure_desk(market, tmp_path) as (desk, guarded), desk.connector():
        await rest(desk)
        for user in ("bot", OPERATOR):
            actor = f"{user} (secure mode)"
            async with guarded.user(user) as client:
                for stream in command_streams(desk, with_operators=user == OPERATOR):
                    works = await repaired(client, guarded.admin, stream)
                    attempt(actor, "block a command stream by the largest id", not works)
                    assert works
                emptied = "commands:query_order" if user == "bot" else OPERATORS[0]
                lost = await deleted_unread(desk, client, emptied)
                attempt(actor, "delete another's commands unread", lost)
        halted_at = await halts(desk, guarded)
        assert await none_open(desk)
        assert not await late(desk, halted_at)


async def _fill(client: Any) -> None:
    """Fill Redis up by a bot's own keys, until nothing more has room."""
    for size in (1 << 20, 1 << 14, 1 << 8, 1):
        with suppress(OutOfMemoryError):
            while True:
                await client.set(f"bot:state:{uuid4()}", "x" * size)


@one
async def test_a_redis_that_a_bot_fills_up_is_halted(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """By keys that are its own, again and again; orders were under way."""
    async with secure_desk(market, tmp_path, **NO_LIMITS) as (desk, guarded), desk.connector():
        await rest(desk)
        admin, orders = guarded.admin, resting_orders(desk, 50, await desk.far_below())
        used = int((await admin.info("memory"))["used_memory"])
        await admin.config_set("maxmemory", used + (8 << 20))
        await pour(desk.redis, f"{desk.name}:commands:place_order", orders)
        await _fill(desk.redis)
        halted_at = time.time()
        done = await tradectl(desk.redis_url, "halt", "full")
        assert done.code in (0, 4), done
        prevented = bool(await admin.exists(TRADING))
        left_open = not await none_open(desk)
        await admin.config_set("maxmemory", "0")
        for order in orders:
            await desk.response(order["client_order_id"])
        too_late = await late(desk, halted_at)
        tried = {
            **after_a_halt(too_late, left_open),
            "keep `tradectl halt` from halting": prevented,
        }
        assert_all_failed(attempt, BOT, "a Redis that it filled", tried)


@one
async def test_only_an_administrator_empties_redis_and_then_it_is_halted(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """Until somebody resumes."""
    async with secure_desk(market, tmp_path) as (desk, guarded), desk.connector():
        await rest(desk, 1)
        price = await desk.far_below()
        for user in USERS:
            async with guarded.user(user) as client:
                for command in ("FLUSHALL", "FLUSHDB"):
                    with pytest.raises(NoPermissionError):
                        await client.execute_command(command)
                    emptied = not await guarded.admin.exists(f"{desk.name}:state:beat")
                    attempt(f"{user} (secure mode)", "empty Redis", emptied)
                    assert not emptied
        await guarded.admin.flushall()
        answer = await desk.response(await desk.order(price=price))
        traded = bool(await desk.arrivals(answer.client_order_id))
        attempt("administrator (secure mode)", "have orders leave after FLUSHALL", traded)
        assert not traded
        assert await is_halted(guarded.admin)
        assert (await tradectl(desk.redis_url, "resume")).code == 0
        again = await desk.response(await desk.order(price=price))
        assert again.status == "accepted"


@one
async def test_an_expiry_on_a_control_key_lifts_no_halt(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """Of the operator, who may set it; nobody else may give it an expiry."""
    async with secure_desk(market, tmp_path) as (desk, guarded), desk.connector():
        await rest(desk, 1)
        assert (await tradectl(desk.redis_url, "halt", "why", "--keep-orders")).code == 0
        async with guarded.user(OPERATOR) as operator:
            await operator.set(HALT, "for a moment", px=1)
        answer = await desk.response(await desk.order(price=await desk.far_below()))
        traded = bool(await desk.arrivals(answer.client_order_id))
        how = "lift a halt by an expiry: SET control:halt x PX 1"
        attempt(f"{OPERATOR} (secure mode)", how, traded)
        assert not traded
