"""The Redis keys of the order path; no other module spells them.

An order's key holds its symbol and its order id: Binance's order ids are unique within a symbol
only.
"""

from typing import NamedTuple

from common_models.stream_names import state_key

# Seconds that an order's keys are kept after its terminal status was published.
KEEP_CLOSED = 7 * 24 * 3600


class OrderRef(NamedTuple):
    """Identifies one order of a venue; `str` of it is its form in a set or hash of Redis."""

    symbol: str
    order_id: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.order_id}"

    @classmethod
    def parse(cls, text: str) -> "OrderRef | None":
        """Parse `str` of an OrderRef; None for an order id alone, which the first release wrote."""
        symbol, space, order_id = text.partition(" ")
        return cls(symbol, order_id) if space else None


def order_key(connector: str, client_order_id: str) -> str:
    """The journal's record of an order (`Record` as JSON)."""
    return state_key(connector, f"order:{client_order_id}")


def published_key(connector: str, order: OrderRef) -> str:
    """The last published state of an order (`PublishedOrder` as JSON)."""
    return state_key(connector, f"told:{order.symbol}:{order.order_id}")


def first_published_key(connector: str, order_id: str) -> str:
    """The same under the key of the first release, which lacks the symbol; it is only read."""
    return state_key(connector, f"told:{order_id}")


def published_as_key(connector: str, client_order_id: str) -> str:
    """The order (`OrderRef` as text) last published with that client order id."""
    return state_key(connector, f"told_as:{client_order_id}")


def accepted_key(connector: str) -> str:
    """A hash of `AcceptedOrder` by order: accepted, but no status published yet."""
    return state_key(connector, "accepted_orders")


def open_key(connector: str) -> str:
    """A set: the published orders without a terminal status."""
    return state_key(connector, "open_orders")


def fills_missing_key(connector: str) -> str:
    """A sorted set: the closed orders with unpublished fills, scored by when they closed."""
    return state_key(connector, "fills_missing")


def unanswered_key(connector: str) -> str:
    """A sorted set: the claimed, unanswered client order ids, scored by their entry's time."""
    return state_key(connector, "unanswered")


def sending_key(connector: str) -> str:
    """A sorted set: the client order ids that passed the limits and are not answered yet."""
    return state_key(connector, "sending")


def sent_key(connector: str, writer: str) -> str:
    """A sorted set: the client order ids of *writer* that passed the limits in the last minute."""
    return state_key(connector, f"sent:{writer}")


def late_orders_key(connector: str) -> str:
    """A sorted set: the client order ids answered `not_found` that are still watched."""
    return state_key(connector, "ghosts")


def answered_key(connector: str, command: str, entry_id: str) -> str:
    """A marker that exists once an entry has its final answer."""
    return state_key(connector, f"answered:{command}:{entry_id}")


def trades_mark_key(connector: str) -> str:
    """The cursor of the last reconciled trade of the account."""
    return state_key(connector, "trades_mark")


def balances_key(connector: str) -> str:
    """A hash: the published balances by asset."""
    return state_key(connector, "balances")


def positions_key(connector: str) -> str:
    """A hash: the position from our own orders by symbol."""
    return state_key(connector, "positions")


def redis_key(connector: str) -> str:
    """The `DataLossRecord`: which Redis this was, and when it last lost data."""
    return state_key(connector, "redis")


def beat_key(connector: str) -> str:
    """A number that rises once a second; a lower number shows that Redis lost data."""
    return state_key(connector, "beat")


def deleted_key(connector: str) -> str:
    """A hash: the known number of entries deleted from each command stream."""
    return state_key(connector, "deleted_commands")


def lease_key(connector: str) -> str:
    """The id of the active instance."""
    return state_key(connector, "lease")
