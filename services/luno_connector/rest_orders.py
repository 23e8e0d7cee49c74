"""Luno's signed REST: orders and balances, through the SDK."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.fees import Fees
from services._connector_kit.instruments import Instrument
from services._connector_kit.limits import VenueLimits
from services._connector_kit.listing import Listing
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import BalanceSnapshot
from services._connector_kit.orders.ports import VenueOrder
from services._connector_kit.rate_limit import Priority
from services._runtime.redaction import excerpt
from services.luno_connector import translate, translate_orders
from services.luno_connector.accounts import Accounts
from services.luno_connector.fills import OrderFills
from services.luno_connector.orders import UNKNOWN_ORDER, EmptyNotFoundError, Params

T = TypeVar("T")

# The most that one `GET /api/exchange/2/listorders` gives.
PAGE = 1000
# What Luno says of a pair that it doesn't list (any more).
UNLISTED = frozenset({"ErrInvalidMarketPair", "ErrMarketUnavailable"})


class LunoApi(Protocol):
    """The client's ways to send a request."""

    sdk: Any
    limits: VenueLimits

    async def call(self, request: Callable[[], Any], priority: Priority = ...) -> Any:
        """Send one request that may be repeated safely, within the budget, its errors sorted."""

    async def milliseconds(self) -> int:
        """Luno's time."""

    async def send_once(self, request: Callable[[], Any]) -> Any:
        """Send one request that must not be repeated; its budget was spent before.

        Raises:
            PostError: Luno answered with an error code of its own.
            OSError: anything else; it may have been carried out.
        """


