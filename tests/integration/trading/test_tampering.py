"""Real connectors whose command streams a bot blocks, or empties."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.metrics import page
from tests.support.trading import MARKETS, Market, TradingDesk, trading_desk

pytestmark = pytest.mark.timeout(180)

LARGEST = f"{2**64 - 1}-{2**64 - 1}"
# A blocked stream takes commands again within this; the guard looks every second.
REPAIRED_WITHIN = 20.0

both = pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)


async def repaired(desk: TradingDesk, command: str) -> bool:
    """Whether a stream takes commands again, soon after an entry with the largest id."""
    stream, data = f"{desk.name}:commands:{command}", json.dumps({"poison": command})
    client: Any = desk.redis
    await client.xadd(stream, {"data": data}, id=LARGEST)
    began = time.monotonic()

    async def takes_ids_of_now() -> bool:
        entries: Any = await client.xinfo_groups(stream)
        return not any(group["last-delivered-id"].decode() == LARGEST for group in entries)

    await eventually_async(takes_ids_of_now, within=60.0)
    return time.monotonic() - began < REPAIRED_WITHIN


@both
async def test_no_bot_blocks_a_command_stream(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """After the largest possible id commands go on within seconds, and somebody is alarmed."""
    async with trading_desk(market, tmp_path) as desk, desk.connector():
        resting = await desk.order(price=await desk.far_below())
        await desk.status(resting, "open")
        for command in ("place_order", "cancel_order", "cancel_all_orders"):
            works = await repaired(desk, command)
            attempt("bot", "block a command stream by the largest id", not works)
            letters = await desk.redis.xrange(f"{desk.name}:dead_letter:{command}")
            assert LARGEST in str(letters)
        again = await desk.order(price=await desk.far_below())
        assert (await desk.response(again)).status == "accepted"
        symbol = desk.market.symbol
        cancelled = await desk.request("cancel_order", symbol=symbol, client_order_id=again)
        assert cancelled.status == "done"
        assert (await desk.request("cancel_all_orders")).status == "done"
        await desk.status(resting, "canceled")
        found = await page(desk.health_port)
        assert found["command_streams_tampered_total", "cancel_order", "future_id"] == 1


@both
async def test_commands_that_a_bot_deletes_unread_are_noticed(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """They are lost, which Redis lets whoever writes to a stream do; it doesn't pass unseen."""
    async with trading_desk(market, tmp_path) as desk, desk.connector():
        stream = f"{desk.name}:commands:cancel_order"
        lost = {"client_request_id": uuid4().hex, "symbol": desk.market.symbol, "order_id": "1"}
        client: Any = desk.redis
        both_at_once = client.pipeline(transaction=True)
        both_at_once.xadd(stream, {"data": json.dumps(lost)})
        both_at_once.xadd(stream, {"data": "{}"}, maxlen=0, approximate=False)
        await both_at_once.execute()

        async def noticed() -> bool:
            found = await page(desk.health_port)
            return bool(found["command_streams_tampered_total", "cancel_order", "deleted"] == 2)

        await eventually_async(noticed)
        answer = await desk.request("cancel_order", symbol=desk.market.symbol, order_id="1")
        assert answer.status == "rejected"
        answered = {event.client_request_id for event in await desk.events("command_response")}
        attempt(
            "bot", "delete another's commands unread", lost["client_request_id"] not in answered
        )
