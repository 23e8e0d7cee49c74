"""What becomes of orders when the connector dies, sleeps, or runs without keys."""

import signal
from uuid import uuid4

from common_models.stream_names import CommandStream
from tests.support.eventually import eventually_async
from tests.support.orders.halt import resume
from tests.support.orders.trading import TradingDesk, settled


async def acknowledged(desk: TradingDesk, command: str = "place_order") -> bool:
    """True when nothing is pending and nothing is unread."""
    stream = str(CommandStream(desk.name, command))
    (group,) = await desk.redis.xinfo_groups(stream)
    newest = (await desk.redis.xinfo_stream(stream))["last-generated-id"]
    return bool(group["pending"] == 0 and group["last-delivered-id"] == newest)


async def test_a_connector_killed_while_its_order_is_in_flight_leaves_one_order(
    desk: TradingDesk,
) -> None:
    """The order was carried out and its answer hangs: after the restart it is found, not sent."""
    limit, market = uuid4().hex, uuid4().hex
    async with desk.connector() as connector:
        price = await desk.far_below()
        for order_id in (limit, market):
            await desk.fault(order_id, answer="hang")
        await desk.order(client_order_id=limit, price=price)
        await desk.order(client_order_id=market)

        async def arrived() -> bool:
            orders = (await desk.ledger())["orders"]
            return {limit, market} <= {order["client_order_id"] for order in orders}

        await eventually_async(arrived)
        await connector.end(signal.SIGKILL)
    async with desk.connector():
        for order_id in (limit, market):
            answer = await desk.response(order_id)
            assert answer.status == "accepted"
            (order,) = await desk.at_venue(order_id)
            assert answer.order_id == order["order_id"]
            assert await desk.arrivals(order_id) == 1
        await desk.status(limit, "open")
        await desk.status(market, "filled")
        await settled(desk, market)
        await eventually_async(lambda: acknowledged(desk))
        finals = [a for a in await desk.events("order_response") if a.status != "unknown"]
        assert sorted(a.client_order_id for a in finals) == sorted([limit, market])


async def test_fills_while_the_connector_is_down_are_published_when_it_is_back(
    desk: TradingDesk,
) -> None:
    """The comparison with the venue finds them; nothing is told twice."""
    async with desk.connector() as connector:
        price = await desk.far_below()
        order_id = await desk.order(price=price)
        await desk.status(order_id, "open")
        assert await connector.end() == 0
    await desk.move_market(price * 0.9)

    async def filled() -> bool:
        (order,) = await desk.at_venue(order_id)
        return bool(order["state"] == "filled")

    await eventually_async(filled)
    async with desk.connector():
        await desk.status(order_id, "filled")
        await settled(desk, order_id)
        statuses = [status.status for status in await desk.statuses(order_id)]
        assert statuses[0] == "open"
        assert statuses[-1] == "filled"


