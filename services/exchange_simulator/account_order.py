"""An account's order and its fills, read by both venues' endpoints and by the state file."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from services.exchange_simulator.instruments import INSTRUMENTS, SimulatedInstrument
from services.exchange_simulator.matching import Side, TimeInForce

BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}

# All amounts of money are whole numbers of 1e-8 of their asset; no instrument has a finer scale.
AMOUNT_SCALE = 8

Kind = Literal["limit", "market", "post_only"]
# "refused": a post-only order that would have traded. It is closed, like the three before it.
State = Literal["open", "filled", "canceled", "expired", "refused"]


def unit(scale: int) -> int:
    """`10**-scale` as an amount."""
    return int(10 ** (AMOUNT_SCALE - scale))


def base_amount(instrument: SimulatedInstrument, lots: int) -> int:
    """Lots as an amount of the base asset."""
    return lots * unit(instrument.quantity_scale)


def quote_amount(instrument: SimulatedInstrument, ticks_times_lots: int) -> int:
    """Ticks times lots as an amount of the quote asset."""
    return ticks_times_lots * unit(instrument.money_scale)


class NewOrder(NamedTuple):
    """The terms of a client's order: price in ticks, quantity in lots.

    `quote_asked` is the amount (1e-8 of the quote asset) that a market order by value spends or
    earns; its quantity is computed from the book.
    """

    symbol: str
    client_id: str
    kind: Kind
    side: Side
    quantity: int
    price: int | None = None
    time_in_force: TimeInForce = "GTC"
    quote_asked: int | None = None

    @property
    def instrument(self) -> SimulatedInstrument:
        """The instrument of the order."""
        return BY_SYMBOL[self.symbol]


@dataclass(frozen=True, slots=True)
class AccountFill:
    """One trade of an order: ticks, lots, and the fee as an amount of `fee_asset`."""

    trade_id: int
    time_ms: int
    price: int
    quantity: int
    fee: int
    fee_asset: str
    maker: bool


@dataclass(slots=True)
class AccountOrder:
    """An order of the account.

    `client_id` is its current client id. A cancel or an amendment may replace it; then
    `called_before` is the previous one. `asked.quantity` is the quantity after amendments.
    """

    order_id: int
    asked: NewOrder
    client_id: str
    created_ms: int
    updated_ms: int
    state: State = "open"
    filled: int = 0  # lots
    spent: int = 0  # ticks times lots
    held: int = 0  # amount of `hold_asset`
    hidden_until_ms: int = 0  # queries don't find the order before this time
    called_before: str = ""
    fills_hidden_until_ms: int = 0  # nor its fills before this time
    fills: list[AccountFill] = field(default_factory=list)

    @property
    def instrument(self) -> SimulatedInstrument:
        """The instrument of the order."""
        return self.asked.instrument

    @property
    def hold_asset(self) -> str:
        """The asset that the order holds."""
        return self.instrument.base if self.asked.side == "sell" else self.instrument.quote

    @property
    def remaining(self) -> int:
        """Unfilled quantity in lots."""
        return self.asked.quantity - self.filled

    def fees(self) -> dict[str, int]:
        """The fees paid so far: amount in 1e-8 by asset."""
        paid: dict[str, int] = defaultdict(int)
        for fill in self.fills:
            paid[fill.fee_asset] += fill.fee
        return paid
