"""What every connector does with commands: one suite, both venues, real processes."""

import json
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from common_models.stream_names import DeadLetterStream
from tests.support.eventually import eventually_async
from tests.support.orders.trading import TradingDesk, settled

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_limit_order_is_accepted_rests_and_is_cancelled(desk: TradingDesk) -> None:
    """Each step is told, the cancel is answered after it, and the order stays ours."""
    price = await desk.far_below()
    order_id = await desk.order(price=price)
    accepted = await desk.response(order_id)
    assert (accepted.status, accepted.reason_code) == ("accepted", None)
    assert (accepted.requested_price, accepted.sent_price) == (price, price)
    told = await desk.status(order_id, "open")
    assert told.order_id == accepted.order_id
    assert (told.filled_quantity, told.remaining_quantity) == (0.0, desk.market.quantity)
    done = await desk.request("cancel_order", symbol=desk.market.symbol, client_order_id=order_id)
    assert (done.status, done.command) == ("done", "cancel_order")
    statuses = await desk.statuses(order_id)
    assert [status.status for status in statuses] == ["open", "canceled"]
    assert not any(status.external for status in statuses)
    (order,) = await desk.at_venue(order_id)
    assert order["state"] == "canceled"
    assert order["client_order_id_now"] == order_id


async def test_a_market_buy_is_filled_with_trades_fee_and_balances(desk: TradingDesk) -> None:
    """What is told is what the venue has in its books."""
    order_id = await desk.order()
    answer = await desk.response(order_id)
    assert answer.status == "accepted", answer
    filled = await desk.status(order_id, "filled")
    await settled(desk, order_id)
    (order,) = await desk.at_venue(order_id)
    assert filled.filled_quantity == float(order["filled_quantity"]) == desk.market.quantity
    assert filled.remaining_quantity == 0.0
    last = (await desk.statuses(order_id))[-1]
    assert last.fee == {asset: float(paid) for asset, paid in order["fees"].items()}
    assert last.average_price == pytest.approx(
        float(order["filled_quote"]) / float(order["filled_quantity"])
    )
    await balance_told(desk, desk.market.base)


async def test_a_market_sell_is_filled(desk: TradingDesk) -> None:
    """Also where the venue doesn't say how much a market order asked for."""
    order_id = await desk.order(side="sell")
    answer = await desk.response(order_id)
    assert answer.status == "accepted", answer
    filled = await desk.status(order_id, "filled")
    assert (filled.filled_quantity, filled.remaining_quantity) == (desk.market.quantity, 0.0)
    assert all(trade.side == "sell" for trade in filled.trades or ())
    await settled(desk, order_id)


async def balance_told(desk: TradingDesk, asset: str) -> None:
    """Wait until the newest balance of *asset* that was told is the venue's."""

    async def told() -> bool:
        now = (await desk.ledger())["balances"][asset]
        events = [e for e in await desk.events("account_balance") if e.asset == asset]
        wanted = (float(now["free"]), float(now["locked"]))
        return bool(events) and (events[-1].free, events[-1].locked) == wanted

    await eventually_async(told)


async def test_an_open_order_locks_its_money(desk: TradingDesk) -> None:
    """And a cancel gives it back: both are told."""
    quote = desk.market.symbol.partition("/")[2]
    order_id = await desk.order(price=await desk.far_below())
    await desk.status(order_id, "open")
    await balance_told(desk, quote)
    await desk.request("cancel_order", symbol=desk.market.symbol, client_order_id=order_id)
    await balance_told(desk, quote)


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
async def test_an_order_that_cannot_trade_at_once_ends_unfilled(
    desk: TradingDesk, time_in_force: str
) -> None:
    """It is accepted, and over without a fill."""
    order_id = await desk.order(price=await desk.far_below(), time_in_force=time_in_force)
    answer = await desk.response(order_id)
    assert answer.status == "accepted", answer
    over = await desk.status(order_id, "expired", "canceled")
    assert over.filled_quantity == 0.0


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
async def test_an_order_that_must_trade_at_once_trades_if_the_book_allows(
    desk: TradingDesk, time_in_force: str
) -> None:
    """A price beyond the other side's takes it."""
    order_id = await desk.order(price=await desk.marketable(), time_in_force=time_in_force)
    answer = await desk.response(order_id)
    assert answer.status == "accepted", answer
    assert (await desk.status(order_id, "filled")).filled_quantity == desk.market.quantity


