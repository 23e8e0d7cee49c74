"""What the connector refuses by itself, whatever a bot with its own rights sends."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from common_models.stream_names import CommandStream
from services._connector_kit.orders.keys import positions_key
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, TradingDesk, trading_desk

pytestmark = pytest.mark.timeout(180)

BOT = "bot"
MEGABYTE = 1 << 20
# On a new Redis each order is looked for before it is sent, which takes a busy machine long.
PATIENT = {"ORDER_COMMAND_MAX_AGE": "60"}


async def memory(desk: TradingDesk) -> int:
    """What the server uses, in bytes."""
    redis: Any = desk.redis
    return int((await redis.info("memory"))["used_memory"])


async def test_2000_refused_orders_with_ids_of_30_kb_take_less_than_5_mb(
    tmp_path: Path, attempt: Attempts
) -> None:
    """Each is answered once, with the beginning of its id; neither id nor command is kept."""
    async with trading_desk(MARKETS[0], tmp_path) as desk, desk.connector():
        await desk.response(await desk.order(price=await desk.far_below()))
        before = await memory(desk)
        redis: Any = desk.redis
        for batch in range(20):
            async with redis.pipeline(transaction=False) as pipe:
                for number in range(100):
                    content = {
                        "client_order_id": f"{batch}-{number}-" + "n" * 30_000,
                        "symbol": desk.market.symbol,
                        "type": "limit",
                        "side": "buy",
                        "quantity": desk.market.quantity,
                        "price": 1.0,
                    }
                    data = json.dumps(content)
                    pipe.xadd(str(CommandStream(desk.name, "place_order")), {"data": data})
                await pipe.execute()

            async def answered(expected: int = 1 + 100 * (batch + 1)) -> bool:
                return bool(await redis.xlen(f"{desk.name}:events:order_response") == expected)

            await eventually_async(answered, within=60.0)
        answers = (await desk.events("order_response"))[1:]
        assert {answer.reason_code for answer in answers} == {"bad_client_order_id"}
        assert len({answer.client_order_id for answer in answers}) == 2000
        market_data = 0
        async for key in redis.scan_iter(match=f"{desk.market.venue.exchange}:*"):
            market_data += int(await redis.memory_usage(key, samples=0))
        taken = await memory(desk) - before - market_data
        attempt(BOT, "fill Redis with 2,000 refused orders, ids of 30 kB", taken > 5 * MEGABYTE)
        assert taken < 5 * MEGABYTE
        last = await desk.response(await desk.order(price=await desk.far_below()))
        assert last.status == "accepted"


async def sent(desk: TradingDesk, names: Sequence[str], price: float) -> int:
    """Give these orders; how many were taken once each has its answer."""
    for name in names:
        await desk.order(client_order_id=name, price=price)
    answers = [await desk.response(name) for name in names]
    return sum(answer.status == "accepted" for answer in answers)


async def test_the_pace_holds_over_a_sigkill_whatever_ids_the_orders_have(
    tmp_path: Path, attempt: Attempts
) -> None:
    """Of 119 orders in a minute, before and after a kill, as many as it allows reach the venue."""
    settings = {"RISK_ORDERS_PER_MINUTE": "20", "RISK_MAX_OPEN_ORDERS": "1000"}
    async with trading_desk(MARKETS[0], tmp_path, **settings, **PATIENT) as desk:
        names = [f"bot-{n}" if n % 2 else f"other-{n}" for n in range(119)]
        began = time.monotonic()
        async with desk.connector() as connector:
            price = await desk.far_below()
            taken = await sent(desk, names[:15], price)
            await connector.end(signal.SIGKILL)
        async with desk.connector():
            taken += await sent(desk, names[15:], price)
        # A busy machine may need more than a minute for them.
        allowed = 20 * (1 + int((time.monotonic() - began) // 60))
        arrived = len((await desk.ledger())["orders"])
        too_many = arrived > allowed
        attempt(BOT, "send more orders in a minute than are allowed, over a SIGKILL", too_many)
        assert 20 <= taken == arrived <= allowed
        events = await desk.events("order_response")
        refused = [event.reason_code for event in events if event.status == "rejected"]
        assert refused == ["orders_per_minute"] * (119 - taken)


async def test_at_most_the_allowed_number_of_orders_is_open(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """By default ten; where one ends, another may follow. Orders placed elsewhere don't count."""
    async with desk.connector(**PATIENT):
        price = await desk.far_below()
        await desk.place_elsewhere("elsewhere", price)
        await desk.status("elsewhere", "open")
        names = [f"bot-{n}" for n in range(14)]
        taken = await sent(desk, names, price)
        attempt(BOT, "have more orders open than are allowed", taken > 10)
        assert taken == 10
        answers = [await desk.response(name) for name in names]
        refused = [answer for answer in answers if answer.status == "rejected"]
        assert {answer.reason_code for answer in refused} == {"max_open_orders"}
        assert all("RISK_MAX_OPEN_ORDERS" in (a.error_message or "") for a in refused)
        one = next(answer for answer in answers if answer.status == "accepted")
        await desk.request(
            "cancel_order", symbol=desk.market.symbol, client_order_id=one.client_order_id
        )
        await desk.status(one.client_order_id, "canceled")
        assert await sent(desk, ["bot-next"], price) == 1
        assert await sent(desk, ["bot-one-too-many"], price) == 0


