"""Binance's user data stream: order and balance events of the account.

Payloads: developers.binance.com, "User Data Streams for Binance".
"""

from collections.abc import Callable
from typing import Any

import msgspec

from services.exchange_simulator.account import AccountEvent, SimulatedAccount
from services.exchange_simulator.binance.order_wire import (
    ENDED,
    EXPIRY_REASON,
    NO_AMOUNT,
    TYPES,
    amount,
    status,
)
from services.exchange_simulator.binance.wire import money, price, quantity

encode = msgspec.json.encode

EXECUTION_TYPES = {"new": "NEW", "trade": "TRADE", "amended": "REPLACED"}


class UserEvents:
    """Publishes an account's events; each is encoded once for all listeners."""

    def __init__(self, account: SimulatedAccount, clock: Callable[[], int]) -> None:
        self._account = account
        self._clock = clock
        # Execution ids start where the markets' ids start, so that a restart reuses none.
        self._execution_id = max((m.first_id for m in account.markets.values()), default=0)
        self._listeners: dict[Callable[[bytes], None], int] = {}
        account.subscribe(self._on_account_event)

    def join(self, push: Callable[[bytes], None], subscription_id: int) -> None:
        """Send every later event to *push*, wrapped for that subscription."""
        self._listeners[push] = subscription_id

    def leave(self, push: Callable[[bytes], None]) -> None:
        """Send nothing more to *push*."""
        self._listeners.pop(push, None)

    def _on_account_event(self, event: AccountEvent) -> None:
        if event.kind == "refused":
            return  # only the answer to the request reports it
        self._execution_id += 1
        self._publish(self._execution_report(event))
        self._publish(self._position(event))

    def _publish(self, event: dict[str, Any]) -> None:
        if not self._listeners:
            return
        payload = encode(event)
        for push, subscription_id in list(self._listeners.items()):
            push(wrapped(payload, subscription_id))

    def _position(self, event: AccountEvent) -> dict[str, Any]:
        balances = self._account.balances
        return {
            "e": "outboundAccountPosition",
            "E": self._clock(),
            "u": event.time_ms,
            "B": [
                {"a": asset, "f": amount(balances[asset].free), "l": amount(balances[asset].held)}
                for asset in event.balances
            ],
        }

    def _execution_report(self, event: AccountEvent) -> dict[str, Any]:
        order, fill = event.order, event.fill
        instrument, asked = order.instrument, order.asked
        kind = EXECUTION_TYPES.get(event.kind) or ENDED[order.state]
        report = {
            "e": "executionReport",
            "E": self._clock(),
            "s": instrument.pair,
            "c": order.client_id,
            "S": asked.side.upper(),
            "o": TYPES[asked.kind],
            "f": asked.time_in_force,
            "q": quantity(instrument, asked.quantity),
            "p": price(instrument, asked.price or 0),
            "P": NO_AMOUNT,
            "F": NO_AMOUNT,
            "g": -1,
            # On a cancel or an amendment `c` is the new client id and `C` the previous one.
            "C": order.called_before if event.kind in ("canceled", "amended") else "",
            "x": kind,
            "X": status(order),
            "r": "NONE",
            "i": order.order_id,
            "l": quantity(instrument, fill.quantity if fill else 0),
            "z": quantity(instrument, order.filled),
            "L": price(instrument, fill.price if fill else 0),
            "n": amount(fill.fee) if fill else "0",
            "N": fill.fee_asset if fill else None,
            "T": event.time_ms,
            "t": fill.trade_id if fill else -1,
            "I": self._execution_id,
            "w": order.state == "open",
            "m": bool(fill and fill.maker),
            "M": fill is not None,
            "O": order.created_ms,
            "Z": money(instrument, order.spent),
            "Y": money(instrument, fill.price * fill.quantity if fill else 0),
            "Q": amount(asked.quote_asked or 0),
            "W": order.created_ms,
            "V": "NONE",
        }
        if kind == "EXPIRED":
            report["eR"] = EXPIRY_REASON
        return report


def wrapped(payload: bytes, subscription_id: int) -> bytes:
    """An event in the envelope of the WebSocket API."""
    return b'{"subscriptionId":%d,"event":%b}' % (subscription_id, payload)
