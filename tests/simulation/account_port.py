"""What a connector needs of a venue beyond placing: its account, for one process."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TypeVar

import msgspec

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import (
    AccountListener,
    BalanceSnapshot,
    TradeEvidence,
)
from services._connector_kit.orders.commands.request_ports import VenueOpenOrder
from tests.simulation.account_book import NO_SUCH_ORDER, Account, Session
from tests.simulation.process import Process, Reply
from tests.simulation.venue import VenuePort

T = TypeVar("T")

RECONNECT = 1.0


class WholePort(VenuePort):
    """`ExecutionVenue`, `AccountVenue` and `RequestVenue`, for one process.

    The product's own checks judge an order; the venue's clock is known by measuring it.
    """

    no_such_order: Collection[str] = frozenset({NO_SUCH_ORDER})

    def __init__(
        self,
        process: Process,
        account: Account,
        clock: VenueClock,
        served: Mapping[str, Instrument],
    ) -> None:
        super().__init__(process, account.venue, 0.0)
        self._account = account
        self._clock = clock
        self._served = served

    def milliseconds(self) -> int:
        """The venue's clock, as this process knows it."""
        return self._clock.milliseconds()

    async def server_time(self) -> int:
        """GET the venue's time."""
        return int(
            await self._process.call(
                "time", lambda reply: self._account.ask(self._venue.milliseconds, reply, key=False)
            )
        )

    async def ready(self, within: float) -> bool:
        """Wait for the clock, and out a ban."""
        return await self._clock.known(within) and await super().ready(within)

    def knows_time(self) -> bool:
        """As the product's clock says."""
        return self._clock.is_known

    def knows(self, symbol: str) -> bool:
        """True for a symbol of ours."""
        return symbol in self._served

    async def listen(self, listener: AccountListener) -> None:
        """Keep the stream alive; FeedStoppedError if it is refused."""

        def connect(reply: Reply[Session]) -> None:
            self._account.connect(self._process, listener, reply)

        while True:
            try:
                session = await self._process.call("listen", connect)
                listener.connected()
                await session.closed
                reason = "the venue hung up"
            except TransientError as e:
                reason = str(e)
            listener.disconnected(reason)
            await self._process.sleep(RECONNECT)

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """GET open orders, without their fills."""
        return await self._ask_account(
            "open_orders",
            lambda: [
                order.report(self._account.kind, ())
                for order in self._account.open_orders()
                if order.symbol in self._served
            ],
        )

    async def traded_since(self, mark: str | None) -> tuple[Sequence[TradeEvidence], str]:
        """GET trades: the mark is the last trade id of each symbol, as JSON."""
        last: dict[str, int] = msgspec.json.decode(mark or "{}", type=dict[str, int])
        return await self._ask_account("trades", lambda: self._trades(last))

    def _trades(self, last: dict[str, int]) -> tuple[Sequence[TradeEvidence], str]:
        found: list[TradeEvidence] = []
        for symbol in self._served:
            trades = self._account.trades[symbol]
            newest = trades[-1][0] if trades else 0
            since = last.get(symbol)
            if since is not None and since > newest:
                since = 0  # ids began anew
            for trade_id, order_id in trades:
                if since is not None and trade_id > since:
                    found.append(self._trace(symbol, trade_id, order_id))
            last[symbol] = newest
        return found, msgspec.json.encode(last).decode()

    def _trace(self, symbol: str, trade_id: int, order_id: str) -> TradeEvidence:
        if self._account.kind == "binance":
            return TradeEvidence(symbol, order_id, str(trade_id), Decimal(0))
        order = next(
            o
            for o in reversed(self._venue.living())
            if (o.symbol, o.order_id) == (symbol, order_id)
        )
        return TradeEvidence(symbol, order_id, None, order.filled)

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """GET one order with its fills."""
        return await self._ask_account(
            "report",
            lambda: self._account.find(symbol, order_id, client_order_id).report(
                self._account.kind
            ),
        )

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """DELETE one order."""
        del keep  # client ids stay what they are here
        return await self._ask_account(
            "cancel", lambda: self._account.cancel(symbol, order_id, client_order_id)
        )

    async def stop(self, order: VenueOpenOrder) -> None:
        """DELETE one order by its order id."""
        await self.cancel(order.symbol, order_id=order.order_id, client_order_id=None)

    async def stop_all(self, symbol: str) -> bool:
        """DELETE all open orders of a symbol, where it is Binance."""
        if self._account.kind != "binance":
            return False
        await self._ask_account("stop_all", lambda: self._stop_all(symbol))
        return True

    def _stop_all(self, symbol: str) -> None:
        for order in [o for o in self._account.open_orders() if o.symbol == symbol]:
            self._account.cancel(symbol, order.order_id, None)

    async def became(self, orders: Sequence[VenueOpenOrder]) -> Sequence[OrderStatusReport]:
        """GET all orders, and the fills of some."""
        return await self._ask_account("became", lambda: list(self._became(orders)))

    def _became(self, orders: Sequence[VenueOpenOrder]) -> Iterator[OrderStatusReport]:
        for order in orders:
            with suppress(RejectedError):
                found = self._account.find(order.symbol, order.order_id, None)
                yield found.report(self._account.kind)

    async def balances(self) -> BalanceSnapshot:
        """GET all balances."""
        return await self._ask_account("balances", self._account.snapshot)

    async def _ask_account(self, label: str, work: Callable[[], T]) -> T:
        def send(reply: Reply[T]) -> None:
            self._account.ask(work, reply)

        return await self._process.call(label, send)
