"""A venue's account in memory, and a ledger, for tests of what tells it and cancels on it."""

import asyncio
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

from common_models import OrderStatusUpdateEvent
from services._connector_kit.errors import ArchivedError, RejectedError
from services._connector_kit.orders.account.order_status import (
    OrderStatusReport,
    PublishedOrder,
    Status,
    diff,
    ended,
)
from services._connector_kit.orders.account.published_balances import (
    NOTHING,
    BalanceUpdate,
    PublishedBalance,
)
from services._connector_kit.orders.account.venue import (
    AccountListener,
    Balance,
    BalanceSnapshot,
    TradeEvidence,
)
from services._connector_kit.orders.commands.request_ports import VenueOpenOrder
from services._connector_kit.orders.keys import OrderRef

NOW = 1_700_000_000_000


def order(
    order_id: str, status: Status = "open", filled: int = 0, **fields: Any
) -> OrderStatusReport:
    """An order for 10 at 100."""
    return OrderStatusReport(
        **{
            "order_id": order_id,
            "client_order_id": f"client-{order_id}",
            "symbol": "BTC/USDT",
            "side": "buy",
            "status": status,
            "quantity": Decimal(10),
            "filled": Decimal(filled),
            "quote_filled": Decimal(filled) * 100,
            "milliseconds": NOW,
            "fee": {},
            **fields,
        }
    )


class AccountInMemory:
    """Orders and balances; `faults` are raised by the next calls, whichever they are."""

    def __init__(self, *orders: OrderStatusReport) -> None:
        self.orders = {report.order_id: report for report in orders}
        self.hidden: set[str] = set()
        self.archived: set[str] = set()
        self.money = {"USDT": Decimal(1000)}
        self.traded: list[str] = []
        self.faults: list[Exception] = []
        self.calls: list[str] = []
        self.kept: list[str | None] = []  # the client ids that cancelled orders were to keep
        self.took = 0.0
        self.connects = True
        self.refuses: dict[str, Exception] = {}  # by call, until it is taken out
        self.listener: AccountListener | None = None
        self._stopped: asyncio.Future[None] | None = None
        # What a cancel does although its answer is a fault.
        self.cancels_all_the_same = False
        self.has_bulk = False

    async def _call(self, name: str) -> None:
        self.calls.append(name)
        await asyncio.sleep(self.took)
        if name in self.refuses:
            raise self.refuses[name]
        if self.faults:
            raise self.faults.pop(0)

    def milliseconds(self) -> int:
        """The venue's time."""
        return NOW

    no_such_order: Collection[str] = ("none",)

    def knows(self, symbol: str) -> bool:
        """There is one symbol."""
        return symbol == "BTC/USDT"

    async def listen(self, listener: AccountListener) -> None:
        """Keep the listener, until `stop_listening`."""
        self.listener, self._stopped = listener, asyncio.get_running_loop().create_future()
        if self.connects:
            listener.connected()
        await self._stopped

    def stop_listening(self, error: Exception) -> None:
        """The stream is refused."""
        assert self._stopped is not None
        self._stopped.set_exception(error)

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """Those that aren't closed."""
        await self._call("open_orders")
        hidden = self.hidden | self.archived
        shown = (r for r in self.orders.values() if r.order_id not in hidden)
        return [report for report in shown if not report.closed]

    async def traded_since(self, trades_cursor: str | None) -> tuple[Sequence[TradeEvidence], str]:
        """The mark counts the trades."""
        await self._call("traded_since")
        found = [
            TradeEvidence("BTC/USDT", order_id, None, self.orders[order_id].filled)
            for order_id in self.traded[int(trades_cursor or "0") :]
        ]
        return found, str(len(self.traded))

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """One order."""
        await self._call("report")
        if order_id in self.archived:
            raise ArchivedError("archived", code="none")
        for report in self.orders.values():
            named = order_id in (None, report.order_id)
            called = client_order_id in (None, report.client_order_id)
            if named and called and report.order_id not in self.hidden:
                return report
        raise RejectedError("no such order", code="none")

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel an open order, and note what it is to be called."""
        self.kept.append(keep or client_order_id)
        for report in self.orders.values():
            wanted = report.order_id == order_id or report.client_order_id == client_order_id
            if wanted and not report.closed:
                if self.cancels_all_the_same or not self.faults:
                    self.orders[report.order_id] = report._replace(status="canceled")
                await self._call("cancel")
                return report.order_id
        await self._call("cancel")
        raise RejectedError("nothing to cancel", code="none")

    async def stop(self, order: VenueOpenOrder) -> None:
        """Cancel an order whose ids are known."""
        await self.cancel(
            order.symbol,
            order_id=order.order_id,
            client_order_id=None,
            keep=order.client_order_id,
        )

    async def stop_all(self, symbol: str) -> bool:
        """One request for all of a symbol, where the venue has it."""
        if not self.has_bulk:
            return False
        await self._call("stop_all")
        for report in self.orders.values():
            if report.symbol == symbol and not report.closed:
                self.orders[report.order_id] = report._replace(status="canceled")
        return True

    async def became(self, orders: Sequence[VenueOpenOrder]) -> Sequence[OrderStatusReport]:
        """What became of them, but for those that are hidden."""
        await self._call("became")
        return [self.orders[o.order_id] for o in orders if o.order_id not in self.hidden]

    async def balances(self) -> BalanceSnapshot:
        """What wasn't zero when it was asked for."""
        money = dict(self.money)
        await self._call("balances")
        return BalanceSnapshot(
            [Balance(asset, free, Decimal(0)) for asset, free in money.items() if free]
        )


