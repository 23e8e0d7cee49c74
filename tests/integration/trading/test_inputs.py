"""What comes in is bounded: a venue's answers, on real processes whose memory is measured."""

import json
from typing import Any

import pytest

from common_models.stream_names import CommandStream, DeadLetterStream
from services._runtime.redis_parser import oversize_note
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.memory import MB, forget_peak, peak
from tests.support.orders.trading import TradingDesk

# What a trial may take beyond what the connector takes anyway, in bytes.
MOST = 96 * MB
ANSWERS = {
    "deep": "end the process by JSON that is nested too deeply",
    "bomb": "fill the memory by 256 MB in a small gzip",
}


async def struck_all(desk: TradingDesk) -> bool:
    """Whether every fault has struck."""
    return all((await desk.struck()).values())


async def works(desk: TradingDesk) -> None:
    """An order is placed, and cancelled."""
    order = await desk.order(price=await desk.far_below())
    assert (await desk.response(order)).status == "accepted"
    symbol = desk.market.symbol
    answer = await desk.request("cancel_order", client_order_id=order, symbol=symbol)
    assert answer.status == "done"


@pytest.mark.parametrize("body", ANSWERS)
async def test_answers_that_are_too_deep_or_too_large_cost_neither_the_process_nor_its_memory(
    desk: TradingDesk, body: str, attempt: Attempts
) -> None:
    """Of the account, under a 200 and under an error; when they are over it trades as before."""
    async with desk.connector(RECONCILE_INTERVAL="0.5") as service:
        await works(desk)
        before = forget_peak(service.process.pid)
        answer: dict[str, Any] = {"execute": "never", "answer": "error", "body": body}
        for endpoint in ("balances", "open_orders", "market_data"):
            for status in (200, 400):
                await desk.trouble(endpoint, status=status, count=1, **answer)
        await desk.send("request_balance", {"exchange": desk.market.venue.exchange})
        await desk.end_sessions("market_stream")  # so that books and trades are asked for
        await eventually_async(lambda: struck_all(desk))
        await works(desk)
        harmed = service.exited or peak(service.process.pid) - before >= MOST
        for _ in await desk.struck():
            attempt("exchange", ANSWERS[body], succeeded=harmed)
        assert not harmed


@pytest.mark.parametrize("body", ANSWERS)
async def test_an_orders_answer_that_cant_be_read_is_unknown_and_then_resolved(
    desk: TradingDesk, body: str, attempt: Attempts
) -> None:
    """It was placed once, and is never said to have been rejected."""
    async with desk.connector() as service:
        await works(desk)
        before = forget_peak(service.process.pid)
        price = await desk.far_below()
        fault = await desk.fault("", execute="now", answer="error", status=200, body=body)
        order = await desk.order(price=price)
        await desk.response(order)
        told = [(each.status, each.reason_code) for each in await desk.responses(order)]
        assert told == [("unknown", "outcome_unknown"), ("accepted", None)]
        assert (await desk.struck())[fault] == 1
        assert await desk.arrivals(order) == 1
        harmed = peak(service.process.pid) - before >= MOST
        attempt("exchange", f"{ANSWERS[body]}, to an order", succeeded=harmed)
        assert not harmed


async def send_together(desk: TradingDesk, command: str, contents: list[bytes]) -> None:
    """Put commands into their stream in one transaction, so that they are read in one reply."""
    redis: Any = desk.redis
    async with redis.pipeline(transaction=True) as together:
        for content in contents:
            together.xadd(str(CommandStream(desk.name, command)), {"data": content})
        await together.execute()


@pytest.mark.parametrize("command", ["place_order", "cancel_order", "query_order"])
async def test_huge_commands_become_dead_letters_and_take_no_memory(
    desk: TradingDesk, command: str, attempt: Attempts
) -> None:
    """Ten in one reply, of 12 MB each; what comes with them is carried out."""
    huge = b'{"client_order_id": "' + b"x" * (12 * MB) + b'"}'
    symbol = desk.market.symbol
    async with desk.connector() as service:
        await works(desk)
        order = await desk.order(price=await desk.far_below())
        await desk.response(order)
        contents: dict[str, dict[str, Any]] = {
            "place_order": {
                "client_order_id": f"{order[:-1]}x",
                "symbol": symbol,
                "side": "buy",
                "quantity": desk.market.quantity,
                "type": "limit",
                "price": await desk.far_below(),
            },
            "cancel_order": {"client_order_id": order, "symbol": symbol},
            "query_order": {"client_order_id": order, "symbol": symbol},
        }
        content = contents[command]
        if command != "place_order":
            content["client_request_id"] = "after"
        before = forget_peak(service.process.pid)
        await send_together(desk, command, [*[huge] * 10, json.dumps(content).encode()])
        if command == "place_order":
            assert (await desk.response(f"{order[:-1]}x")).status == "accepted"
        else:
            assert (await desk.answer("after")).status == "done"
        letters = str(DeadLetterStream(desk.name, command))
        await eventually_async(lambda: _holds(desk, letters, 10))
        harmed = service.exited or peak(service.process.pid) - before >= MOST
        for _ in range(10):
            attempt("bot", "end a connector by commands of 12 MB", succeeded=harmed)
        assert not harmed
        entries: Any = await desk.redis.xrange(letters)
        for _, fields in entries:
            assert oversize_note(len(huge) + len("data")) in fields[b"data"]


async def _holds(desk: TradingDesk, stream: str, entries: int) -> bool:
    return bool(await desk.redis.xlen(stream) == entries)
