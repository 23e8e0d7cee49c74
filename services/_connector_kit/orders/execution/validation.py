"""Validates a command against a venue's rules: symbol, id, type, price and quantity. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common_models import PlaceOrderCommand
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.execution.rules import round_order
from services._connector_kit.orders.ports import BAD_CLIENT_ORDER_ID, Rejection, RoundedOrder

# Turns a market buy into an order with a price limit, for a venue whose market buys take an amount
# of quote currency.
CapMarketBuy = Callable[[RoundedOrder, Instrument], RoundedOrder | Rejection]
SHOWN = 50  # characters of a name that a rejection quotes


@dataclass(frozen=True, slots=True)
class OrderRules:
    """The orders that a venue accepts; each connector declares its own.

    `client_order_id` must match the whole id; `client_order_id_form` describes it in a message.
    `cap_market_buy` is `None` if the venue takes market buys in the base asset.
    """

    venue: str  # its name in a message
    client_order_id: re.Pattern[str]
    client_order_id_form: str
    cap_market_buy: CapMarketBuy | None = None

    def carries(self, client_order_id: str) -> bool:
        """True if the venue accepts the client order id unchanged."""
        return self.client_order_id.fullmatch(client_order_id) is not None


def validate(
    command: PlaceOrderCommand, instruments: Mapping[str, Instrument], rules: OrderRules
) -> RoundedOrder | Rejection:
    """Return the rounded order for *command*, or a rejection that names the first broken rule."""
    instrument = instruments.get(command.symbol)
    if instrument is None:
        known = ", ".join(instruments)
        return Rejection(
            "unknown_symbol", f"symbol {command.symbol[:SHOWN]!r}; expected one of {known}"
        )
    if not rules.carries(command.client_order_id):
        return Rejection(
            BAD_CLIENT_ORDER_ID,
            f"client_order_id {command.client_order_id[:SHOWN]!r}: {rules.venue} accepts "
            f"{rules.client_order_id_form}",
        )
    if command.type == "market" and (command.post_only or command.time_in_force):
        return Rejection("unsupported", "a market order can't have post_only or time_in_force")
    if command.post_only and command.time_in_force not in (None, "GTC"):
        return Rejection("unsupported", "post_only can be combined with GTC only")
    order = round_order(command, instrument.rules)
    is_market_buy = command.type == "market" and command.side == "buy"
    if isinstance(order, Rejection) or rules.cap_market_buy is None or not is_market_buy:
        return order
    return rules.cap_market_buy(order, instrument)
