"""Decides which venue order belongs to which command. Pure.

A client order id alone does not identify an order: Binance accepts the same id again after the
first order has closed, and another program on the same account can use any id. An order is ours
only if its terms can come from our command.
"""

from collections.abc import Iterable
from decimal import Decimal

from common_models import PlaceOrderCommand
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.rules import NOISE
from services._connector_kit.orders.ports import VenueOrder

# Two processes may estimate the venue's time with this much difference.
CLOCK_ERROR_MS = 1000
# Maximum difference in price, as a share of the price: the order may have been rounded to an older
# tick.
TICK_CHANGE = Decimal("0.001")


def same_terms(one: PlaceOrderCommand, other: PlaceOrderCommand) -> bool:
    """True if two commands request the same order.

    Compares the parsed commands, not their JSON: a default that is left out, or an optional field
    that a later release adds, makes no difference.
    """
    return one == other


def is_ours(order: VenueOrder, record: Record) -> bool:
    """True if the venue's *order* can come from *record*'s command; unknown terms are not compared.

    The venue's quantity may be smaller than the sent one if the order was created after the
    request: an order can be amended, or decremented by self-trade prevention.
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
    """The order with the record's client order id, preferring ours; None if there is none."""
    same_id = [o for o in orders if o.client_order_id == record.client_order_id]
    return next((o for o in same_id if is_ours(o, record)), same_id[0] if same_id else None)


def _type_fits(order: VenueOrder, command: PlaceOrderCommand) -> bool:
    """A market order fits a limit order: some venues receive it as one."""
    return order.type in (None, command.type) or (command.type, order.type) == ("market", "limit")


def _price_fits(order: VenueOrder, record: Record, command: PlaceOrderCommand) -> bool:
    """The limit of a market order is not compared, as it came from the book at that time."""
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
    # Float noise in the requested quantity is allowed in both directions.
    return least <= quantity <= max(asked * (1 + NOISE), sent)
