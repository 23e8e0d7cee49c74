"""Whose order it is: ids that others use, records of the last release, entries that are gone."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from common_models.stream_names import CommandStream, state_key
from services._connector_kit.orders.execution.record import Record, dump
from services._connector_kit.orders.keys import order_key, unanswered_key
from services._connector_kit.orders.ports import DataLossRecord
from tests.support.eventually import eventually_async
from tests.support.orders.trading import TradingDesk


async def trusted(desk: TradingDesk) -> None:
    """Let the connector take this Redis for one that has lost nothing, ever."""
    redis: Any = desk.redis
    server, replication = await redis.info("server"), await redis.info("replication")
    identity = f"{server['run_id']} {replication['master_replid']}"
    for command in (
        *("place_order", "cancel_order", "cancel_all_orders"),
        *("query_order", "request_balance"),
    ):
        stream = str(CommandStream(desk.name, command))
        await redis.xgroup_create(stream, desk.name, id="0", mkstream=True)
    remembered = json.dumps({"identity": identity, "forgotten_at": -1, "careful_until": -1})
    decoded = msgspec.json.decode(remembered, type=DataLossRecord)
    assert decoded == DataLossRecord(identity, -1, -1)
    await redis.set(state_key(desk.name, "redis"), remembered)


@pytest.mark.parametrize("careful", [False, True], ids=["trusted", "careful"])
async def test_another_programs_order_under_the_id_is_not_ours(
    desk: TradingDesk, careful: bool
) -> None:
    """A buy rests there under the id, and a sell is asked for: it is refused, not accepted."""
    if not careful:
        await trusted(desk)
    async with desk.connector():
        price = await desk.far_below()
        client_order_id = uuid4().hex
        await desk.place_elsewhere(client_order_id, price)
        above = desk.on_tick((await desk.book()).asks[0].price * 1.02)
        await desk.order(client_order_id=client_order_id, side="sell", price=above)
        answer = await desk.response(client_order_id)
        assert (answer.status, answer.reason_code) == ("rejected", "duplicate_id")
        assert "another order" in (answer.error_message or "")
        assert answer.provisional is not careful
        (order,) = await desk.at_venue(client_order_id)
        assert order["state"] == "open"
        assert await desk.arrivals(client_order_id) == (1 if careful else 2)


def first_release(desk: TradingDesk, client_order_id: str, entry_id: str, price: float) -> bytes:
    """The record that release b0b4898 wrote for an order whose answer it never got."""
    command = {
        "client_order_id": client_order_id,
        "symbol": desk.market.symbol,
        "type": "limit",
        "side": "buy",
        "quantity": desk.market.quantity,
        "price": price,
        "time_in_force": None,
        "post_only": False,
    }
    record = {
        "client_order_id": client_order_id,
        "entry_id": entry_id,
        "content": "0123456789abcdef0123456789abcdef",
        "command": json.dumps(command),
        "timestamp": int(entry_id.partition("-")[0]),
        "validity": 2000,
        "sendable": True,
        "state": "taken",
        "sent_quantity": str(desk.market.quantity),
        "sent_price": str(price),
        "answer": None,
        "provisional": False,
    }
    return json.dumps(record).encode()


async def test_an_order_in_flight_at_an_upgrade_is_answered_as_what_it_is(
    desk: TradingDesk,
) -> None:
    """The last release claimed and sent it; its record has a digest that nobody compares now."""
    await trusted(desk)
    async with desk.connector():
        price = await desk.far_below()
    client_order_id = uuid4().hex
    await desk.place_elsewhere(client_order_id, price)
    entry_id = await desk.send(
        "place_order",
        {
            "client_order_id": client_order_id,
            "symbol": desk.market.symbol,
            "type": "limit",
            "side": "buy",
            "quantity": desk.market.quantity,
            "price": price,
        },
    )
    stream = str(CommandStream(desk.name, "place_order"))
    redis: Any = desk.redis
    await redis.xreadgroup(desk.name, "an earlier instance", {stream: ">"})
    record = first_release(desk, client_order_id, entry_id, price)
    await redis.set(order_key(desk.name, client_order_id), record)
    async with desk.connector(ORDER_TAKE_OVER_AFTER="6"):
        answer = await desk.response(client_order_id)
        assert (answer.status, answer.command_id) == ("accepted", entry_id)
        await desk.status(client_order_id, "open")
        assert await desk.arrivals(client_order_id) == 1
        again = await desk.order(client_order_id=client_order_id, price=price)

        async def replayed() -> bool:
            return any(event.replay for event in await desk.responses(again))

        await eventually_async(replayed)
        assert await desk.arrivals(client_order_id) == 1


@pytest.mark.parametrize("claimed_by", ["this consumer", "an earlier instance"])
async def test_an_order_whose_command_was_trimmed_away_is_answered_all_the_same(
    desk: TradingDesk, claimed_by: str
) -> None:
    """A bot trimmed the stream while the order was under way; its record is enough."""
    await trusted(desk)
    async with desk.connector(INSTANCE_ID="this consumer"):
        price = await desk.far_below()
    client_order_id = uuid4().hex
    await desk.place_elsewhere(client_order_id, price)
    command: dict[str, Any] = {"client_order_id": client_order_id, "symbol": desk.market.symbol}
    command |= {"type": "limit", "side": "buy", "quantity": desk.market.quantity, "price": price}
    entry_id = await desk.send("place_order", command)
    stream = str(CommandStream(desk.name, "place_order"))
    redis: Any = desk.redis
    await redis.xreadgroup(desk.name, claimed_by, {stream: ">"})
    moment = int(entry_id.partition("-")[0])
    taken = Record(
        client_order_id=client_order_id,
        entry_id=entry_id,
        command=json.dumps(command),
        timestamp=moment,
        validity=2000,
        sendable=True,
        sent_quantity=str(desk.market.quantity),
        sent_price=str(price),
    )
    await redis.set(order_key(desk.name, client_order_id), dump(taken))
    await redis.zadd(unanswered_key(desk.name), {client_order_id: moment})
    await redis.xtrim(stream, maxlen=0, approximate=False)
    async with desk.connector(INSTANCE_ID="this consumer"):
        answer = await desk.response(client_order_id)
        assert (answer.status, answer.command_id) == ("accepted", entry_id)
        await desk.status(client_order_id, "open")

        async def answered() -> bool:
            return not await redis.zcard(unanswered_key(desk.name))

        await eventually_async(answered)


async def test_cancel_all_waits_for_an_order_whose_request_is_on_its_way(
    desk: TradingDesk,
) -> None:
    """The venue executes it after the cancel came: "done" means that it doesn't rest."""
    async with desk.connector():
        price = await desk.far_below()
        client_order_id = uuid4().hex
        await desk.fault(client_order_id, execute="late", execute_after_ms=1500, answer="hang")
        await desk.order(client_order_id=client_order_id, price=price)

        async def arrived() -> bool:
            return await desk.arrivals(client_order_id) == 1

        await eventually_async(arrived)
        assert await desk.at_venue(client_order_id) == []
        halted = asyncio.create_task(desk.request("cancel_all_orders"))
        answer = await halted
        assert (answer.status, answer.reason_code) == ("done", None)
        (order,) = await desk.at_venue(client_order_id)
        assert order["state"] == "canceled"
        assert (await desk.status(client_order_id, "canceled")).status == "canceled"
