"""Runs the strategies: tells each what it listens to, and stops one that fails."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
import structlog

from services.bot.decision_maker import Cause, DecisionMaker
from services.bot.parameters import ParameterError
from services.bot.portfolio_state import BotOrder
from services.bot.strategy import (
    Cancel,
    OrderUpdate,
    Refused,
    StaleDataError,
    Strategy,
    Wish,
)
from services.bot.strategy_config import MOST_ORDERS, StrategySpec
from services.bot.view import MarketView, Sources

log = structlog.get_logger()

Method = Literal[
    "on_ticker",
    "on_order_book",
    "on_trade",
    "on_indicator",
    "on_timer",
    "on_order",
    "on_refused",
]
# Between these many seconds a timer may be asked for.
SHORTEST_TIMER, LONGEST_TIMER = 1.0, 86_400.0
# As many as cancel each order that may be open, and replace it.
MOST_WISHES = 2 * MOST_ORDERS


class StrategyRunner:
    """One strategy at work; `stopped` says why it isn't any more."""

    def __init__(self, wanted: StrategySpec, sources: Sources) -> None:
        """Make it.

        Raises:
            ParameterError: its parameters don't go together, or its timer can't be had.
        """
        self.wanted = wanted
        self.stopped: str | None = None
        self.strategy: Strategy | None = None
        self.every: float | None = None  # it is told the time so often, in seconds
        self._blind = False
        try:
            self.strategy = wanted.cls(MarketView(wanted, sources), **wanted.parameters)
            self.every = _every(self.strategy)
        except ParameterError as e:
            raise ParameterError(f"{wanted.key}: {e}") from e
        except Exception as e:  # a plugin may raise anything, and it alone shall stop
            self._stop(e)
            log.exception("strategy_stopped", strategy=wanted.key, where="when it was made")

    def listens(self, method: Method) -> bool:
        """True where the strategy has this method of its own."""
        return getattr(self.wanted.cls, method) is not getattr(Strategy, method)

    def tell(self, method: Method, message: object) -> list[Wish]:
        """What it wants, now that it knows *message*; nothing once it has failed."""
        if self.stopped is not None:
            return []
        try:
            wishes = _wishes(method, getattr(self.strategy, method)(message))
        except StaleDataError as e:
            self._note_blind(str(e))
            return []
        except Exception as e:  # a plugin may raise anything, and it alone shall stop
            self._stop(e)
            log.exception("strategy_stopped", strategy=self.wanted.key, where=method)
            return []
        if self._blind:
            self._blind = False
            log.info("strategy_sees_again", strategy=self.wanted.key)
        return wishes

    def _stop(self, error: Exception) -> None:
        """It failed: it is told nothing more."""
        self.stopped = f"{error.__class__.__name__}: {error}"

    def _note_blind(self, why: str) -> None:
        """It asked for what can't be relied on: said once, until it no longer does."""
        if not self._blind:
            log.warning("strategy_blind", strategy=self.wanted.key, reason=why)
        self._blind = True

    def saved_state(self) -> msgspec.Raw:
        """Its state as JSON; a state that is none stops it."""
        state: Any = self.strategy.state if self.strategy else {}
        try:
            return msgspec.Raw(msgspec.json.encode(state))
        except (TypeError, ValueError, RecursionError) as e:
            if self.stopped is None:
                self._stop(e)
                where = "when its state was saved: want what JSON can hold"
                log.exception("strategy_stopped", strategy=self.wanted.key, where=where)
            return msgspec.Raw(b"{}")


def _wishes(method: Method, returned: object) -> list[Wish]:
    """What a method returned.

    Raises:
        TypeError: it is something else.
    """
    if returned is None:
        return []
    found = list(returned) if isinstance(returned, list | tuple) else [returned]
    wishes = [wish for wish in found if isinstance(wish, Wish)]
    if method == "on_refused" or len(wishes) < len(found):
        want = "an Intent, a Cancel, a list of them, or None"
        raise TypeError(
            f"{method} returned {returned!r}: want {'None' if method == 'on_refused' else want}"
        )
    if len(wishes) > MOST_WISHES:
        raise TypeError(f"{method} returned {len(wishes)} wishes: want at most {MOST_WISHES}")
    return wishes


