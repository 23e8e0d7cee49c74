"""Runs the strategies: passes each its messages, and stops one that fails."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
import structlog

from services.bot.decision_maker import Cause, DecisionMaker
from services.bot.parameters import ParameterError
from services.bot.portfolio_state import BotOrder
from services.bot.strategy import (
    Action,
    Cancel,
    OrderUpdate,
    Refused,
    StaleDataError,
    Strategy,
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
# The bounds of `timer_seconds`.
SHORTEST_TIMER, LONGEST_TIMER = 1.0, 86_400.0
# Enough to cancel each open order and replace it.
MAX_ACTIONS = 2 * MOST_ORDERS


class StrategyRunner:
    """One running strategy; `stopped` says why it was stopped, else None."""

    def __init__(self, spec: StrategySpec, sources: Sources) -> None:
        """Make the strategy.

        Raises:
            ParameterError: its parameters contradict each other, or its timer is invalid.
        """
        self.spec = spec
        self.stopped: str | None = None
        self.strategy: Strategy | None = None
        self.every: float | None = None  # the interval of its timer, in seconds
        self._data_stale = False
        try:
            self.strategy = spec.cls(MarketView(spec, sources), **spec.parameters)
            self.every = _every(self.strategy)
        except ParameterError as e:
            raise ParameterError(f"{spec.key}: {e}") from e
        except Exception as e:  # a plugin may raise anything, and only it must stop
            self._stop(e)
            log.exception("strategy_stopped", strategy=spec.key, where="when it was made")

    def listens(self, method: Method) -> bool:
        """True if the strategy overrides this method."""
        return getattr(self.spec.cls, method) is not getattr(Strategy, method)

    def notify(self, method: Method, message: object) -> list[Action]:
        """Call a method with *message*; return its actions, none if the strategy has failed."""
        if self.stopped is not None:
            return []
        try:
            actions = _actions(method, getattr(self.strategy, method)(message))
        except StaleDataError as e:
            self._note_stale_data(str(e))
            return []
        except Exception as e:  # a plugin may raise anything, and only it must stop
            self._stop(e)
            log.exception("strategy_stopped", strategy=self.spec.key, where=method)
            return []
        if self._data_stale:
            self._data_stale = False
            log.info("strategy_data_fresh", strategy=self.spec.key)
        return actions

    def _stop(self, error: Exception) -> None:
        """Stop the strategy after a failure: it no longer receives messages."""
        self.stopped = f"{error.__class__.__name__}: {error}"

    def _note_stale_data(self, why: str) -> None:
        """Log stale data that the strategy asked for, once until it gets fresh data."""
        if not self._data_stale:
            log.warning("strategy_data_stale", strategy=self.spec.key, reason=why)
        self._data_stale = True

    def saved_state(self) -> msgspec.Raw:
        """Its state as JSON; a state that JSON can't hold stops the strategy."""
        state: Any = self.strategy.state if self.strategy else {}
        try:
            return msgspec.Raw(msgspec.json.encode(state))
        except (TypeError, ValueError, RecursionError) as e:
            if self.stopped is None:
                self._stop(e)
                where = "when its state was saved: expected JSON values"
                log.exception("strategy_stopped", strategy=self.spec.key, where=where)
            return msgspec.Raw(b"{}")


def _actions(method: Method, returned: object) -> list[Action]:
    """The actions that a method returned.

    Raises:
        TypeError: it returned something else, or too many.
    """
    if returned is None:
        return []
    found = list(returned) if isinstance(returned, list | tuple) else [returned]
    actions = [action for action in found if isinstance(action, Action)]
    if method == "on_refused" or len(actions) < len(found):
        want = "an Intent, a Cancel, a list of them, or None"
        raise TypeError(
            f"{method} returned {returned!r}: expected {'None' if method == 'on_refused' else want}"
        )
    if len(actions) > MAX_ACTIONS:
        raise TypeError(f"{method} returned {len(actions)} actions: expected at most {MAX_ACTIONS}")
    return actions


def _every(strategy: Strategy) -> float | None:
    """The interval of its timer in seconds; None without a timer."""
    every: object = strategy.timer_seconds
    has_method = type(strategy).on_timer is not Strategy.on_timer
    if every is None and not has_method:
        return None
    if not has_method:
        raise ParameterError(f"timer_seconds={every!r}: expected a method on_timer, too")
    if isinstance(every, int | float) and SHORTEST_TIMER <= every <= LONGEST_TIMER:
        return float(every)
    raise ParameterError(
        f"timer_seconds={every!r}: expected the seconds between calls of on_timer, at least "
        f"{SHORTEST_TIMER:g}, at most {LONGEST_TIMER:g}"
    )


class StrategyHost:
    """All strategies of one configuration."""

    def __init__(
        self, spec: Iterable[StrategySpec], sources: Sources, maker: DecisionMaker
    ) -> None:
        self.running = {each.key: StrategyRunner(each, sources) for each in spec}
        self._maker = maker

    def listeners(self, method: Method, exchange: str, symbol: str) -> list[StrategyRunner]:
        """The strategies that use this market and override this method."""
        return [
            running
            for running in self.running.values()
            if running.spec.watches(exchange, symbol) and running.listens(method)
        ]

    def notify(
        self, running: StrategyRunner, method: Method, message: object, cause: Cause
    ) -> None:
        """Call one strategy, and handle its actions at once."""
        actions = running.notify(method, message)
        if actions:
            self.consider(running, actions, cause)

    def consider(self, running: StrategyRunner, actions: Iterable[Action], cause: Cause) -> None:
        """Handle the actions of a strategy, one after the other."""
        intents = 0
        for action in actions:
            if running.stopped is not None:  # it failed in on_refused
                return
            if isinstance(action, Cancel):
                self._maker.cancel(running.spec, action, cause)
                continue
            refusal = self._maker.consider(running.spec, action, cause, intents)
            intents += 1
            if refusal is not None:
                quantity = action.quantity or running.spec.quantity
                why = (refusal.reason_code, refusal.message, action.price)
                running.notify("on_refused", Refused(action.side, quantity, *why))

    def notify_order(self, order: BotOrder, status: str, cause: Cause) -> None:
        """Call `on_order` of the strategy that owns the order."""
        running = self.running.get(order.strategy)
        if running is None or not running.listens("on_order"):
            return
        average = order.spent / order.filled if order.filled else None
        update = OrderUpdate(order.side, order.quantity, status, order.filled, average, order.id)
        self.notify(running, "on_order", update, cause)

    def notify_refused(self, order: BotOrder, reason_code: str, message: str) -> None:
        """Call `on_refused` of the strategy that owned the order."""
        running = self.running.get(order.strategy)
        if running is not None:
            refused = Refused(order.side, order.quantity, reason_code, message, order.price)
            running.notify("on_refused", refused)

    def saved(self) -> dict[str, msgspec.Raw]:
        """The state of each strategy, as JSON."""
        return {key: running.saved_state() for key, running in self.running.items()}

    def restore(self, states: Mapping[str, msgspec.Raw]) -> None:
        """Restore the states from `saved`; those of strategies no longer configured are ignored."""
        for key, running in self.running.items():
            if key in states and running.strategy is not None:
                running.strategy.state = msgspec.json.decode(states[key])

    @property
    def stopped(self) -> dict[str, str]:
        """The strategies that failed, and why."""
        return {k: r.stopped for k, r in self.running.items() if r.stopped is not None}
