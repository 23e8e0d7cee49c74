"""What becomes of orders whose symbol was taken out of the settings, or off the venue's list."""

import signal
from typing import Any
from uuid import uuid4

import pytest

from common_models.stream_names import MarketStream
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, TradingDesk, settled

pytestmark = pytest.mark.timeout(180)


def without_its_symbol(desk: TradingDesk) -> dict[str, str]:
    """Settings that name another symbol only."""
    return {desk.market.venue.setting: desk.market.venue.symbols[1]}


async def newest_book(desk: TradingDesk) -> Any:
    """The id of the newest entry in the symbol's book."""
    redis: Any = desk.redis
    stream = MarketStream.of(desk.market.venue.exchange, desk.market.symbol, "orderbook")
    return (await redis.xinfo_stream(str(stream)))["last-generated-id"]


async def arrived(desk: TradingDesk, client_order_id: str) -> None:
    """Wait until the order is at the venue."""
    await eventually_async(lambda: desk.at_venue(client_order_id))


async def test_open_orders_of_a_symbol_that_is_not_configured_any_more_are_served(
    desk: TradingDesk,
) -> None:
    """Queried, filled, cancelled by id and with all others; nothing new, and no market data."""
    symbol = desk.market.symbol
    async with desk.connector() as connector:
        price = await desk.far_below()
        by_id, to_fill = [await desk.order(price=price) for _ in range(2)]
        with_all = await desk.order(price=desk.on_tick(price * 0.9))
        for order_id in (by_id, with_all, to_fill):
            await desk.status(order_id, "open")
        assert await connector.end() == 0
    book = await newest_book(desk)
    async with desk.connector(**without_its_symbol(desk)):
        asked = await desk.request("query_order", symbol=symbol, client_order_id=by_id)
        assert asked.status == "done", asked
        refused = await desk.response(await desk.order(price=price))
        assert (refused.status, refused.reason_code) == ("rejected", "unknown_symbol")
        assert await desk.arrivals(refused.client_order_id) == 0
        done = await desk.request("cancel_order", symbol=symbol, client_order_id=by_id)
        assert done.status == "done", done
        await desk.move_market(price * 0.95)
        await desk.status(to_fill, "filled")
        await settled(desk, to_fill)
        done = await desk.request("cancel_all_orders", symbol=symbol)
        assert done.status == "done", done
        await desk.status(with_all, "canceled")
        for order_id in (by_id, with_all):
            assert (await desk.statuses(order_id))[-1].status == "canceled"
        assert not any(s.external for s in await desk.events("order_status"))
        assert await newest_book(desk) == book
    async with desk.connector(**without_its_symbol(desk)):
        over = await desk.request("cancel_all_orders", symbol=symbol)
        assert (over.status, over.reason_code) == ("rejected", "unknown_symbol")


async def test_an_unclear_order_of_a_symbol_that_is_not_configured_any_more_is_found(
    desk: TradingDesk,
) -> None:
    """It was filled while its answer hung and the connector was killed: it isn't denied."""
    order_id = uuid4().hex
    async with desk.connector() as connector:
        await desk.fault(order_id, answer="hang")
        await desk.order(client_order_id=order_id)
        await arrived(desk, order_id)
        await connector.end(signal.SIGKILL)
    async with desk.connector(**without_its_symbol(desk)):
        answer = await desk.response(order_id)
        assert answer.status == "accepted", answer
        await desk.status(order_id, "filled")
        await settled(desk, order_id)
        assert await desk.arrivals(order_id) == 1


async def test_after_redis_lost_its_data_orders_of_any_listed_symbol_are_looked_for(
    desk: TradingDesk,
) -> None:
    """A command that is sent again finds its order; one that never was is refused as ever."""
    order_id = uuid4().hex
    async with desk.connector() as connector:
        price = await desk.marketable()
        await desk.order(client_order_id=order_id, price=price)
        await desk.status(order_id, "filled")
        assert await connector.end() == 0
    await desk.redis.flushall()
    async with desk.connector(**without_its_symbol(desk)):
        await desk.order(client_order_id=order_id, price=price)
        answer = await desk.response(order_id)
        assert answer.status == "accepted", answer
        await desk.status(order_id, "filled")
        assert await desk.arrivals(order_id) == 1
        for symbol in (desk.market.symbol, "NOPE/NOPE"):
            refused = await desk.response(await desk.order(price=price, symbol=symbol))
            assert (refused.status, refused.reason_code) == ("rejected", "unknown_symbol")
            assert await desk.arrivals(refused.client_order_id) == 0