async def test_no_larger_quantity_is_sent_than_allowed(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """By base asset; one that has no limit isn't sent at all."""
    async with desk.connector(RISK_MAX_QUANTITY=f"{desk.market.base}:0.001"):
        order = await desk.order(price=await desk.far_below())
        answer = await desk.response(order)
        attempt(BOT, "send more than the largest quantity", answer.status != "rejected")
        assert (answer.status, answer.reason_code) == ("rejected", "max_quantity")
    async with desk.connector(RISK_MAX_QUANTITY="DOGE:1"):
        order = await desk.order(price=await desk.far_below())
        answer = await desk.response(order)
        assert (answer.status, answer.reason_code) == ("rejected", "max_quantity")
        assert await desk.arrivals(order) == 0


async def worth(desk: TradingDesk, orders: float) -> str:
    """A limit, in the quote asset, of what so many of the test's orders are worth now."""
    book = await desk.book()
    quote = desk.market.symbol.partition("/")[2]
    return f"{quote}:{book.asks[0].price * desk.market.quantity * orders:.2f}"


async def held(desk: TradingDesk) -> float:
    """What the venue has filled of all orders, less what was sold, in orders of the test."""
    orders = (await desk.ledger())["orders"]
    signed = ((1 if o["side"] == "buy" else -1) * float(o["filled_quantity"]) for o in orders)
    return sum(signed) / desk.market.quantity


async def traded(desk: TradingDesk, side: str = "buy", **fields: Any) -> str | None:
    """Give a market order; None once it is filled, else why it was refused."""
    name = await desk.order(side=side, **fields)
    answer = await desk.response(name)
    if answer.status == "accepted":
        await desk.status(name, "filled")
    return answer.reason_code


async def test_the_largest_position_holds_over_a_sigkill_and_an_exit_passes(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """Of three orders, one of which is under way when the connector is killed."""
    async with desk.connector(**PATIENT):
        limit = await worth(desk, 3.5)
        assert await traded(desk) is None
    async with desk.connector(RISK_MAX_POSITION=limit, **PATIENT) as connector:
        in_flight = uuid4().hex
        await desk.fault(in_flight, answer="hang")
        await desk.order(client_order_id=in_flight)
        await eventually_async(lambda: desk.at_venue(in_flight))
        await connector.end(signal.SIGKILL)
    async with desk.connector(RISK_MAX_POSITION=limit, **PATIENT):
        names = [await desk.order() for _ in range(4)]
        reasons = [(await desk.response(name)).reason_code for name in names]
        await desk.status(in_flight, "filled")
        assert reasons.count("max_position") >= 3
        attempt(BOT, "hold more than is allowed, over a SIGKILL", await held(desk) > 3.5)
        assert await held(desk) <= 3
    async with desk.connector(RISK_MAX_POSITION=await worth(desk, 0.1), **PATIENT):
        assert await traded(desk, quantity=desk.market.quantity / 2) == "max_position"
        assert await traded(desk, "sell", quantity=desk.market.quantity / 2) is None


async def make_it_yesterday(desk: TradingDesk) -> None:
    """What was lost today was lost the day before."""
    redis: Any = desk.redis
    key = positions_key(desk.name)
    position = json.loads(await redis.hget(key, desk.market.symbol))
    await redis.hset(key, desk.market.symbol, json.dumps({**position, "day": "2001-01-01"}))


async def test_after_a_days_loss_only_exits_pass_over_a_sigkill_too(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """The market falls by a tenth while two and a half orders are held; less may be lost.

    The next day entries are taken again.
    """
    half = desk.market.quantity / 2
    async with desk.connector(**PATIENT) as connector:
        limit = await worth(desk, 0.1)
        assert [await traded(desk) for _ in range(2)] == [None, None]
        await connector.end(signal.SIGKILL)
    async with desk.connector(RISK_MAX_DAILY_LOSS=limit) as connector:
        before = (await desk.book()).bids[0].price
        assert await traded(desk, quantity=half) is None
        await desk.move_market(before * 0.9)

        async def fallen() -> bool:
            return (await desk.book()).asks[0].price < before * 0.93

        await eventually_async(fallen)
        refused = await traded(desk, quantity=half)
        attempt(BOT, "go on after the largest loss of a day", refused is None)
        assert refused == "max_daily_loss"
        assert await traded(desk, "sell", quantity=half) is None
        await connector.end(signal.SIGKILL)
    async with desk.connector(RISK_MAX_DAILY_LOSS=limit):
        refused = await traded(desk, quantity=half)
        attempt(BOT, "go on after the largest loss of a day", refused is None)
        assert refused == "max_daily_loss"
        assert await traded(desk, "sell", quantity=half) is None
        assert await traded(desk, "sell", quantity=desk.market.quantity * 2) == "max_daily_loss"
        await make_it_yesterday(desk)

        async def taken() -> bool:
            return await traded(desk, quantity=half) is None

        await eventually_async(taken)
