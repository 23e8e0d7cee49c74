"""The types of message fields, with their bounds."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
# Statuses of `order_status` after which an order never changes again.
CLOSED_ORDER_STATUSES = frozenset({"filled", "canceled", "rejected", "expired"})

# A datetime that must carry a zone.
Timestamp = Annotated[datetime, AwareDatetime]

# Prices and quantities of trades and book levels.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# Balances, volumes, filled and remaining quantities.
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# Indicator values, and the echo of what a command asked for.
Finite = Annotated[float, Field(allow_inf_nan=False)]
# Prices and quantities of commands: a JSON number, never a string or a boolean that looks like one.
StrictPositive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


def utc_now() -> datetime:
    """The current time in UTC: the contract's default for an event's timestamp."""
    return datetime.now(UTC)


def is_none(value: object) -> bool:
    """True for a field that is left out of the JSON: readers of an earlier release see no null."""
    return value is None
