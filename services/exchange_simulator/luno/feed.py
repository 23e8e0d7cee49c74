"""One Luno pair's market stream: a snapshot and numbered updates."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.exchange_simulator.luno.wire import snapshot_order, update
from services.exchange_simulator.market import MarketStatus, MarketStep, SimulatedMarket

# The status in the stream and the ticker.
STATUS: Mapping[MarketStatus, str] = {
    "active": "ACTIVE",
    "post_only": "POSTONLY",
    "halted": "DISABLED",
}


class LunoFeed:
    """Publishes a market's events. All connections of a pair share one sequence."""

    def __init__(self, market: SimulatedMarket) -> None:
        self.market = market
        self.instrument = market.instrument
        self.sequence = market.first_id
        self._listeners: set[Callable[[bytes], None]] = set()
        market.subscribe(self._on_step)
        market.on_status(self._publish_status)

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
            "status": self.status,
            "timestamp": self.market.changed_at,
        }

    @property
    def status(self) -> str:
        """The market's status in Luno's spelling."""
        return STATUS[self.market.status]

    def _on_step(self, step: MarketStep) -> None:
        self._push(step)

    def _publish_status(self) -> None:
        self._push(MarketStep(self.market.changed_at, []), {"status": self.status})

    def _push(self, step: MarketStep, status: Mapping[str, str] | None = None) -> None:
        self.sequence += 1
        if self._listeners:
            content = update(step, self.sequence, self.instrument) | {"status_update": status}
            frame = msgspec.json.encode(content)
            for push in list(self._listeners):
                push(frame)
