"""The account's interface to an exchange, and the types of its reports."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.order_status import (
    GENERATIONS_APART_MS,
    OrderStatusReport,
    PublishedOrder,
)
from services._connector_kit.orders.keys import OrderRef

# The most reports that may wait to be published. Further ones are dropped, and a reconciliation
# finds the changes that they reported.
QUEUE_SIZE = 10_000


class Balance(NamedTuple):
    """The balance of one asset; the total is `free` plus `locked`."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def is_zero(self) -> bool:
        """True if both amounts are zero."""
        return not self.free and not self.locked

    @property
    def amounts(self) -> str:
        """Free and locked as canonical text: equal amounts give equal text."""
        return f"{_plain(self.free)} {_plain(self.locked)}"

    @classmethod
    def nothing(cls, asset: str) -> "Balance":
        """A balance of zero."""
        return cls(asset, Decimal(0), Decimal(0))


class BalanceSnapshot(NamedTuple):
    """All balances of an account; `version` as in `BalanceUpdate`."""

    balances: Sequence[Balance]
    version: int = 0


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


class TradeEvidence(NamedTuple):
    """Evidence that an order traded: the trade's id, or the filled quantity if there is no id.

    `milliseconds` is the trade's time, 0 if unknown.
    """

    symbol: str
    order_id: str
    trade_id: str | None
    filled: Decimal
    milliseconds: int = 0

    @property
    def order(self) -> OrderRef:
        """The order's symbol and id."""
        return OrderRef(self.symbol, self.order_id)

    def is_in(self, published: PublishedOrder) -> bool:
        """True if the *published* state includes the trade."""
        if self.trade_id is not None:
            # A trade later than the last known change is of a newer order with the same id.
            same_generation = (
                not published.version
                or self.milliseconds <= published.version + GENERATIONS_APART_MS
            )
            return self.trade_id in published.trade_ids and same_generation
        return published.closed and published.filled >= self.filled


class PushedBalances(NamedTuple):
    """Balances that the account stream pushed; `version` is the venue's own, increasing."""

    balances: Sequence[Balance]
    version: int


class AccountListener:
    """Receives the events of a venue's account stream; never blocks, never raises."""

    def __init__(self, health: AccountHealth) -> None:
        self.queue: asyncio.Queue[OrderStatusReport | PushedBalances] = asyncio.Queue(QUEUE_SIZE)
        self.reconcile_requested = asyncio.Event()
        self.balances_requested = asyncio.Event()
        self.dropped = 0
        self._health = health

    def received(self, update: OrderStatusReport | PushedBalances) -> None:
        """Queue a changed order or changed balances for publishing."""
        try:
            self.queue.put_nowait(update)
        except asyncio.QueueFull:
            self.dropped += 1
            self.reconcile_requested.set()

    def connected(self) -> None:
        """The stream is connected: request a reconciliation, because events may be missing."""
        self._health.connected()
        self.reconcile_requested.set()

    def disconnected(self, reason: str) -> None:
        """The stream is disconnected, and will reconnect."""
        self._health.down("stream", reason)

    def missed(self) -> None:
        """Request a reconciliation: an event couldn't be parsed, or its order not queried."""
        self.reconcile_requested.set()

    def balances_changed(self) -> None:
        """Request a balance snapshot: a balance changed, and its new value is unknown."""
        self.balances_requested.set()


class AccountVenue(Protocol):
    """The exchange's methods that the account needs. They raise what the kit's `errors` lists."""

    def milliseconds(self) -> int:
        """The venue's time in milliseconds, as estimated here."""

    async def listen(self, listener: AccountListener) -> None:
        """Run the account stream until cancelled; FeedStoppedError if the key is refused."""

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """The open orders of our symbols; they may come without fills."""

    async def traded_since(self, cursor: str | None) -> tuple[Sequence[TradeEvidence], str]:
        """The trades after *mark*, and the next mark."""

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """One order with its fills; RejectedError if the venue doesn't show it."""

    async def balances(self) -> BalanceSnapshot:
        """The balances that are not zero."""
