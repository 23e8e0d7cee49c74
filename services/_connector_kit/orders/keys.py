"""The only place that spells the Redis keys of the order path.

A venue's order id is unique within its symbol only (Binance), so what is kept of an order is kept
under both.
"""

from typing import NamedTuple

from common_models.stream_names import state_key

# So long what is known of an order is kept after its terminal status was published, in seconds.
KEEP_CLOSED = 7 * 24 * 3600


class OrderRef(NamedTuple):
    """One order of a venue. In a set or hash of Redis it is written as text."""

    symbol: str
    order_id: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.order_id}"

    @classmethod
    def parse(cls, text: str) -> "OrderRef | None":
        """The order that *text* names; None for an order id alone, as the first release wrote."""
        symbol, space, order_id = text.partition(" ")
        return cls(symbol, order_id) if space else None


def order_key(connector: str, client_order_id: str) -> str:
    """Where the journal keeps an order's record."""
    return state_key(connector, f"order:{client_order_id}")


def published_key(connector: str, order: OrderRef) -> str:
    """Where `Told` is kept: what was published of an order."""
    return state_key(connector, f"told:{order.symbol}:{order.order_id}")


def first_published_key(connector: str, order_id: str) -> str:
    """Where the first release kept it, by the order id alone. It is read, and never written."""
    return state_key(connector, f"told:{order_id}")


def published_as_key(connector: str, client_order_id: str) -> str:
    """The order, as `OrderRef`, that was published with that client order id."""
    return state_key(connector, f"told_as:{client_order_id}")


def accepted_key(connector: str) -> str:
    """A hash of `Accepted` by order: accepted, and nothing published of it yet."""
    return state_key(connector, "accepted_orders")


def open_key(connector: str) -> str:
    """A set: the orders that were published and have no terminal status."""
    return state_key(connector, "open_orders")


def fills_missing_key(connector: str) -> str:
    """A sorted set: the orders that ended with fewer published fills than filled, since when."""
    return state_key(connector, "fills_missing")


def unanswered_key(connector: str) -> str:
    """A sorted set: the client order ids that were claimed and not answered yet, and since when."""
    return state_key(connector, "unanswered")


def sending_key(connector: str) -> str:
    """A sorted set: the client order ids that passed the limits, until they are answered."""
    return state_key(connector, "sending")


def sent_key(connector: str, writer: str) -> str:
    """A sorted set: the client order ids of *writer* that passed the limits in the last minute."""
    return state_key(connector, f"sent:{writer}")


def late_orders_key(connector: str) -> str:
    """A sorted set: the client order ids that were answered `not_found`, and are still watched."""
    return state_key(connector, "ghosts")


def answered_key(connector: str, command: str, entry_id: str) -> str:
    """Exists once an entry has its final answer."""
    return state_key(connector, f"answered:{command}:{entry_id}")


def trades_mark_key(connector: str) -> str:
    """Up to where the account's trades were compared."""
    return state_key(connector, "trades_mark")


def balances_key(connector: str) -> str:
    """A hash: the balances that were published, by asset."""
    return state_key(connector, "balances")


def positions_key(connector: str) -> str:
    """A hash: what is held of each market by our own orders, by symbol."""
    return state_key(connector, "positions")


def redis_key(connector: str) -> str:
    """Which Redis this was, and up to when its word is doubted."""
    return state_key(connector, "redis")


def beat_key(connector: str) -> str:
    """A number that rises once a second: where it went back, Redis lost data."""
    return state_key(connector, "beat")


def deleted_key(connector: str) -> str:
    """A hash: how many entries were deleted from each command stream, as far as that is known."""
    return state_key(connector, "deleted_commands")


def lease_key(connector: str) -> str:
    """Which instance is active."""
    return state_key(connector, "lease")
