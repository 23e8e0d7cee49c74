"""Orders and balances of the accounts that `LUNO_ACCOUNTS` names, at a venue that has them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream
from services.exchange_simulator.luno.order_wire import account_id
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, TradingDesk, trading_desk

(LUNO,) = (market for market in MARKETS if market.venue.exchange == "luno")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[TradingDesk]:
    """Luno."""
    async with trading_desk(LUNO, tmp_path) as desk:
        yield desk


async def test_orders_use_and_balances_are_of_the_accounts_that_are_named(
    desk: TradingDesk,
) -> None:
    """An order locks the very balance that is told."""
    named = ",".join(f"{asset}:{account_id(asset)}" for asset in ("XBT", "ZAR"))
    async with desk.connector(LUNO_ACCOUNTS=named):
        order = await desk.order(price=await desk.far_below())
        assert (await desk.response(order)).status == "accepted"
        await desk.event("account_balance", lambda e: e.asset == "ZAR" and e.locked > 0)


async def test_a_missing_account_stops_new_orders_and_is_published(
    desk: TradingDesk,
) -> None:
    """With those that are."""
    async with desk.starting(LUNO_ACCOUNTS="ZAR:1"):

        async def told() -> bool:
            stream = str(EventStream(desk.name, "connector_status"))
            entries: Any = await desk.redis.xrevrange(stream, count=1)
            if not entries:
                return False
            event = ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])
            why = f"LUNO_ACCOUNTS names ZAR:1; the accounts of ZAR are: {account_id('ZAR')}"
            return event.reason_code == "account_unavailable" and why in str(event.reason)

        await eventually_async(told)
