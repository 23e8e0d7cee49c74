"""Which venue order belongs to which command. Pure.

A client order id alone doesn't identify an order: Binance accepts the same id again once the first
order has closed, and anybody with the same account can use any id. An order is ours only if its
terms can come from our command.
"""

from collections.abc import Iterable
from decimal import Decimal

from common_models import PlaceOrderCommand
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.rules import NOISE
from services._connector_kit.orders.ports import VenueOrder

# Two of our processes, or the venue and we, may differ by this much about the venue's time.
CLOCK_ERROR_MS = 1000
# An order that was sent under older rules may have been put on another tick: as a share of the
# price.
TICK_CHANGE = Decimal("0.001")


def same_terms(one: PlaceOrderCommand, other: PlaceOrderCommand) -> bool:
    """True if two commands ask for the same order.

    Compares the commands, not their text: a release that adds an optional field, or a writer that
    leaves a default out, asks for the same.
    """
    return one == other


def is_ours(order: VenueOrder, record: Record) -> bool:
    """True if the venue's *order* can come from *record*'s command; unknown terms aren't compared.

    The venue's quantity may be smaller than what was sent if the order was created after it: an
    order can be amended, or decremented by self-trade prevention.
    """
    command = record.order
    return (
        order.symbol in (None, command.symbol)
        and order.side in (None, command.side)
        and _type_fits(order, command)
        and _price_fits(order, record, command)
        and _quantity_fits(order, record, command)
    )


def best_match(orders: Iterable[VenueOrder], record: Record) -> VenueOrder | None:
    """Of the *orders* with the record's client order id, one that is ours before any other."""
    same_id = [o for o in orders if o.client_order_id == record.client_order_id]
    return next((o for o in same_id if is_ours(o, record)), same_id[0] if same_id else None)


def _type_fits(order: VenueOrder, command: PlaceOrderCommand) -> bool:
    """Where a venue has no market order for it, a market order is sent as a limit order."""
    return order.type in (None, command.type) or (command.type, order.type) == ("market", "limit")


def _price_fits(order: VenueOrder, record: Record, command: PlaceOrderCommand) -> bool:
    """A market order's limit follows the book of the moment: it isn't compared."""
    if command.type == "market" or order.price is None:
        return True
    sent = Decimal(record.sent_price or str(command.price))
    return abs(Decimal(order.price) - sent) <= sent * TICK_CHANGE


def _quantity_fits(order: VenueOrder, record: Record, command: PlaceOrderCommand) -> bool:
    if order.quantity is None:
        return True
    quantity, asked = Decimal(order.quantity), Decimal(str(command.quantity))
    sent = Decimal(record.sent_quantity or 0)
    least = Decimal(0) if order.created >= record.timestamp - CLOCK_ERROR_MS else sent
    # Float noise in what was asked for is forgiven, upwards too.
    return least <= quantity <= max(asked * (1 + NOISE), sent)
