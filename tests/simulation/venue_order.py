"""One order in a simulated venue's ledger, and the forms in which the venue tells of it."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from common_models import PlaceOrderCommand
from services._connector_kit.orders.account.order_status import (
    ZERO,
    Fill,
    OrderStatusReport,
    Status,
)
from services._connector_kit.orders.ports import VenueOrder

VenueKind = Literal["binance", "luno"]
FEE = Decimal("0.001")


@dataclass(eq=False)
class Order:
    """One order. `found_from` and `searched_from` are virtual seconds, times venue milliseconds.

    `command` is what was asked for; the terms may have been changed since. `external`: it was
    placed elsewhere.
    """

    order_id: str
    client_order_id: str
    command: PlaceOrderCommand
    quantity: Decimal
    price: Decimal
    created: int
    found_from: float = 0.0
    searched_from: float = 0.0
    status: Status = "open"
    fills: list[Fill] = field(default_factory=list)
    updated: int = 0
    external: bool = False

    @property
    def symbol(self) -> str:
        """What it trades."""
        return self.command.symbol

    @property
    def open(self) -> bool:
        """Whether it may still change."""
        return self.status in ("open", "partially_filled")

    @property
    def filled(self) -> Decimal:
        """How much of it is executed."""
        return sum((fill.quantity for fill in self.fills), ZERO)

    @property
    def quote_filled(self) -> Decimal:
        """The same in the quote asset."""
        return sum((fill.quantity * fill.price for fill in self.fills), ZERO)

    @property
    def fee(self) -> Decimal:
        """What it cost, in the quote asset."""
        return sum((fill.fee for fill in self.fills), ZERO)

    def fill_whole(self, milliseconds: int) -> None:
        """Execute all of it at once."""
        if self.open:
            number = str(len(self.fills) + 1)
            self.fills.append(Fill(number, milliseconds, self.price, self.quantity - self.filled))
            self.status = "filled"

    def as_told(self) -> VenueOrder:
        """The order as a query by client order id tells it."""
        return VenueOrder(
            self.order_id,
            self.client_order_id,
            f"{self.filled:f}",
            self.symbol,
            self.command.side,
            self.command.type,
            f"{self.quantity:f}",
            f"{self.price:f}" if self.command.type == "limit" else None,
            self.created,
        )

    def report(self, kind: VenueKind, fills: tuple[Fill, ...] | None = None) -> OrderStatusReport:
        """The order as the account tells it, with these *fills* (None: all)."""
        shown = tuple(self.fills) if fills is None else fills
        return OrderStatusReport(
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            symbol=self.symbol,
            side=self.command.side,
            status=self.status,
            quantity=self.quantity,
            filled=self.filled,
            quote_filled=self.quote_filled,
            milliseconds=max(self.updated, self.created),
            fills=shown,
            fee=None if kind == "binance" else {"USDT": self.fee},
            price=self.price if self.command.type == "limit" else ZERO,
            created=self.created,
            version=max(self.updated, self.created) if kind == "binance" else 0,
        )