class LedgerInMemory:
    """What `Ledger` does, without a Redis: virtual time needs none."""

    def __init__(self) -> None:
        self.latest: dict[OrderRef, PublishedOrder] = {}
        self.events: list[tuple[str, str, float]] = []
        self.statuses: list[OrderStatusUpdateEvent] = []
        self.waiting: dict[OrderRef, str] = {}
        self.at: str | None = None

    async def publish(self, report: OrderStatusReport, *, again: bool = False) -> bool:
        """Note order id, status and filled quantity, where they are news."""
        await asyncio.sleep(0)
        return self._publish_diff(report, again=again)

    async def publish_complete(self, report: OrderStatusReport) -> bool:
        """The same where fills are complete; False where they aren't."""
        await asyncio.sleep(0)
        published = self.latest.get(report.order)
        found = diff(published, report, "binance", external=False)
        if found and found.published.missing > (published.missing if published else 0):
            return False
        self._publish_diff(report)
        return True

    def _publish_diff(self, report: OrderStatusReport, *, again: bool = False) -> bool:
        self.waiting.pop(report.order, None)
        found = diff(self.latest.get(report.order), report, "binance", external=False, again=again)
        if found is None:
            return False
        self.latest[report.order] = found.published
        if found.event is not None:
            event = found.event
            self.statuses.append(event)
            self.events.append((event.order_id, event.status, event.filled_quantity))
        return found.event is not None

    async def fills_missing(self) -> list[OrderRef]:
        """Those that ended with too few fills."""
        return [
            order
            for order, published in self.latest.items()
            if published.closed and published.missing
        ]

    async def open_orders(self) -> list[tuple[str, PublishedOrder]]:
        """What was told as open."""
        await asyncio.sleep(0)
        return [
            (order.order_id, published)
            for order, published in self.latest.items()
            if not published.closed
        ]

    async def unpublished(self, trades: Sequence[TradeEvidence]) -> list[TradeEvidence]:
        """Those that nothing was told of yet."""
        published = self.latest
        return [t for t in trades if t.order not in published or not t.is_in(published[t.order])]

    async def accepted(self) -> dict[OrderRef, str]:
        """The accepted orders without a published status, and their client order ids."""
        await asyncio.sleep(0)
        return dict(self.waiting)

    async def published(self, order: OrderRef) -> PublishedOrder | None:
        """What was told of it."""
        return self.latest.get(order)

    async def published_as(self, symbol: str, client_order_id: str) -> OrderRef | None:
        """The order that was told so."""
        found = (
            order
            for order, published in self.latest.items()
            if (published.symbol, published.client_order_id) == (symbol, client_order_id)
        )
        return next(found, None)

    async def end(self, order: OrderRef, word: str, milliseconds: int) -> None:
        """Its last status."""
        await asyncio.sleep(0)
        self.waiting.pop(order, None)
        published = self.latest.get(order)
        if published is not None and not published.closed:
            self._publish_diff(ended(order.order_id, published, word, milliseconds))

    async def trades_cursor(self) -> str | None:
        """Up to where trades were compared."""
        return self.at

    async def set_trades_cursor(self, trades_cursor: str) -> None:
        """Up to there."""
        self.at = trades_cursor


class BalancesInMemory:
    """What `PublishedBalances` does, without a Redis; its time is the loop's."""

    def __init__(self) -> None:
        self.published: list[tuple[str, float]] = []
        self._kept: dict[str, PublishedBalance] = {}

    async def now(self) -> int:
        """Microseconds."""
        await asyncio.sleep(0)
        return round(asyncio.get_running_loop().time() * 1e6) + 1

    async def assets(self) -> set[str]:
        """Those that aren't zero."""
        return {a for a, kept in self._kept.items() if kept.amounts != NOTHING.amounts}

    async def publish(self, update: BalanceUpdate, *, all_of: Sequence[str] | None = None) -> bool:
        """Note asset and amount of those that changed, or of all."""
        now, complete = await self.now(), True
        for balance in update.balances:
            before = self._kept.get(balance.asset, NOTHING)
            changed = before.amounts != balance.amounts
            if changed and before.may_be_newer(update, now):
                complete = False
            elif changed or (all_of is not None and balance.asset in (all_of or here(update))):
                self._kept[balance.asset] = before.after(update, balance.amounts, now)
                self.published.append((balance.asset, float(balance.free)))
        return complete


def here(update: BalanceUpdate) -> set[str]:
    """The assets of which there is something."""
    return {balance.asset for balance in update.balances if not balance.is_zero}