class OrderRest:
    """Orders and balances of one account. All but the posts raise what the kit's `errors` lists."""

    def __init__(self, luno: LunoApi, listing: Listing, accounts: Accounts) -> None:
        self._luno = luno
        self._listing = listing
        self._accounts = accounts
        self._fills = OrderFills(luno)

    async def post_limit(self, instrument: Instrument, params: Params) -> str:
        """`POST /api/1/postorder`; the order id."""
        both = {**params, **self._accounts.of_order(instrument)}
        return await self._post(lambda: self._luno.sdk.post_limit_order(**both))

    async def post_market(self, instrument: Instrument, params: Params) -> str:
        """`POST /api/1/marketorder`; the order id."""
        both = {**params, **self._accounts.of_order(instrument)}
        return await self._post(lambda: self._luno.sdk.post_market_order(**both))

    async def _post(self, request: Callable[[], Any]) -> str:
        answer = await self._luno.send_once(request)
        order_id = answer.get("order_id") if isinstance(answer, dict) else None
        if not isinstance(order_id, str) or not order_id:
            raise OSError(f"an answer without an order id: {excerpt(answer, 100)}")
        return order_id

    async def order(self, client_order_id: str, instrument: Instrument | None) -> VenueOrder:
        """`GET /api/exchange/3/order`; RejectedError ErrOrderNotFound if there is none.

        It should be one of *instrument*; None: of a pair that Luno doesn't list any more.
        """
        row = await self._row({"client_order_id": client_order_id}, Priority.RESOLVE)
        return _read(lambda: _venue_order(row, instrument))

    async def orders(self, since: int, instrument: Instrument | None) -> Sequence[VenueOrder]:
        """The account's open orders, and the closed ones created since *since* (milliseconds)."""
        rows = [
            *await self._list(None, closed=False),
            *await self._list(None, closed=True, since=since),
        ]
        return _read(lambda: [_venue_order(row, instrument) for row in rows])

    async def report(
        self,
        *,
        order_id: str | None,
        client_order_id: str | None,
        priority: Priority = Priority.BALANCES,
        fills: bool = True,
    ) -> OrderStatusReport:
        """What became of one order; RejectedError if there is none of our symbols."""
        reference = {"id": order_id} if order_id else {"client_order_id": client_order_id}
        row = await self._row(reference, priority)
        pair = _read(lambda: row["pair"])
        instrument = self._listing.named(str(pair))
        if instrument is None:
            raise RejectedError(f"the order is of {pair!r:.50}", code=UNKNOWN_ORDER)
        report = _read(lambda: translate_orders.order_report(row, instrument))
        return await self._fills.complete(report, instrument) if fills else report

    async def fees(self, instrument: Instrument) -> Fees:
        """`GET /api/1/fee_info`."""
        get = partial(self._luno.sdk.get_fee_info, pair=instrument.venue_symbol)
        answer = await self._luno.call(get)
        return _read(lambda: translate_orders.fees(answer))

    async def open_orders(self) -> list[OrderStatusReport]:
        """The account's open orders of the served symbols, without their fills."""
        return await self._reports(self._listing.served, closed=False)

    async def recently_closed(self, since: int) -> list[OrderStatusReport]:
        """The same of the closed orders that were created since *since* (milliseconds)."""
        return await self._reports(self._listing.configured, closed=True, since=since)

    async def closed(self, symbols: Collection[str], since: int) -> list[OrderStatusReport]:
        """The closed orders of *symbols* that were created since *since* (milliseconds)."""
        of = {s: i for s, i in self._listing.served.items() if s in symbols}
        return await self._reports(of, closed=True, since=since)

    async def with_fills(self, report: OrderStatusReport) -> OrderStatusReport:
        """*report*, of one of the listings, with its order's fills."""
        return await self._fills.complete(report, self._listing.served[report.symbol])

    async def _reports(
        self, of: Mapping[str, Instrument], *, closed: bool, since: int = 0
    ) -> list[OrderStatusReport]:
        found = []
        for instrument in tuple(of.values()):
            try:
                rows = await self._list(
                    instrument.venue_symbol, closed=closed, since=since, priority=Priority.BALANCES
                )
            except RejectedError as e:
                if e.code not in UNLISTED:
                    raise
                rows = ()
            found += _read(
                lambda i=instrument, r=rows: [translate_orders.order_report(x, i) for x in r]  # type: ignore[misc]
            )
        return found

    async def cancel(self, order_id: str) -> None:
        """`POST /api/1/stoporder`; RejectedError if there is nothing to cancel."""
        answer = await self._luno.call(
            lambda: self._luno.sdk.stop_order(order_id=order_id), Priority.CANCEL
        )
        success = _read(lambda: answer["success"])
        if success is False:
            raise RejectedError("Luno answered that the order is not cancelled")
        if success is not True:
            raise TransientError(excerpt(f"an answer of Luno can't be read: {answer!r}"))

    async def balances(self) -> BalanceSnapshot:
        """The account's balances; Luno gives them no version."""
        answer = await self._luno.call(self._luno.sdk.get_balances, Priority.BALANCES)
        return _read(
            lambda: BalanceSnapshot(self._accounts.balances(translate.rows_of(answer["balance"])))
        )

    async def _row(
        self, reference: Mapping[str, str | None], priority: Priority
    ) -> Mapping[str, Any]:
        try:
            row = await self._luno.call(lambda: self._luno.sdk.get_order_v3(**reference), priority)
        except EmptyNotFoundError as e:
            raise RejectedError(str(e), code=UNKNOWN_ORDER) from e
        return _read(lambda: dict(row))

    async def _list(
        self,
        pair: str | None,
        *,
        closed: bool,
        since: int = 0,
        priority: Priority = Priority.RESOLVE,
    ) -> Sequence[Mapping[str, Any]]:
        """Orders of one pair, or of all, newest first, page after page back to *since*.

        Older pages don't delay orders.
        """
        found: dict[str, Mapping[str, Any]] = {}
        before: int | None = None
        while True:
            request = partial(
                self._luno.sdk.list_orders_v2,
                closed=closed,
                pair=pair,
                limit=PAGE,
                created_before=before,
            )
            page, oldest = _read(partial(_page, await self._luno.call(request, priority)))
            more = len(page) >= PAGE and oldest >= since and not page.keys() <= found.keys()
            found |= page
            if not more:
                return list(found.values())
            before = oldest + 1  # of those created in the same moment some may be on the next page
            priority = max(priority, Priority.BALANCES)


def _venue_order(row: Mapping[str, Any], wanted: Instrument | None) -> VenueOrder:
    """An order of *wanted* under our symbol, of another pair under Luno's name for that."""
    pair = str(row["pair"])
    symbol = wanted.symbol if wanted and wanted.venue_symbol == pair else pair
    return translate_orders.venue_order(row, symbol if wanted else None)


def _page(answer: Mapping[str, Any]) -> tuple[dict[str, Mapping[str, Any]], int]:
    """Orders by their id, and when the oldest was created."""
    rows = translate.rows_of(answer["orders"])
    oldest = min((int(row["creation_timestamp"]) for row in rows), default=0)
    return {str(row["order_id"]): row for row in rows}, oldest


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, ArithmeticError) as e:
        raise TransientError(excerpt(f"an answer of Luno can't be read: {e!r}")) from e
