"""The fills of an order, with id, time and fee: Luno lists them apart from the order.

`GET /api/1/listtrades` gives a pair's trades of the account, oldest first, and may lag behind.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from services._connector_kit.errors import TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.order_status import (
    ZERO,
    Fill,
    OrderStatusReport,
    first_fills,
)
from services._connector_kit.rate_limit import Priority
from services._runtime.redaction import excerpt
from services.luno_connector import translate, translate_orders

# The most that one `GET /api/1/listtrades` gives.
PAGE = 1000
# A trade of an order may be timed before the order itself, by so many milliseconds.
TIMES_DIFFER_MS = 1000
# Orders whose fills are kept, so that each is asked for once.
MOST_ORDERS = 1000


class FillsApi(Protocol):
    """The client's way to send a request."""

    sdk: Any

    async def call(self, request: Callable[[], Any], priority: Priority = ...) -> Any:
        """Send one request that may be repeated safely, within the budget, its errors sorted."""


class OrderFills:
    """The fills of the account's orders; those that are known aren't fetched again."""

    def __init__(self, luno: FillsApi) -> None:
        self._luno = luno
        self._known: OrderedDict[str, dict[str, Fill]] = OrderedDict()

    async def complete(
        self, report: OrderStatusReport, instrument: Instrument
    ) -> OrderStatusReport:
        """*report* with the fills of what is filled, as many as Luno shows yet.

        Raises what the kit's `errors` lists.
        """
        known = self._known.get(report.order_id, {})
        if sum((fill.quantity for fill in known.values()), ZERO) < report.filled:
            known = known | await self._newer(report, instrument, known)
            self._keep(report.order_id, known)
        fills = first_fills(report.filled, list(known.values()))
        last = max((fill.milliseconds for fill in fills), default=0)
        return report._replace(fills=fills, milliseconds=max(report.milliseconds, last))

    def _keep(self, order_id: str, fills: dict[str, Fill]) -> None:
        self._known[order_id] = fills
        self._known.move_to_end(order_id)
        if len(self._known) > MOST_ORDERS:
            self._known.popitem(last=False)

    async def _newer(
        self, report: OrderStatusReport, instrument: Instrument, known: Mapping[str, Fill]
    ) -> dict[str, Fill]:
        since = max(
            (fill.milliseconds for fill in known.values()),
            default=report.created - TIMES_DIFFER_MS,
        )
        ask = partial(self._luno.sdk.list_user_trades, pair=instrument.venue_symbol, limit=PAGE)
        found: dict[str, Fill] = {}
        start: dict[str, int] = {"since": since}
        while True:
            answer = await self._luno.call(partial(ask, **start), Priority.BALANCES)
            try:
                rows = translate.rows_of(answer["trades"])
                page = [translate_orders.fill(row, instrument) for row in rows]
            except (KeyError, TypeError, ValueError, ArithmeticError) as e:
                raise TransientError(excerpt(f"an answer of Luno can't be read: {e!r}")) from e
            found |= {fill.trade_id: fill for of, fill in page if of == report.order_id}
            if len(page) < PAGE:
                return found
            start = {"after_seq": max(int(fill.trade_id) for _, fill in page) + 1}
