"""What the connector refuses by itself, whatever a bot with its own rights sends."""

import json
from pathlib import Path
from typing import Any

import pytest

from common_models.stream_names import CommandStream
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.trading import MARKETS, TradingDesk, trading_desk

pytestmark = pytest.mark.timeout(180)

BOT = "a bot with its own rights"
MEGABYTE = 1 << 20


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
