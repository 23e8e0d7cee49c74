"""On a Redis that may lose orders a real connector publishes, cancels, and places nothing."""

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream
from services._connector_kit.orders.risk import redis_check
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, trading_desk
from tests.support.venues.simulated import all_move_on, newest

pytestmark = pytest.mark.timeout(180)

# It is looked at every so many seconds.
WITHIN = redis_check.POLL_INTERVAL + 20.0


async def status(redis: Redis, connector: str) -> ConnectorStatusEvent:
    """What the connector said last."""
    entries: Any = await redis.xrevrange(str(EventStream(connector, "connector_status")), count=1)
    return ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])


async def test_no_order_leaves_while_redis_may_lose_it(tmp_path: Path) -> None:
    """It says so before anybody asks; market data and cancels go on; the remedy is enough."""
    async with trading_desk(MARKETS[0], tmp_path) as desk, desk.connector():
        resting = await desk.order(price=await desk.far_below())
        await desk.status(resting, "open")
        await desk.redis.config_set("appendonly", "no")

        async def refusing() -> bool:
            return (await status(desk.redis, desk.name)).reason_code == "redis_unfit"

        await eventually_async(refusing, within=WITHIN)
        refused = await desk.order(price=await desk.far_below())
        answer = await desk.response(refused)
        assert (answer.status, answer.reason_code) == ("rejected", "redis_unfit")
        assert "CONFIG SET appendonly yes" in (answer.error_message or "")
        assert await desk.at_venue(refused) == []
        cancel = await desk.request("cancel_order", symbol="BTC/USDT", client_order_id=resting)
        assert cancel.status == "done"
        venue = desk.market.venue
        seen = await newest(desk.redis, venue.streams)
        await eventually_async(lambda: all_move_on(desk.redis, venue, seen))
        await desk.redis.config_set("appendonly", "yes")

        async def trading() -> bool:
            return (await status(desk.redis, desk.name)).trading

        await eventually_async(trading, within=WITHIN)
        accepted = await desk.order(price=await desk.far_below())
        assert (await desk.response(accepted)).status == "accepted"
