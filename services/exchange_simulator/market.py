"""One simulated market: the only way to its book, and the one place its facts come from.

Whoever wants to know what happens (a venue's face, the traders, later an account) subscribes
and is told of each step, in order, before the step's caller goes on.
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

# Ids start at the start time in ms with three digits behind it, so that a market which makes
# more than one id a millisecond doesn't run into the ids of its own restart.
IDS_PER_MS = 1000
KEEP_TRADES = 100_000


class MarketStep(NamedTuple):
    """What one order or one cancel did, as one indivisible change of the book."""

    time_ms: int
    events: list[EngineEvent]


Listener = Callable[[MarketStep], None]
# `post_only`: only orders that would rest are taken, as by Luno's circuit breaker.
MarketStatus = Literal["active", "post_only", "halted"]


class SimulatedMarket:
    """A symbol's engine, the tape of its trades and its 24 h statistics.

    *clock* gives Unix time in ms. Time and ids never fall; they begin at *not_before_ms* when
    the clock is behind that, so that ids of an earlier life aren't used again; unless *first_id*
    says where ids begin, as they do anew on a testnet that was reset.
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
        self.changed_at = self._latest  # when the last step was, in ms
        self.first_id = self._latest * IDS_PER_MS if first_id is None else first_id
        self.engine = MatchingEngine(self.first_id)
        # A row: time, price in ticks, quantity in lots, 1 when the taker bought.
        self.trades = TradeHistory(self.first_id, 4, KEEP_TRADES)
        self.day = DayStats()
        self._listeners: list[Listener] = []
        self.status: MarketStatus = "active"
        self._status_listeners: list[Callable[[], None]] = []

    def set_status(self, status: MarketStatus) -> None:
        """From now on the market is open, half open or shut; its own traders rest meanwhile."""
        self.status = status
        self.changed_at = self.now()
        for listener in self._status_listeners:
            listener()

    def on_status(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever the status is set."""
        self._status_listeners.append(listener)

    def subscribe(self, listener: Listener) -> None:
        """Call *listener* with every step from now on."""
        self._listeners.append(listener)

    def submit(self, terms: Terms) -> BookOrder:
        """Hand an order to the engine; the order returned shows what is left of it.

        Raises:
            EngineError: terms the engine can't take.
        """
        order, events = self.engine.submit(terms)
        self._publish(events)
        return order

    def cancel(self, order_id: int) -> None:
        """Take a resting order off the book.

        Raises:
            EngineError: no such order rests.
        """
        self._publish(self.engine.cancel(order_id))

    def reduce(self, order_id: int, quantity: int) -> None:
        """Take *quantity* lots off a resting order.

        Raises:
            EngineError: no such order rests, or nothing would be left of it.
        """
        self._publish(self.engine.reduce(order_id, quantity))

    def now(self) -> int:
        """The market's time in ms; it follows the clock but never falls."""
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