async def test_a_symbol_that_was_delisted_stops_nothing_and_denies_no_order(
    desk: TradingDesk,
) -> None:
    """Luno knows an order by its id still; Binance can't be asked, so it stays unknown."""
    unclear = uuid4().hex
    async with desk.connector() as connector:
        price = await desk.far_below()
        resting = await desk.order(price=price)
        await desk.status(resting, "open")
        await desk.fault(unclear, answer="hang")
        # Else the account's stream tells it, and nobody needs to ask.
        await desk.fault(unclear, endpoint="user_stream", action="drop", count=None)
        await desk.order(client_order_id=unclear, price=price)
        await arrived(desk, unclear)
        await connector.end(signal.SIGKILL)
    await desk.delist(desk.market.symbol)
    async with desk.connector(**without_its_symbol(desk)):
        told = await desk.event("order_response", lambda e: e.client_order_id == unclear)
        exchange = desk.market.venue.exchange
        if exchange == "luno":
            assert told.status == "accepted"
        else:
            assert (told.status, told.reason_code) == ("unknown", "outcome_unknown")
            assert "doesn't list" in (told.error_message or "")
        assert (await desk.request("request_balance", exchange=exchange)).status == "done"
        finals = [a.status for a in await desk.responses(unclear)]
        assert "rejected" not in finals


async def test_a_cancel_by_order_id_keeps_the_client_id(desk: TradingDesk) -> None:
    """Of an order of ours, and of one that was placed elsewhere."""
    symbol = desk.market.symbol
    async with desk.connector():
        price = await desk.far_below()
        ours, theirs = await desk.order(price=price), uuid4().hex
        await desk.place_elsewhere(theirs, price)
        for name in (ours, theirs):
            order_id = (await desk.status(name, "open")).order_id
            done = await desk.request("cancel_order", symbol=symbol, order_id=order_id)
            assert done.status == "done", done
            (order,) = await desk.at_venue(name)
            assert (order["state"], order["client_order_id_now"]) == ("canceled", name)


@pytest.mark.parametrize("desk", MARKETS[:1], ids=["binance"], indirect=True)
async def test_an_order_that_was_amended_elsewhere_is_cancelled_by_our_id(
    desk: TradingDesk,
) -> None:
    """Binance gave it another client id; its order id is known."""
    symbol = desk.market.symbol
    async with desk.connector():
        order_id = await desk.order(price=await desk.far_below())
        opened = await desk.status(order_id, "open")
        await desk.amend_elsewhere(opened.order_id, desk.market.quantity / 2)
        (order,) = await desk.at_venue(order_id)
        assert order["client_order_id_now"] != order_id
        asked = await desk.request("query_order", symbol=symbol, client_order_id=order_id)
        assert asked.status == "done", asked
        done = await desk.request("cancel_order", symbol=symbol, client_order_id=order_id)
        assert done.status == "done", done
        last = (await desk.statuses(order_id))[-1]
        assert (last.status, last.order_id, last.external) == ("canceled", opened.order_id, False)
        (order,) = await desk.at_venue(order_id)
        assert (order["state"], order["client_order_id_now"]) == ("canceled", order_id)


@pytest.mark.parametrize("desk", MARKETS[1:], ids=["luno"], indirect=True)
async def test_an_order_that_luno_denies_without_a_word_is_not_found(desk: TradingDesk) -> None:
    """An empty 404 where the order is asked for, and it isn't listed either."""
    order_id = uuid4().hex
    async with desk.connector():
        await desk.fault(order_id, execute="never", answer="error", status=503, body="html")
        denied = {"execute": "never", "answer": "error", "status": 404, "body": "empty"}
        await desk.fault(order_id, endpoint="query", count=None, **denied)
        await desk.order(client_order_id=order_id, price=await desk.far_below())
        answer = await desk.response(order_id)
        assert (answer.status, answer.reason_code) == ("rejected", "not_found")
        assert [a.status for a in await desk.responses(order_id)] == ["unknown", "rejected"]
