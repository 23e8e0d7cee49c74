"""Floods: as many commands as somebody sends who doesn't stop."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from tests.support.orders.trading import TradingDesk

BATCH = 500


async def pour(redis: Any, stream: str, contents: Sequence[dict[str, Any]]) -> None:
    """Add them to *stream*, as fast as Redis takes them."""
    for start in range(0, len(contents), BATCH):
        async with redis.pipeline(transaction=False) as pipe:
            for content in contents[start : start + BATCH]:
                pipe.xadd(stream, {"data": json.dumps(content)})
            await pipe.execute()


def unknown_cancels(desk: TradingDesk, number: int) -> list[dict[str, Any]]:
    """Cancels of ids that were never used."""
    symbol = desk.market.symbol
    return [{"symbol": symbol, "client_order_id": uuid4().hex} for _ in range(number)]


def resting_orders(desk: TradingDesk, number: int, price: float) -> list[dict[str, Any]]:
    """Limit orders to buy at *price*."""
    order = {"symbol": desk.market.symbol, "side": "buy", "quantity": desk.market.quantity}
    order |= {"type": "limit", "price": price}
    return [{**order, "client_order_id": uuid4().hex} for _ in range(number)]


def everything(desk: TradingDesk, number: int, price: float) -> dict[str, list[dict[str, Any]]]:
    """So many of each command that a bot may send; the orders buy at *price*."""
    exchange = {"exchange": desk.market.venue.exchange}
    return {
        "place_order": resting_orders(desk, number, price),
        "cancel_order": unknown_cancels(desk, number),
        "query_order": unknown_cancels(desk, number),
        "cancel_all_orders": [{"client_request_id": uuid4().hex} for _ in range(number)],
        "request_balance": [{"client_request_id": uuid4().hex, **exchange} for _ in range(number)],
    }