async def test_an_order_that_waited_too_long_has_expired_and_a_cancel_has_not(
    desk: TradingDesk,
) -> None:
    """Both were sent while no connector ran."""
    async with desk.connector() as connector:
        resting = await desk.order(price=await desk.far_below())
        await desk.status(resting, "open")
        price = await desk.far_below()
        assert await connector.end() == 0
    old = await desk.order(price=price)
    request_id = uuid4().hex
    cancel = {"client_request_id": request_id, "symbol": desk.market.symbol}
    entry = await desk.send("cancel_order", {**cancel, "client_order_id": resting})
    moment = int(entry.partition("-")[0]) + 600

    async def old_enough() -> bool:
        seconds, micro = await desk.redis.time()
        return bool(seconds * 1000 + micro // 1000 > moment)

    await eventually_async(old_enough)
    async with desk.connector(
        ORDER_COMMAND_MAX_AGE="0.5", ORDER_VALIDITY="0.1", ORDER_SETTLE="0.3"
    ):
        answer = await desk.response(old)
        assert (answer.status, answer.reason_code) == ("rejected", "expired")
        assert await desk.arrivals(old) == 0
        assert (await desk.answer(request_id)).status == "done"
        assert (await desk.statuses(resting))[-1].status == "canceled"


async def test_a_halt_stops_orders_and_so_does_the_pace_and_cancels_pass(
    desk: TradingDesk,
) -> None:
    """The switch is in Redis, its value is the reason; what was refused counts for no pace."""
    async with desk.connector(RISK_ORDERS_PER_MINUTE="2"):
        price = await desk.far_below()
        resting = await desk.order(price=price)
        await desk.status(resting, "open")
        await desk.redis.set("control:halt", "somebody looks into it")
        halted = await desk.response(await desk.order(price=price))
        assert (halted.status, halted.reason_code) == ("rejected", "halted")
        assert "somebody looks into it" in (halted.error_message or "")
        done = await desk.request(
            "cancel_order", symbol=desk.market.symbol, client_order_id=resting
        )
        assert done.status == "done"
        await resume(desk.redis)
        answers = [await desk.response(await desk.order(price=price)) for _ in range(2)]
        assert [answer.reason_code for answer in answers] == [None, "orders_per_minute"]


async def test_orders_placed_elsewhere_are_published_as_external(desk: TradingDesk) -> None:
    """With side, type and price, which no command says; one of ours is not, whoever cancels it."""
    async with desk.connector():
        price = await desk.far_below()
        ours = await desk.order(price=price)
        theirs = uuid4().hex
        await desk.place_elsewhere(theirs, price)
        told = await desk.status(theirs, "open")
        assert told.external
        assert (told.side, told.type, told.price) == ("buy", "limit", desk.on_tick(price))
        assert (told.order_id,) == tuple(o["order_id"] for o in await desk.at_venue(theirs))
        mine = await desk.status(ours, "open")
        assert not mine.external
        await desk.cancel_elsewhere(mine.order_id)
        await desk.cancel_elsewhere(told.order_id)
        assert not (await desk.status(ours, "canceled")).external
        assert (
            await desk.event(
                "order_status", lambda e: e.order_id == told.order_id and (e.status == "canceled")
            )
        ).external


async def test_without_keys_every_command_is_refused_with_a_reason(desk: TradingDesk) -> None:
    """Nothing waits for ever for an answer."""
    none = dict.fromkeys(desk.market.key, "")
    async with desk.connector(**none):
        answer = await desk.response(await desk.order(price=await desk.far_below()))
        assert (answer.status, answer.reason_code) == ("rejected", "no_credentials")
        symbol, exchange = desk.market.symbol, desk.market.venue.exchange
        for command, fields in (
            ("cancel_order", {"symbol": symbol, "client_order_id": "any"}),
            ("cancel_all_orders", {}),
            ("query_order", {"symbol": symbol, "order_id": "1"}),
            ("request_balance", {"exchange": exchange}),
        ):
            refused = await desk.request(command, **fields)
            assert (refused.status, refused.reason_code) == ("rejected", "no_credentials")


async def test_an_order_of_a_run_with_keys_is_unknown_to_one_without_and_found_by_the_next(
    desk: TradingDesk,
) -> None:
    """It was carried out, and nobody knows: without keys that isn't denied, it is left open."""
    order_id = uuid4().hex
    async with desk.connector() as connector:
        await desk.fault(order_id, answer="hang")
        await desk.order(client_order_id=order_id, price=await desk.far_below())

        async def arrived() -> bool:
            return bool(await desk.at_venue(order_id))

        await eventually_async(arrived)
        await connector.end(signal.SIGKILL)
    async with desk.connector(**dict.fromkeys(desk.market.key, "")):
        told = await desk.event("order_response", lambda e: e.client_order_id == order_id)
        assert (told.status, told.reason_code) == ("unknown", "no_credentials")
    async with desk.connector():
        assert (await desk.response(order_id)).status == "accepted"
        assert [a.status for a in await desk.responses(order_id)] == ["unknown", "accepted"]
        assert await desk.arrivals(order_id) == 1
