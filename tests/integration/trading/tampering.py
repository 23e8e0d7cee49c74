"""What may be done to a command stream by somebody who may add to it."""

import json
from typing import Any
from uuid import uuid4

from tests.support.eventually import eventually_async
from tests.support.metrics import page
from tests.support.orders.trading import TradingDesk

LARGEST = f"{2**64 - 1}-{2**64 - 1}"
OPERATORS = ("operator:cancel_all_orders", "operator:cancel_order")
BOTS = ("place_order", "cancel_order", "cancel_all_orders", "query_order", "request_balance")
# A blocked stream takes commands again within this; the guard looks every second.
REPAIRED_WITHIN = 20.0


def command_streams(desk: TradingDesk, *, with_operators: bool) -> list[str]:
    """All that somebody may add to."""
    names = [f"commands:{command}" for command in BOTS]
    return [f"{desk.name}:{name}" for name in (*names, *(OPERATORS if with_operators else ()))]


async def repaired(client: Any, reader: Any, stream: str) -> bool:
    """Add an entry with the largest id; whether the stream takes commands again soon."""
    await client.xadd(stream, {"data": json.dumps({"poison": stream})}, id=LARGEST)

    async def takes_ids_of_now() -> bool:
        return bool((await reader.xinfo_stream(stream))["last-generated-id"] != LARGEST.encode())

    try:
        await eventually_async(takes_ids_of_now, within=REPAIRED_WITHIN)
    except AssertionError:
        return False
    return True


async def deleted_unread(desk: TradingDesk, client: Any, name: str) -> bool:
    """Trim a stream of cancels and questions in the moment that a command was added.

    Whether that had no answer; it is noticed in any case.
    """
    command = name.rpartition(":")[2]
    lost = {"client_request_id": uuid4().hex, "symbol": desk.market.symbol, "order_id": "1"}
    async with client.pipeline(transaction=True) as together:
        together.xadd(f"{desk.name}:{name}", {"data": json.dumps(lost)})
        together.xadd(f"{desk.name}:{name}", {"data": "{}"}, maxlen=0, approximate=False)
        await together.execute()

    async def noticed() -> bool:
        found = await page(desk.health_port)
        return found["command_streams_tampered_total", command, "deleted"] >= 2

    await eventually_async(noticed)
    answered = {event.client_request_id for event in await desk.events("command_response")}
    return lost["client_request_id"] not in answered
