"""Outcomes that are neither yes nor no: each has an exit code of its own."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services.tradectl.exit_codes import CommandError, ExitCode
from services.tradectl.sending import send
from tests.integration.tradectl.hand import (
    TRADECTL,
    commands,
    ended,
    play_connector,
    started,
    tradectl,
)
from tests.support.eventually import eventually, eventually_async
from tests.support.network.fault_proxy import fault_proxy
from tests.support.orders.trading import MARKETS, trading_desk

# A process takes its time to start where the machine has other work.
pytestmark = pytest.mark.timeout(240)
STARTED_WITHIN = 60.0

BUY = ("place", "binance", "buy", "BTC/USDT", "0.001", "--price", "60000")


async def test_an_unknown_outcome_is_called_unknown_until_it_is_known(tmp_path: Path) -> None:
    """The exchange hangs up on the order; nobody may say yet that it isn't there."""
    order_id = uuid4().hex
    waits = {"ORDER_RESOLVE_MARGIN": "600", "ORDER_TAKE_OVER_AFTER": "1000"}
    async with trading_desk(MARKETS[0], tmp_path, **waits) as desk, desk.connector():
        price = await desk.far_below()
        await desk.fault(order_id, execute="never", answer="close")
        await desk.order(client_order_id=order_id, price=price)
        await desk.event("order_response", lambda e: e.status == "unknown")
        same = ("binance", "buy", "BTC/USDT", "0.002", "--price", str(price), "--id", order_id)
        unclear = await tradectl(desk.redis_url, "place", *same, "--timeout", "1", "--json")
        assert (unclear.code, unclear.json["outcome"]) == (4, "unknown"), unclear
        assert f"repeat it with --id {order_id}" in unclear.err
        assert await desk.at_venue(order_id) == []
        assert await desk.arrivals(order_id) == 1


async def test_an_unknown_outcome_that_is_resolved_is_reported(
    redis_server: RedisServer, redis: Redis
) -> None:
    """The connector says unknown, then accepted: both are shown, the last one counts."""
    await play_connector(redis)
    arguments = (*BUY, "--id", "unclear", "--timeout", "150")
    placing = asyncio.ensure_future(tradectl(redis_server.url, *arguments))
    await eventually_async(lambda: commands(redis, "place_order"), STARTED_WITHIN)
    for status in ("unknown", "accepted"):
        await answer(redis, "unclear", status)
    placed = await placing
    assert placed.code == 0, placed
    assert [line.split()[0] for line in placed.out.splitlines()] == ["unknown", "accepted"]


async def answer(redis: Redis, client_order_id: str, status: str) -> None:
    """A played connector's answer to the first command."""
    client: Any = redis
    ((entry_id, _),) = await client.xrange("binance_connector:commands:place_order", count=1)
    event = OrderResponseEvent(
        client_order_id=client_order_id,
        symbol="BTC/USDT",
        requested_quantity=0.001,
        side="buy",
        type="limit",
        status=status,
        command_id=entry_id.decode(),
    )
    stream = "binance_connector:events:order_response"
    await client.xadd(stream, {"data": event.model_dump_json()})


async def test_an_order_isnt_sent_if_no_connector_would_read_it(
    redis_server: RedisServer, redis: Redis
) -> None:
    """It would only expire; the stream isn't even made."""
    absent = await tradectl(redis_server.url, *BUY)
    assert absent.code == 1
    assert "binance_connector has never published a status on this Redis" in absent.err
    assert await redis.keys() == []


async def test_no_answer_has_its_own_exit_code_and_says_how_to_ask_again(
    redis_server: RedisServer, redis: Redis
) -> None:
    """The command is in the stream, with the id that was told."""
    await play_connector(redis)
    silent = await tradectl(redis_server.url, *BUY, "--timeout", "1", "--json")
    assert (silent.code, silent.json["outcome"]) == (5, "no_answer"), silent
    (command,) = await commands(redis, "place_order")
    assert silent.json["client_order_id"] == command["client_order_id"]
    assert f"--id {command['client_order_id']}" in silent.err
    assert command == {
        "client_order_id": command["client_order_id"],
        "symbol": "BTC/USDT",
        "type": "limit",
        "side": "buy",
        "quantity": 0.001,
        "price": 60000.0,
        "post_only": False,
    }
    canceling = ("cancel", "some-id", "-x", "binance", "-s", "BTC/USDT", "--timeout", "1")
    assert (await tradectl(redis_server.url, *canceling)).code == 5


async def test_the_answer_is_waited_for_while_redis_is_away(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """Redis stops after it took the command and comes back with it: the answer is still heard."""
    await play_connector(redis)
    arguments = (*BUY, "--id", "patient", "--timeout", "150", "--json")
    async with started(tmp_path, redis_server.url, *TRADECTL, *arguments) as process:
        await eventually_async(lambda: commands(redis, "place_order"), STARTED_WITHIN)
        await redis_server.stop()
        assert process.stderr is not None
        said = b""
        while b"waiting: Redis can't be reached" not in said:
            said += await process.stderr.readline()
        await redis_server.start()
        async with open_redis(redis_server.url, "test") as back:
            await answer(back, "patient", "rejected")
        refused = await ended(process)
    assert (refused.code, refused.json["outcome"]) == (1, "rejected")


async def test_a_command_whose_acknowledgement_is_lost_may_have_been_sent(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Redis took it; the person is told that it may have, and how to repeat it safely."""
    command = PlaceOrderCommand(
        client_order_id="lost", symbol="BTC/USDT", type="market", side="buy", quantity=0.001
    )
    async with (
        fault_proxy(redis_server.port) as proxy,
        open_redis(proxy.url, "test") as client,
    ):
        await client.ping()
        proxy.cut_replies_after = 0
        with pytest.raises(CommandError, match="repeat it with --id lost") as stopped:
            await send(
                client, "binance_connector", "place_order", command, "repeat it with --id lost"
            )
        assert stopped.value.exit_code == ExitCode.UNKNOWN
        await eventually(lambda: proxy.cuts == 1)
    assert [each["client_order_id"] for each in await commands(redis, "place_order")] == ["lost"]


async def test_halt_takes_effect_though_no_connector_answers(
    redis_server: RedisServer, redis: Redis
) -> None:
    """The switch is set first; that open orders aren't known to be cancelled is said."""
    await play_connector(redis)
    halted = await tradectl(redis_server.url, "halt", "quick", "--timeout", "1")
    assert halted.code == 5, halted
    assert await redis.get("control:halt") == b"quick"
    assert "Some open orders may not be cancelled" in halted.err
    assert len(await commands(redis, "cancel_all_orders")) == 1
    kept = await tradectl(redis_server.url, "halt", "again", "--keep-orders")
    assert (kept.code, "It was: quick" in kept.err) == (0, True)
    assert len(await commands(redis, "cancel_all_orders")) == 1
