"""A market: steps in order, stamped by a clock that never runs back."""

from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.market import IDS_PER_MS, MarketStep, SimulatedMarket
from services.exchange_simulator.matching import Terms

NOW = 1_790_000_000_000


def test_listeners_hear_each_step_before_the_next_one_happens() -> None:
    """Two listeners, the same steps, in the order they were made."""
    market = SimulatedMarket(INSTRUMENTS[0], lambda: NOW)
    heard: list[MarketStep] = []
    market.subscribe(heard.append)
    market.subscribe(heard.append)
    order = market.submit(Terms("a", "buy", 5, 100))
    market.submit(Terms("b", "sell", 2, 100))
    market.cancel(order.order_id)
    assert [type(step.events[-1]).__name__ for step in heard[::2]] == ["Rested", "Match", "Removed"]
    assert heard[::2] == heard[1::2]


def test_trades_are_on_the_tape_under_the_engines_trade_ids() -> None:
    """A row is time, price, quantity and who took."""
    market = SimulatedMarket(INSTRUMENTS[0], lambda: NOW)
    market.submit(Terms("a", "buy", 5, 100))
    market.submit(Terms("b", "sell", 2, 100))
    market.submit(Terms("b", "sell", 9, 100))
    assert list(market.trades.rows(0, 10**18)) == [
        (NOW * IDS_PER_MS, (NOW, 100, 2, 0)),
        (NOW * IDS_PER_MS + 1, (NOW, 100, 3, 0)),
    ]
    assert market.trades.next_id == market.engine.next_trade_id


def test_time_stands_still_when_the_clock_runs_back() -> None:
    """A clock that is set back doesn't make events older than those before them."""
    clock = iter([NOW, NOW + 10, NOW + 3, NOW + 11])
    market = SimulatedMarket(INSTRUMENTS[0], lambda: next(clock))
    assert [market.now(), market.now(), market.now()] == [NOW + 10, NOW + 10, NOW + 11]


def test_a_restart_a_second_later_reuses_no_id() -> None:
    """Even one that made a hundred thousand ids in its only second."""
    first = SimulatedMarket(INSTRUMENTS[0], lambda: NOW)
    second = SimulatedMarket(INSTRUMENTS[0], lambda: NOW + 1000)
    assert second.first_id >= first.first_id + 100_000
    assert second.first_id < 2**53  # whole in any JSON reader
