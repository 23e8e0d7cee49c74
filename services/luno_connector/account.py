"""Luno's account: its user stream, and its REST, as the kit needs them.

https://www.luno.com/en/developers/api#tag/Streaming-API: one socket for the whole account; after a
reconnect Luno sends again what it sent in the last five minutes. Its events carry no price, side or
trade id, and may be lost in a longer outage: each says only *which* order changed, and the order
and its fills are then read by REST, so that only REST's state is published.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.frames import BadFrames
from services._connector_kit.listing import Listing
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import (
    AccountListener,
    BalanceSnapshot,
    TradeEvidence,
)
from services._connector_kit.orders.commands.request_ports import VenueOpenOrder
from services._connector_kit.rate_limit import Priority
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import open_socket
from services._runtime.supervise import keep_alive, raise_first_error
from services.luno_connector import translate
from services.luno_connector.orders import NOT_FOUND, UNKNOWN_ORDER
from services.luno_connector.rest_orders import OrderRest
from services.luno_connector.settings import LunoSettings
from services.luno_connector.stream import credentials, refusal

log = structlog.get_logger()

# Nothing confirms the credentials; a refusal comes within this.
REFUSED_WITHIN = 2.0
# An order may be created between the poll of the open orders and the poll of the closed ones.
CREATED_BEFORE_MS = 60_000
# Orders that are older are asked for one by one, rather than all that were placed since.
LISTED_FOR_MS = 24 * 3_600_000


class LunoAccount:
    """One account, for the symbols that this connector serves."""

    no_such_order: Collection[str] = NOT_FOUND

    def __init__(
        self,
        rest: OrderRest,
        clock: VenueClock,
        settings: LunoSettings,
        listing: Listing,
        stats: SocketStats,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._url = f"{settings.luno_stream_url}/api/1/userstream"
        self._credentials = credentials(settings)
        self._listing = listing
        self._stats = stats
        self._bad_frames = BadFrames("luno account", stats)
        self._changed: dict[str, None] = {}  # orders to ask for, each once
        self._wake = asyncio.Event()

    def milliseconds(self) -> int:
        """Luno's clock, as we know it."""
        return self._clock.milliseconds()

    def knows(self, symbol: str) -> bool:
        """True for a symbol of ours."""
        return symbol in self._listing.served

    async def listen(self, listener: AccountListener) -> None:
        """Keep the user stream alive until cancelled; FeedStoppedError if it is refused."""
        await raise_first_error(
            keep_alive(
                lambda: self._session(listener),
                name="luno_user_stream",
                on_down=listener.disconnected,
            ),
            self._ask_for_changed(listener),
        )

    async def _session(self, listener: AccountListener) -> None:
        def on_text(text: bytes) -> None:
            self._on_text(text, listener)

        async with open_socket(self._url, on_text, stats=self._stats) as socket:
            socket.send(self._credentials)
            await raise_first_error(socket.closed(), self._accepted(listener))

    async def _accepted(self, listener: AccountListener) -> None:
        await asyncio.sleep(REFUSED_WITHIN)
        log.info("account_stream_connected")
        listener.connected()

    def _on_text(self, text: bytes, listener: AccountListener) -> None:
        if text == translate.KEEP_ALIVE:
            return
        try:
            frame: Any = msgspec.json.decode(text)
            if frame.get("error_code"):
                raise refusal(str(frame["error_code"]), str(frame.get("error", "")))
            match frame["type"]:
                case "order_status":
                    self._order_changed(frame["order_status_update"])
                case "order_fill":
                    self._order_changed(frame["order_fill_update"])
                case "balance_update":
                    listener.balances_changed()  # only REST says which asset's
                case other:
                    log.debug("account_event_ignored", kind=str(other)[:50])
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as e:
            self._bad_frames.add(text, e)
            listener.missed()  # what it said, the next comparison finds out

    def _order_changed(self, update: Any) -> None:
        if self._listing.named(update["market_id"]) is not None:
            self._changed[str(update["order_id"])] = None
            self._wake.set()

    async def _ask_for_changed(self, listener: AccountListener) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changed:
                order_id = next(iter(self._changed))
                del self._changed[order_id]
                try:
                    listener.received(
                        await self._rest.report(order_id=order_id, client_order_id=None)
                    )
                except (TransientError, RejectedError, FeedStoppedError) as e:
                    log.warning("order_not_read", order_id=order_id, error=str(e))
                    listener.missed()  # the comparison comes back to it

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """The open orders of our symbols."""
        return await self._rest.open_orders()

    async def traded_since(self, mark: str | None) -> tuple[Sequence[TradeEvidence], str]:
        """The orders closed after *mark* (milliseconds), and the next mark."""
        since = self._clock.milliseconds() if mark is None else int(mark)
        closed = await self._rest.recently_closed(since - CREATED_BEFORE_MS)
        found = [
            TradeEvidence(r.symbol, r.order_id, None, r.filled)
            for r in closed
            if r.milliseconds >= since
        ]
        latest = max((r.milliseconds for r in closed), default=0)
        return found, str(max(since, latest))

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """What became of one order; RejectedError if there is none."""
        return await self._report(symbol, order_id, client_order_id)

    async def _report(
        self,
        symbol: str,
        order_id: str | None,
        client_order_id: str | None,
        priority: Priority = Priority.BALANCES,
        *,
        fills: bool = True,
    ) -> OrderStatusReport:
        await self._listing.serve(symbol)
        found = await self._rest.report(
            order_id=order_id, client_order_id=client_order_id, priority=priority, fills=fills
        )
        if found.symbol != symbol:
            raise RejectedError(f"the order is of {found.symbol}", code=UNKNOWN_ORDER)
        if client_order_id not in (None, found.client_order_id):
            message = f"the order's client_order_id is {found.client_order_id!r}"
            raise RejectedError(message, code=UNKNOWN_ORDER)
        return found

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,  # noqa: ARG002 - Luno's orders keep their ids
    ) -> str:
        """Cancel one order, which keeps its client order id; returns its order id.

        Luno takes its own ids only, and no symbol: the order is looked at first.

        Raises:
            RejectedError: there is nothing to cancel.
        """
        found = await self._report(symbol, order_id, client_order_id, Priority.CANCEL, fills=False)
        if found.closed:
            raise RejectedError("there is nothing left of it to cancel")
        await self._rest.cancel(found.order_id)
        return found.order_id

    async def stop(self, order: VenueOpenOrder) -> None:
        """Cancel an order that is known, by one request; RejectedError if it isn't open."""
        await self._rest.cancel(order.order_id)

    async def stop_all(self, symbol: str) -> bool:  # noqa: ARG002 - see `RequestVenue`
        """False: Luno has no request for it."""
        return False

    async def became(self, orders: Sequence[VenueOpenOrder]) -> Sequence[OrderStatusReport]:
        """What became of *orders*: by one listing for each symbol, and one by one where older."""
        recent = self._clock.milliseconds() - LISTED_FOR_MS
        since = min((o.created for o in orders if o.created > recent), default=recent)
        wanted = {order.ref: order for order in orders}
        found = []
        for report in await self._rest.closed({order.symbol for order in orders}, since):
            if wanted.pop(report.order, None):
                self._changed.pop(report.order_id, None)  # its caller publishes it
                found.append(await self._rest.with_fills(report))
        for order in wanted.values():
            with suppress(RejectedError):
                found.append(
                    await self.report(order.symbol, order_id=order.order_id, client_order_id=None)
                )
        return found

    async def balances(self) -> BalanceSnapshot:
        """The account's balances."""
        return await self._rest.balances()