def _every(strategy: Strategy) -> float | None:
    """How often it wants to be told the time, in seconds; None: never."""
    every: object = strategy.timer_seconds
    has_method = type(strategy).on_timer is not Strategy.on_timer
    if every is None and not has_method:
        return None
    if not has_method:
        raise ParameterError(f"timer_seconds={every!r}: want a method on_timer, too")
    if isinstance(every, int | float) and SHORTEST_TIMER <= every <= LONGEST_TIMER:
        return float(every)
    raise ParameterError(
        f"timer_seconds={every!r}: want how often on_timer is called, in seconds, at least "
        f"{SHORTEST_TIMER:g}, at most {LONGEST_TIMER:g}"
    )


class StrategyHost:
    """All strategies of one configuration."""

    def __init__(
        self, wanted: Iterable[StrategySpec], sources: Sources, maker: DecisionMaker
    ) -> None:
        self.running = {each.key: StrategyRunner(each, sources) for each in wanted}
        self._maker = maker

    def listeners(self, method: Method, exchange: str, symbol: str) -> list[StrategyRunner]:
        """Those who look at this market and have this method."""
        return [
            running
            for running in self.running.values()
            if running.wanted.hears(exchange, symbol) and running.listens(method)
        ]

    def tell(self, running: StrategyRunner, method: Method, message: object, cause: Cause) -> None:
        """Tell one strategy; what it wants is considered at once."""
        wishes = running.tell(method, message)
        if wishes:
            self.consider(running, wishes, cause)

    def consider(self, running: StrategyRunner, wishes: Iterable[Wish], cause: Cause) -> None:
        """What a strategy wants is considered at once, one after the other."""
        intents = 0
        for wish in wishes:
            if running.stopped is not None:  # it failed as it was told of a refusal
                return
            if isinstance(wish, Cancel):
                self._maker.cancel(running.wanted, wish, cause)
                continue
            refusal = self._maker.consider(running.wanted, wish, cause, intents)
            intents += 1
            if refusal is not None:
                quantity = wish.quantity or running.wanted.quantity
                why = (refusal.reason_code, refusal.message, wish.price)
                running.tell("on_refused", Refused(wish.side, quantity, *why))

    def tell_of_order(self, order: BotOrder, status: str, cause: Cause) -> None:
        """Tell the strategy whose order it is."""
        running = self.running.get(order.strategy)
        if running is None or not running.listens("on_order"):
            return
        average = order.spent / order.filled if order.filled else None
        update = OrderUpdate(order.side, order.quantity, status, order.filled, average, order.id)
        self.tell(running, "on_order", update, cause)

    def tell_refused(self, order: BotOrder, reason_code: str, message: str) -> None:
        """Tell the strategy whose order it was that nothing came of it."""
        running = self.running.get(order.strategy)
        if running is not None:
            refused = Refused(order.side, order.quantity, reason_code, message, order.price)
            running.tell("on_refused", refused)

    def saved(self) -> dict[str, msgspec.Raw]:
        """The state of each, as JSON."""
        return {key: running.saved_state() for key, running in self.running.items()}

    def restore(self, states: Mapping[str, msgspec.Raw]) -> None:
        """Give back what `saved` gave; of strategies that aren't named any more nothing is used."""
        for key, running in self.running.items():
            if key in states and running.strategy is not None:
                running.strategy.state = msgspec.json.decode(states[key])

    @property
    def stopped(self) -> dict[str, str]:
        """The strategies that failed, and why."""
        return {k: r.stopped for k, r in self.running.items() if r.stopped is not None}
