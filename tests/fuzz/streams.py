"""Fills the streams that the bot and the indicator host read with what nobody should write."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from common_models import (
    AccountBalanceEvent,
    IndicatorValue,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
)
from common_models.stream_names import EventStream, IndicatorStream, MarketStream
from services._runtime.stream_position import StreamPosition
from tests.fuzz.corpus import HUGE, drawn, messages, with_field
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import connector_status, order_book, ticker, trade
from tests.support.processes import Service

READ_WITHIN = 60.0
INDICATOR = str(IndicatorStream("rsi_14", "binance", "BTCUSDT"))

# What is no message, whatever the stream.
GARBAGE: Sequence[Mapping[bytes, bytes]] = (
    {b"other": b"field"},
    {b"": b""},
    {b"data": b""},
    {b"data": b"\xff\xfe\x00"},
    {b"data": b"null"},
    {b"data": b"[" * 100_000},
    {b"data": b'{"a":' * 50_000},
    {b"data": b'{"price": 1e400, "price": NaN}'},
    {b"data": b'"' + b"x" * HUGE + b'"'},
)
MEGABYTE = json.dumps("\x1b[31m" + "x" * 1_000_000)
DIGITS = json.dumps("9" * 5000)
# What is worth trying in a field, as it stands in JSON.
RAW = ("1e308", "5e-324", "-1", "0", "NaN", "1e400", "true", "null", "[]", "{}", '""', '"\\u0000"')
ODD = (MEGABYTE, DIGITS, '"\\ud800"', '"\uff11\uff12"', "9" * 400, '{"' + "k" * 100_000 + '": -1}')
TIMES = (
    *('"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59.999999-23:59"', '"1969-12-31T23:59Z"'),
    *("253402300799", "-1e11", '"2026-01-02T03:04:05"', '"10000-01-01T00:00:00Z"'),
)
TIMEFRAMES = (json.dumps("9" * 5000 + "m"), json.dumps("9" * 400 + "d"), '"\uff11m"')


def market_messages() -> dict[str, dict[str, Any]]:
    """A good message for every market stream of BTC/USDT."""
    found: dict[str, BaseModel] = {
        str(MarketStream.of("binance", "BTC/USDT", "ticker")): ticker(),
        str(MarketStream.of("binance", "BTC/USDT", "orderbook")): order_book(),
        str(MarketStream.of("binance", "BTC/USDT", "trades")): trade(),
    }
    return {stream: message.model_dump(mode="json") for stream, message in found.items()}


def event_messages(client_order_id: str) -> dict[str, dict[str, Any]]:
    """A good message for every other stream that the bot reads; of that order, where of one."""
    asked = {"symbol": "BTC/USDT", "order_id": "4711", "client_order_id": client_order_id}
    balance = {"asset": "USDT", "free": 1.0, "locked": 0.0, "total": 1.0}
    found: dict[str, BaseModel] = {
        "order_response": OrderResponseEvent(
            **asked, requested_quantity=0.002, side="buy", type="market", status="accepted"
        ),
        "order_status": OrderStatusUpdateEvent(
            **asked,
            status="partially_filled",
            filled_quantity=0.001,
            remaining_quantity=0.001,
            average_price=100.0,
            trades=[trade()],
            fee={"USDT": 0.001},
            exchange="binance",
        ),
        "account_balance": AccountBalanceEvent(exchange="binance", **balance),
        "connector_status": connector_status(),
    }
    messages = {
        str(EventStream("binance_connector", name)): event.model_dump(mode="json")
        for name, event in found.items()
    }
    value = IndicatorValue(
        value=20.0, indicator_name="rsi_14", symbol="BTC/USDT", exchange="binance"
    )
    return {**messages, INDICATOR: value.model_dump(mode="json")}


async def flood(
    redis: Any,
    wanted: Mapping[str, dict[str, Any]],
    count: int,
    start: int,
    *,
    faults: bool = True,
) -> None:
    """*count* drawn messages into every stream of *wanted*; garbage and single faults first."""
    for number, (stream, fields) in enumerate(wanted.items()):
        known = [*GARBAGE, *({b"data": data} for data in _faults(fields))] if faults else []
        random = [{b"data": data} for data in drawn(_like(fields), count, start + number)]
        async with redis.pipeline(transaction=False) as pipe:
            for entry in [*known, *random]:
                pipe.xadd(stream, entry)
            await pipe.execute()


def _faults(fields: Mapping[str, Any]) -> list[bytes]:
    found = []
    for name in fields:
        raws = [*RAW, *ODD, *(TIMES if "timestamp" in name else ())]
        raws += TIMEFRAMES if name == "timeframe" else ()
        found += [with_field(fields, name, raw) for raw in raws]
    return found


def _like(fields: Mapping[str, Any]) -> st.SearchStrategy[bytes]:
    """Also messages that are right, but for numbers and times that no market has."""
    numbers = [name for name, value in fields.items() if isinstance(value, float)]
    odd_numbers = st.sampled_from(["1e308", "5e-324", "1e-300", "123456789.123456789", "1e15"])
    choices = [messages(fields)]
    if numbers:
        choices.append(
            st.tuples(st.sampled_from(numbers), odd_numbers, st.sampled_from(TIMES)).map(
                lambda drawn: with_field(
                    json.loads(with_field(fields, "timestamp", drawn[2])), drawn[0], drawn[1]
                )
            )
        )
    return st.one_of(choices)


async def until_read(
    redis: Any, streams: Sequence[str], positions: Mapping[str, tuple[str, str]], service: Service
) -> None:
    """Wait until everything is read; `positions`: for each stream the hash and field with it."""

    async def read() -> bool:
        assert not service.exited, service.log.read_text()[-3000:]
        for stream in streams:
            found = await redis.hget(*positions[stream])
            newest = await redis.xrevrange(stream, count=1)
            if not found or StreamPosition.parse(found.decode()).id != newest[0][0].decode():
                return False
        return True

    await eventually_async(read, within=READ_WITHIN)
