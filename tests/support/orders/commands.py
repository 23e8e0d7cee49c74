"""Orders, records and books for tests of the order path."""

import re
from decimal import Decimal
from typing import Any

from common_models import PlaceOrderCommand
from services._connector_kit.instruments import Range, TradingRules
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.validation import OrderRules
from services._connector_kit.orders.ports import Rejection


def command(**fields: Any) -> PlaceOrderCommand:
    """A limit buy of 0.5 BTC/USDT at 100, but for *fields*."""
    return PlaceOrderCommand.model_validate(
        {
            "client_order_id": "order-1",
            "symbol": "BTC/USDT",
            "type": "limit",
            "side": "buy",
            "quantity": 0.5,
            "price": None if fields.get("type") == "market" else 100.0,
            **fields,
        }
    )


def record(
    order: PlaceOrderCommand | None = None, *, entry_id: str = "1700000000000-0", **fields: Any
) -> Record:
    """The journal's record of *order*, sent as it was asked for."""
    order = order or command()
    return Record(
        **{
            "client_order_id": order.client_order_id,
            "entry_id": entry_id,
            "command": order.model_dump_json(),
            "timestamp": 1_700_000_000_000,
            "validity": 5000,
            "sendable": True,
            "sent_quantity": f"{order.quantity:g}",
            "sent_price": None if order.price is None else f"{order.price:g}",
            **fields,
        }
    )


# A limit price on 0.01, a quantity on 0.0001; ids as any venue takes them.
STEPS = TradingRules(price=Range(Decimal("0.01")), quantity=Range(Decimal("0.0001")))
RULES = OrderRules("The venue", re.compile(r"[a-zA-Z0-9_-]{1,36}"), "1 to 36 letters and digits")


async def uncounted(_: Record, __: Decimal) -> Rejection | None:
    """Limits of a gate that count nothing."""
    return None
