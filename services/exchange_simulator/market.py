"""One simulated market: the only access to its matching engine, and the source of its events.

A listener (a venue's feed, the traders, an account) subscribes and is called with each step, in
order, before the call that caused the step returns.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from services.exchange_simulator.day_stats import DayStats
from services.exchange_simulator.instruments import SimulatedInstrument
from services.exchange_simulator.matching import (
    BookOrder,
    EngineEvent,
    Match,
    MatchingEngine,
    Terms,
)
from services.exchange_simulator.trade_history import TradeHistory

# The first id is the start time in ms times 1000, so that a market that uses more than one id a
# millisecond does not reach the ids of its next run.
IDS_PER_MS = 1000
KEEP_TRADES = 100_000


class MarketStep(NamedTuple):
    """The events of one order or one cancel: one atomic change of the book, at Unix ms."""

    time_ms: int
    events: list[EngineEvent]


Listener = Callable[[MarketStep], None]
# `post_only`: only orders that would rest are accepted, as with Luno's circuit breaker.
MarketStatus = Literal["active", "post_only", "halted"]


class SimulatedMarket:
    """A symbol's engine, the history of its trades and its 24 h statistics.

    *clock* returns Unix time in ms. Time and ids never decrease. They start at *not_before_ms* if
    the clock is behind it, so that no id of an earlier run is used again. *first_id*, if given, is
    the first id instead, as on a testnet that was reset.
    """

    def __init__(
        self,
        instrument: SimulatedInstrument,
        clock: Callable[[], int],
        not_before_ms: int = 0,
        first_id: int | None = None,
    ) -> None:
        self.instrument = instrument
        self._clock = clock
        self._latest = max(clock(), not_before_ms)
        self.changed_at = self._latest  # time of the last step, in ms
        self.first_id = self._latest * IDS_PER_MS if first_id is None else first_id
        self.engine = MatchingEngine(self.first_id)
        # A row: time, price in ticks, quantity in lots, 1 when the taker bought.
        self.trades = TradeHistory(self.first_id, 4, KEEP_TRADES)
        self.day = DayStats()
        self._listeners: list[Listener] = []
        self.status: MarketStatus = "active"
        self._status_listeners: list[Callable[[], None]] = []

    def set_status(self, status: MarketStatus) -> None:
        """Set the status; the random traders pause unless it is `active`."""
        self.status = status
        self.changed_at = self.now()
        for listener in self._status_listeners:
            listener()

    def on_status(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever the status is set."""
        self._status_listeners.append(listener)

    def subscribe(self, listener: Listener) -> None:
        """Call *listener* with every later step."""
        self._listeners.append(listener)

    def submit(self, terms: Terms) -> BookOrder:
        """Submit an order to the engine; returns it with its remaining quantity after matching.

        Raises:
            EngineError: invalid terms.
        """
        order, events = self.engine.submit(terms)
        self._publish(events)
        return order

    def cancel(self, order_id: int) -> None:
        """Remove a resting order from the book.

        Raises:
            EngineError: no such order rests.
        """
        self._publish(self.engine.cancel(order_id))

    def reduce(self, order_id: int, quantity: int) -> None:
        """Take *quantity* lots off a resting order.

        Raises:
            EngineError: no such order rests, or no lots would remain.
        """
        self._publish(self.engine.reduce(order_id, quantity))

    def now(self) -> int:
        """The market's time in Unix ms; it follows the clock but never decreases."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _publish(self, events: list[EngineEvent]) -> None:
        now = self.changed_at = self.now()
        for event in events:
            if isinstance(event, Match):
                bought = event.taker.terms.side == "buy"
                self.trades.append(now, event.price, event.quantity, bought)
                self.day.add(now, event.trade_id, event.price, event.quantity)
        step = MarketStep(now, events)
        for listener in self._listeners:
            listener(step)
