"""The dead-man's switch, with a real connector: whose orders go, and when."""

from typing import Any

import pytest

from common_models.stream_names import BOT_HEARTBEAT
from tests.support.orders.trading import TradingDesk

pytestmark = pytest.mark.timeout(120)


async def heartbeat(desk: TradingDesk, seconds_ago: float) -> None:
    """The bot told that it lives, so long ago."""
    redis: Any = desk.redis
    seconds, _ = await redis.time()
    await redis.set(BOT_HEARTBEAT, int((seconds - seconds_ago) * 1000))


async def test_only_the_dead_bots_orders_are_cancelled(desk: TradingDesk) -> None:
    """Not while it lives; all of its own once it is silent; a person's order stays.

    Whatever became of their symbol in the settings. They keep their client ids.
    """
    async with desk.connector(DEAD_MAN_SWITCH="30") as connector:
        await heartbeat(desk, 0)
        price = await desk.far_below()
        by_hand = await desk.order(price=price)
        bots = [await desk.order(client_order_id=f"bot-{n}", price=price) for n in range(2)]
        for each in (by_hand, *bots):
            await desk.status(each, "open")
        assert await connector.end() == 0
    others = {desk.market.venue.setting: desk.market.venue.symbols[1]}
    async with desk.connector(DEAD_MAN_SWITCH="30", **others):
        await heartbeat(desk, 31)
        for each in bots:
            await desk.status(each, "canceled")
            (order,) = await desk.at_venue(each)
            assert order["client_order_id_now"] == each
        assert [status.status for status in await desk.statuses(by_hand)] == ["open"]
        (left,) = [o for o in (await desk.ledger())["orders"] if o["client_order_id"] == by_hand]
        assert left["state"].upper() in ("NEW", "OPEN", "PENDING")