async def test_a_post_only_order_never_takes(desk: TradingDesk) -> None:
    """It rests far off the market, and ends unfilled where it would trade."""
    rests = await desk.order(price=await desk.far_below(), post_only=True)
    await desk.status(rests, "open")
    takes = await desk.order(price=await desk.marketable(), post_only=True)
    answer = await desk.response(takes)
    if answer.status == "accepted":  # Luno takes it and cancels it, Binance refuses it
        assert (await desk.status(takes, "canceled")).filled_quantity == 0.0
    else:
        assert answer.reason_code == "exchange_rejected"
    assert sum(float(o["filled_quantity"]) for o in await desk.at_venue(takes)) == 0.0


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("unknown_symbol", {"symbol": "NOPE/ZAR"}),
    ("quantity_out_of_bounds", {"quantity": 1e-9}),
    ("quantity_out_of_bounds", {"quantity": 1e12}),
    ("price_out_of_bounds", {"price": 1e-9}),
    ("price_out_of_bounds", {"price": 1e12}),
    ("bad_client_order_id", {"client_order_id": "no spaces, please & thank you=1"}),
    ("unsupported", {"type": "market", "post_only": True}),
    ("unsupported", {"type": "market", "time_in_force": "IOC"}),
    ("unsupported", {"price": 1000.0, "post_only": True, "time_in_force": "IOC"}),
]


async def test_what_breaks_a_rule_is_refused_and_never_sent(desk: TradingDesk) -> None:
    """With its reason and words that say what would be right."""
    for reason, fields in REFUSED:
        named = fields.get("client_order_id")
        own_id = {"client_order_id": f"{named} {uuid4()}"} if named else {}
        order_id = await desk.order(**{**fields, **own_id})
        answer = await desk.response(order_id)
        assert (answer.status, answer.reason_code) == ("rejected", reason)
        assert answer.error_message
        assert answer.order_id is None
        assert await desk.arrivals(order_id) == 0


async def test_too_large_an_order_is_refused(desk: TradingDesk) -> None:
    """RISK_MAX_NOTIONAL, for limit and market orders alike."""
    limit = await desk.order(price=await desk.far_below(), quantity=0.9)
    market = await desk.order(quantity=0.9)
    for order_id in (limit, market):
        answer = await desk.response(order_id)
        assert (answer.status, answer.reason_code) == ("rejected", "max_notional")
        assert "RISK_MAX_NOTIONAL" in (answer.error_message or "")


async def test_a_price_far_beyond_the_market_is_refused(desk: TradingDesk) -> None:
    """Buys above the ask and sells below the bid; the other way round they only rest."""
    book = await desk.book()
    buy = await desk.order(price=desk.on_tick(book.asks[0].price * 1.1), quantity=0.001)
    sell = await desk.order(
        side="sell", price=desk.on_tick(book.bids[0].price * 0.9), quantity=0.001
    )
    for order_id in (buy, sell):
        answer = await desk.response(order_id)
        assert (answer.status, answer.reason_code) == ("rejected", "price_collar")


async def test_the_same_order_again_gets_the_stored_answer(desk: TradingDesk) -> None:
    """And another order under its id is refused: either way there is one order."""
    price = await desk.far_below()
    order_id = uuid4().hex
    await desk.order(client_order_id=order_id, price=price)
    first = await desk.response(order_id)
    await desk.order(client_order_id=order_id, price=price)
    await desk.order(client_order_id=order_id, price=price, side="sell")

    async def all_answered() -> bool:
        return len(await desk.responses(order_id)) == 3

    await eventually_async(all_answered)
    answers = await desk.responses(order_id)
    assert {answer.status for answer in answers if answer.replay} == {"accepted"}
    assert {answer.order_id for answer in answers if answer.replay} == {first.order_id}
    assert [a.reason_code for a in answers if a.status == "rejected"] == ["duplicate_id"]
    assert len(await desk.at_venue(order_id)) == 1
    assert await desk.arrivals(order_id) == 1


async def test_a_command_that_cant_be_read_goes_to_the_dead_letters(desk: TradingDesk) -> None:
    """Whole, and with an answer where the id can be read."""
    order_id = uuid4().hex
    entry_id = await desk.send(
        "place_order", {"client_order_id": order_id, "symbol": desk.market.symbol, "quantity": "1"}
    )
    answer = await desk.response(order_id)
    assert (answer.status, answer.reason_code) == ("rejected", "invalid_command")
    assert "quantity" in (answer.error_message or "")
    request_id = uuid4().hex
    await desk.send("cancel_order", {"client_request_id": request_id})
    refused = await desk.answer(request_id)
    assert (refused.status, refused.reason_code) == ("rejected", "invalid_command")
    await desk.send("request_balance", b"\xff\xfe")
    for command, wanted in (("place_order", entry_id), ("request_balance", None)):
        stream = str(DeadLetterStream(desk.name, command))
        await eventually_async(partial(desk.redis.xlen, stream))
        entries: Any = await desk.redis.xrange(stream)
        letters = [json.loads(fields[b"data"]) for _, fields in entries]
        assert wanted is None or wanted in [letter["entry_id"] for letter in letters]


