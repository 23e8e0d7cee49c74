"""Luno's user stream: order and balance messages, repeated to a client that reconnects.

Messages: luno.com/en/developers/api, "Streaming API", "User". Their order isn't documented: here
AWAITING, PENDING, fills, COMPLETE, each followed by the balances that it changed.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from services.exchange_simulator.account import AccountEvent, SimulatedAccount
from services.exchange_simulator.account_order import AccountOrder, base_amount, quote_amount
from services.exchange_simulator.luno.order_wire import account_id, amount, public_id

# "The server keeps a cache of all messages sent in the last 5 minutes. When reconnecting,
# messages generated while the client was disconnected will be resent."
RETENTION_MS = 5 * 60_000
MAX_RETAINED = 100_000
# A disconnect is noticed late, so the messages of these ms before it are sent again.
OVERLAP_MS = 1000

Push = Callable[[bytes], None]


class UserFeed:
    """Publishes an account's messages. All sessions of the key continue one message history."""

    def __init__(self, account: SimulatedAccount, clock: Callable[[], int]) -> None:
        self._account = account
        self._clock = clock
        self._listeners: set[Push] = set()
        self._sent: deque[tuple[int, bytes]] = deque(maxlen=MAX_RETAINED)
        self._left_ms: int | None = None
        # Row numbers start where the markets' ids start, so that a restart reuses none.
        self._row = max((m.first_id for m in account.markets.values()), default=0)
        self._published = {
            asset: (owned.total, owned.free) for asset, owned in account.balances.items()
        }
        account.subscribe(self._on_account_event)

    def join(self, push: Push) -> None:
        """Send the messages since the last session ended, and all later ones, to *push*."""
        if self._left_ms is not None:
            since = max(self._left_ms - OVERLAP_MS, self._clock() - RETENTION_MS)
            for time_ms, frame in self._sent:
                if time_ms >= since:
                    push(frame)
        self._left_ms = None
        self._listeners.add(push)

    def leave(self, push: Push) -> None:
        """Send nothing more to *push*, and record the time."""
        if push in self._listeners:
            self._listeners.discard(push)
            self._left_ms = self._clock()

    def _on_account_event(self, event: AccountEvent) -> None:
        if event.kind == "new":
            self._publish_status(event.order, "AWAITING")
            self._publish_status(event.order, "PENDING")
        elif event.fill is not None:
            self._publish_fill(event)
        if event.order.state != "open":
            self._publish_status(event.order, "COMPLETE")
        for asset in event.balances:
            self._publish_balance(asset)

    def _publish_status(self, order: AccountOrder, status: str) -> None:
        fields = {**_names(order), "status": status}
        self._publish("order_status", order_status_update=fields)

    def _publish_fill(self, event: AccountEvent) -> None:
        order, fill = event.order, event.fill
        if fill is None:
            return
        instrument, fees = order.instrument, order.fees()
        in_base = fill.fee_asset == instrument.base
        money = fill.price * fill.quantity
        fields = {
            **_names(order),
            "base_fill": amount(base_amount(instrument, order.filled)),
            "counter_fill": amount(quote_amount(instrument, order.spent)),
            "base_delta": amount(base_amount(instrument, fill.quantity)),
            "counter_delta": amount(quote_amount(instrument, money)),
            "base_fee": amount(fees.get(instrument.base, 0)),
            "counter_fee": amount(fees.get(instrument.quote, 0)),
            "base_fee_delta": amount(fill.fee if in_base else 0),
            "counter_fee_delta": amount(0 if in_base else fill.fee),
        }
        self._publish("order_fill", order_fill_update=fields)

    def _publish_balance(self, asset: str) -> None:
        owned = self._account.balances[asset]
        total, free = self._published[asset]
        if (owned.total, owned.free) == (total, free):
            return
        self._published[asset] = (owned.total, owned.free)
        self._row += 1
        fields = {
            "account_id": account_id(asset),
            "row_index": self._row,
            "balance": amount(owned.total),
            "balance_delta": amount(owned.total - total),
            "available": amount(owned.free),
            "available_delta": amount(owned.free - free),
        }
        self._publish("balance_update", balance_update=fields)

    def _publish(self, kind: str, **fields: dict[str, Any]) -> None:
        now = self._clock()
        message: dict[str, Any] = {
            "type": kind,
            "timestamp": now,
            "order_status_update": None,
            "order_fill_update": None,
            "balance_update": None,
        }
        frame = msgspec.json.encode(message | fields)
        self._sent.append((now, frame))
        while self._sent[0][0] < now - RETENTION_MS:
            self._sent.popleft()
        for push in list(self._listeners):
            push(frame)


def _names(order: AccountOrder) -> dict[str, str]:
    return {
        "order_id": public_id(order),
        "client_order_id": order.client_id,
        "market_id": order.instrument.pair,
    }
