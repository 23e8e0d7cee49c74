"""One Luno pair's public face: the numbered updates of its market stream."""

from collections.abc import Callable
from typing import Any

import msgspec

from services.exchange_simulator.luno.wire import snapshot_order, update
from services.exchange_simulator.market import Market, Step

STATUS = "ACTIVE"


class LunoFeed:
    """Follows a market's facts. The sequence belongs to the pair: connections come and go."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.instrument = market.instrument
        self.sequence = market.first_id
        self._listeners: set[Callable[[bytes], None]] = set()
        market.subscribe(self._see)

    def join(self, push: Callable[[bytes], None]) -> None:
        """Send the snapshot to *push*, and every update after it until `leave`."""
        push(msgspec.json.encode(self.snapshot()))
        self._listeners.add(push)

    def leave(self, push: Callable[[bytes], None]) -> None:
        """Send nothing more to *push*."""
        self._listeners.discard(push)

    def snapshot(self) -> dict[str, Any]:
        """Every order, in price-time order, as of `sequence`."""
        engine = self.market.engine
        return {
            "sequence": str(self.sequence),
            "asks": [snapshot_order(order, self.instrument) for order in engine.asks.orders()],
            "bids": [snapshot_order(order, self.instrument) for order in engine.bids.orders()],
            "status": STATUS,
            "timestamp": self.market.changed_at,
        }

    def _see(self, step: Step) -> None:
        self.sequence += 1
        if self._listeners:
            frame = msgspec.json.encode(update(step, self.sequence, self.instrument))
            for push in list(self._listeners):
                push(frame)