async def test_a_query_publishes_the_order_again(desk: TradingDesk) -> None:
    """By either id; an order that isn't there is said to be unknown."""
    order_id = await desk.order(price=await desk.far_below())
    exchange_id = (await desk.status(order_id, "open")).order_id
    for reference in ({"client_order_id": order_id}, {"order_id": exchange_id}):
        before = len(await desk.statuses(order_id))
        done = await desk.request("query_order", symbol=desk.market.symbol, **reference)
        assert done.status == "done"
        assert len(await desk.statuses(order_id)) == before + 1
    for reference in ({"client_order_id": uuid4().hex}, {"order_id": "99999999"}):
        none = await desk.request("query_order", symbol=desk.market.symbol, **reference)
        assert (none.status, none.reason_code) == ("rejected", "unknown_order")


async def test_there_may_be_nothing_to_cancel(desk: TradingDesk) -> None:
    """Nothing ever placed, and what was filled; what is cancelled already counts as done."""
    symbol = desk.market.symbol
    nothing = await desk.request("cancel_order", symbol=symbol, client_order_id=uuid4().hex)
    filled = await desk.order()
    await desk.status(filled, "filled")
    too_late = await desk.request("cancel_order", symbol=symbol, client_order_id=filled)
    for answer in (nothing, too_late):
        assert (answer.status, answer.reason_code) == ("rejected", "nothing_to_cancel")
    order_id = await desk.order(price=await desk.far_below())
    await desk.status(order_id, "open")
    for _ in range(2):
        done = await desk.request("cancel_order", symbol=symbol, client_order_id=order_id)
        assert done.status == "done"
    assert [s.status for s in await desk.statuses(order_id)] == ["open", "canceled"]


async def test_a_cancel_may_overtake_its_order(desk: TradingDesk) -> None:
    """Both are sent at once; the cancel waits for the order that is under way."""
    order_id = uuid4().hex
    await desk.fault(order_id, execute="late", execute_after_ms=300)
    await desk.order(client_order_id=order_id, price=await desk.far_below())
    done = await desk.request("cancel_order", symbol=desk.market.symbol, client_order_id=order_id)
    assert done.status == "done", done
    await desk.status(order_id, "canceled")


async def test_all_orders_of_a_symbol_are_cancelled(desk: TradingDesk) -> None:
    """And no other symbol's."""
    other = desk.market.venue.symbols[1]
    here = [await desk.order(price=await desk.far_below()) for _ in range(3)]
    for order_id in here:
        await desk.status(order_id, "open")
    done = await desk.request("cancel_all_orders", symbol=desk.market.symbol)
    assert done.status == "done"
    for order_id in here:
        assert (await desk.statuses(order_id))[-1].status == "canceled"
    assert (await desk.request("cancel_all_orders", symbol=other)).status == "done"
    unknown = await desk.request("cancel_all_orders", symbol="NOPE/ZAR")
    assert (unknown.status, unknown.reason_code) == ("rejected", "unknown_symbol")


async def test_balances_are_published_on_request(desk: TradingDesk) -> None:
    """Those named, 0 too, before the answer; a request for another exchange is refused."""
    before = len(await desk.events("account_balance"))
    exchange = desk.market.venue.exchange
    named = [desk.market.base, "DOGE"]
    done = await desk.request("request_balance", exchange=exchange, assets=named)
    assert done.status == "done"
    told = (await desk.events("account_balance"))[before:]
    assert {"DOGE", desk.market.base} <= {event.asset for event in told}
    assert [event.total for event in told if event.asset == "DOGE"] == [0.0]
    refused = await desk.request("request_balance", exchange="another")
    assert (refused.status, refused.reason_code) == ("rejected", "wrong_exchange")


async def test_an_answer_that_is_lost_is_unknown_first_then_accepted(desk: TradingDesk) -> None:
    """The order was sent once, and is found."""
    order_id = uuid4().hex
    await desk.fault(order_id, answer="close")
    await desk.order(client_order_id=order_id, price=await desk.far_below())
    answer = await desk.response(order_id)
    assert answer.status == "accepted", answer
    answers = await desk.responses(order_id)
    assert [answer.status for answer in answers] == ["unknown", "accepted"]
    assert answers[0].reason_code == "outcome_unknown"
    assert await desk.arrivals(order_id) == 1


async def test_an_order_that_never_arrived_is_not_found(desk: TradingDesk) -> None:
    """Once the venue can no longer carry it out, and not before."""
    order_id = uuid4().hex
    await desk.fault(order_id, execute="never", answer="error", status=503, body="html")
    await desk.order(client_order_id=order_id, price=await desk.far_below())
    answer = await desk.response(order_id)
    assert (answer.status, answer.reason_code) == ("rejected", "not_found")
    assert answer.provisional
    statuses = [(a.status, a.timestamp) for a in await desk.responses(order_id)]
    (unknown, since), (rejected, at) = statuses
    assert (unknown, rejected) == ("unknown", "rejected")
    assert (at - since).total_seconds() > 2.0
    assert await desk.at_venue(order_id) == []
