"""The real connector follows its account: when it can't, no order leaves, and it tries again."""

import asyncio
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import AccountBalanceEvent, ConnectorStatusEvent
from common_models.stream_names import EventStream
from services._connector_kit.errors import RETRY_REFUSED
from services._connector_kit.orders.account.account_health import GRACE
from tests.support.eventually import eventually_async
from tests.support.orders.trading import TradingDesk
from tests.support.venues.simulated import is_ready, report

pytestmark = pytest.mark.timeout(240)


async def status(redis: Redis, connector: str) -> ConnectorStatusEvent:
    """What the connector said last."""
    entries: Any = await redis.xrevrange(str(EventStream(connector, "connector_status")), count=1)
    return ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])


async def says(desk: TradingDesk, reason_code: str | None, within: float) -> None:
    """Wait until `connector_status` gives that reason; None: it trades."""

    async def said() -> bool:
        last = await status(desk.redis, desk.name)
        return (last.trading, last.reason_code) == (reason_code is None, reason_code)

    await eventually_async(said, within=within)


async def account_is_ready(desk: TradingDesk) -> str:
    """What `/ready` says of the account."""
    return str((await report(desk.health_port))[1]["parts"]["account"])


async def test_one_stray_refusal_of_the_key_stops_orders_for_half_a_minute_and_not_for_good(
    desk: TradingDesk,
) -> None:
    """Cancels go on; then orders are taken again, and their statuses are published."""
    async with desk.connector():
        await says(desk, None, within=60.0)
        resting = await desk.order(price=await desk.far_below())
        await desk.status(resting, "open")
        await desk.trouble("open_orders", answer="error", status=401, body=desk.market.refusal_body)
        await desk.disconnect_account()
        await says(desk, "key_refused", within=15.0)
        assert "key" in await account_is_ready(desk)
        refused = await desk.response(await desk.order(price=await desk.far_below()))
        assert (refused.status, refused.reason_code) == ("rejected", "key_refused")
        assert await desk.arrivals(refused.client_order_id) == 0
        cancel = await desk.request(
            "cancel_order", symbol=desk.market.symbol, client_order_id=resting
        )
        assert cancel.status == "done"
        await says(desk, None, within=RETRY_REFUSED + 15.0)
        assert await account_is_ready(desk) == "ok"
        filled = await desk.order(price=await desk.marketable())
        await desk.status(filled, "filled")


async def test_a_key_that_is_refused_to_an_order_alone_is_said_and_stops_the_next_ones(
    desk: TradingDesk,
) -> None:
    """It may read, so the account is followed; the first order finds out."""
    async with desk.connector():
        await says(desk, None, within=60.0)
        await desk.trouble("place", answer="error", status=401, body=desk.market.refusal_body)
        first = await desk.response(await desk.order(price=await desk.far_below()))
        assert (first.status, first.reason_code) == ("rejected", "exchange_rejected")
        await says(desk, "key_refused", within=10.0)
        second = await desk.response(await desk.order(price=await desk.far_below()))
        assert (second.status, second.reason_code) == ("rejected", "key_refused")
        assert await desk.arrivals(second.client_order_id) == 0


async def test_no_order_leaves_while_the_account_cant_be_followed_for_long(
    desk: TradingDesk,
) -> None:
    """It waits for as long as it may; once it can be, orders are taken again."""
    async with desk.connector(ORDER_COMMAND_MAX_AGE="7"):
        await says(desk, None, within=60.0)
        await desk.trouble("balances", answer="error", status=503, count=None)
        await desk.disconnect_account()
        await says(desk, "account_unavailable", within=GRACE + 15.0)
        sent = asyncio.get_running_loop().time()
        answer = await desk.response(await desk.order(price=await desk.far_below()))
        assert (answer.status, answer.reason_code) == ("rejected", "account_unavailable")
        assert asyncio.get_running_loop().time() - sent > 6.0
        assert await desk.arrivals(answer.client_order_id) == 0
        late = await desk.order(price=await desk.far_below())
        await desk.end_trouble()
        await says(desk, None, within=60.0)
        accepted = await desk.response(await desk.order(price=await desk.far_below()))
        assert accepted.status == "accepted"
        assert (await desk.response(late)).status in ("accepted", "rejected")


async def test_an_order_sent_before_the_connector_is_connected_waits_and_is_accepted(
    desk: TradingDesk,
) -> None:
    """Nothing is refused for a book or an account that comes a moment later."""
    async with desk.connector():
        price = await desk.far_below()
    sent = [await desk.order(price=price)]
    async with desk.starting(RISK_MAX_OPEN_ORDERS="100"):
        # One at each step of the start: before it answers, and as one part after the other works.
        for ready in range(1, 20):
            sent.append(await desk.order(price=price))
            await eventually_async(partial(_ready_parts, desk, ready), within=40.0)
            if await is_ready(desk.health_port):
                break
        for client_order_id in sent:
            answer = await desk.response(client_order_id)
            assert (answer.status, answer.reason_code) == ("accepted", None)


async def _ready_parts(desk: TradingDesk, least: int) -> bool:
    """Whether so many of its parts work, or all of them."""
    status, said = await report(desk.health_port)
    return status == 200 or [*said.get("parts", {}).values()].count("ok") >= least


async def _all_struck(desk: TradingDesk) -> bool:
    """Whether each fault has met its request."""
    return all((await desk.struck()).values())


async def test_a_slow_answer_that_overlaps_a_fill_is_not_published_after_it(
    desk: TradingDesk,
) -> None:
    """The balance published last is the venue's, and none before it is older than one before."""
    async with desk.connector():
        await says(desk, None, within=60.0)
        for _ in range(4):
            await desk.trouble("balances", answer_after_ms=800)
            asked = asyncio.create_task(desk.request("request_balance", assets=[desk.market.base]))
            await eventually_async(lambda: _all_struck(desk))
            filled = await desk.order(price=await desk.marketable())
            await desk.status(filled, "filled")
            assert (await asked).status == "done"
        base = desk.market.base

        async def last_is_the_venues() -> bool:
            events: list[AccountBalanceEvent] = await desk.events("account_balance")
            last = [event.total for event in events if event.asset == base][-1]
            held = (await desk.ledger())["balances"][base]
            return abs(last - float(held["free"]) - float(held["locked"])) < 1e-9

        await eventually_async(last_is_the_venues, within=20.0)
        events: list[AccountBalanceEvent] = await desk.events("account_balance")
        totals = [event.total for event in events if event.asset == base]
        assert totals == sorted(totals)
        assert len(set(totals)) >= 3  # Luno's are asked for, and several fills may be one
