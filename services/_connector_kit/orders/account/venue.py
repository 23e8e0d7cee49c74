"""What the account needs of an exchange, and what an exchange reports of the account."""

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

# Reports that wait to be published. If more come, they are dropped: the next comparison with the
# venue finds what they said.
QUEUE_SIZE = 10_000


class Balance(NamedTuple):
    """One asset: `total` is `free` and `locked` together."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def is_zero(self) -> bool:
        """True where there is nothing of it."""
        return not self.free and not self.locked

    @property
    def amounts(self) -> str:
        """Free and locked as text, the same for the same amounts."""
        return f"{_plain(self.free)} {_plain(self.locked)}"

    @classmethod
    def nothing(cls, asset: str) -> "Balance":
        """None of it."""
        return cls(asset, Decimal(0), Decimal(0))


class BalanceSnapshot(NamedTuple):
    """All balances of an account; `version` as in `BalanceUpdate`."""

    balances: Sequence[Balance]
    version: int = 0


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


class TradeEvidence(NamedTuple):
    """A sign that an order traded: a trade's id, or where there is none how much is filled.

    `milliseconds` is the trade's time, 0 where it isn't known.
    """

    symbol: str
    order_id: str
    trade_id: str | None
    filled: Decimal
    milliseconds: int = 0

    @property
    def order(self) -> OrderRef:
        """Which order it is of."""
        return OrderRef(self.symbol, self.order_id)

    def is_in(self, published: PublishedOrder) -> bool:
        """True where what was told has it already."""
        if self.trade_id is not None:
            # A trade after all that is known of the order is another one, of another life.
            same_generation = (
                not published.version
                or self.milliseconds <= published.version + GENERATIONS_APART_MS
            )
            return self.trade_id in published.trade_ids and same_generation
        return published.closed and published.filled >= self.filled


class PushedBalances(NamedTuple):
    """Balances that the account stream pushed; `version` is the venue's own, rising."""

    balances: Sequence[Balance]
    version: int


class AccountListener:
    """Where a venue's account stream puts what it receives; never blocks, never raises."""

    def __init__(self, health: AccountHealth) -> None:
        self.queue: asyncio.Queue[OrderStatusReport | PushedBalances] = asyncio.Queue(QUEUE_SIZE)
        self.reconcile_requested = asyncio.Event()
        self.balances_requested = asyncio.Event()
        self.dropped = 0
        self._health = health

    def received(self, update: OrderStatusReport | PushedBalances) -> None:
        """An order changed, or balances did."""
        try:
            self.queue.put_nowait(update)
        except asyncio.QueueFull:
            self.dropped += 1
            self.reconcile_requested.set()

    def connected(self) -> None:
        """The stream is (again) there: something may have been missed."""
        self._health.connected()
        self.reconcile_requested.set()

    def disconnected(self, reason: str) -> None:
        """The stream is gone, and will be connected again."""
        self._health.down("stream", reason)

    def missed(self) -> None:
        """Something came that couldn't be read, or could not be asked about."""
        self.reconcile_requested.set()

    def balances_changed(self) -> None:
        """Some balance changed; which, or to what, isn't known."""
        self.balances_requested.set()


class AccountVenue(Protocol):
    """The exchange, as far as the account needs it. Raises what the kit's `errors` lists."""

    def milliseconds(self) -> int:
        """The venue's clock, as we know it."""

    async def listen(self, listener: AccountListener) -> None:
        """Keep the account stream alive until cancelled; FeedStoppedError if it is refused."""

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """The open orders of our symbols; their fills may be left out."""

    async def traded_since(self, cursor: str | None) -> tuple[Sequence[TradeEvidence], str]:
        """What traded after *mark*, and the next mark."""

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """What became of one order, with its fills; RejectedError where there is none."""

    async def balances(self) -> BalanceSnapshot:
        """The balances that are not zero."""
