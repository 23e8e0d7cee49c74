"""A market: ordered steps, with timestamps that never decrease."""

from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.market import IDS_PER_MS, MarketStep, SimulatedMarket
from services.exchange_simulator.matching import Terms

NOW = 1_790_000_000_000


def test_listeners_receive_each_step_before_the_next_one() -> None:
    """Two listeners receive the same steps in the same order."""
    market = SimulatedMarket(INSTRUMENTS[0], lambda: NOW)
    received: list[MarketStep] = []
    market.subscribe(received.append)
    market.subscribe(received.append)
    order = market.submit(Terms("a", "buy", 5, 100))
    market.submit(Terms("b", "sell", 2, 100))
    market.cancel(order.order_id)
    assert [type(step.events[-1]).__name__ for step in received[::2]] == [
        "Rested",
        "Match",
        "Removed",
    ]
    assert received[::2] == received[1::2]


def test_trades_are_in_the_history_under_the_engines_trade_ids() -> None:
    """A row is time, price, quantity and the taker's side."""
    market = SimulatedMarket(INSTRUMENTS[0], lambda: NOW)
    market.submit(Terms("a", "buy", 5, 100))
    market.submit(Terms("b", "sell", 2, 100))
    market.submit(Terms("b", "sell", 9, 100))
    assert list(market.trades.rows(0, 10**18)) == [
        (NOW * IDS_PER_MS, (NOW, 100, 2, 0)),
        (NOW * IDS_PER_MS + 1, (NOW, 100, 3, 0)),
    ]
    assert market.trades.next_id == market.engine.next_trade_id


def test_time_stands_still_if_the_clock_is_set_back() -> None:
    """Timestamps of steps never decrease."""
    clock = iter([NOW, NOW + 10, NOW + 3, NOW + 11])
    market = SimulatedMarket(INSTRUMENTS[0], lambda: next(clock))
    assert [market.now(), market.now(), market.now()] == [NOW + 10, NOW + 10, NOW + 11]


def test_a_restart_a_second_later_reuses_no_id() -> None:
    """Even after a hundred thousand ids in one second."""
    first = SimulatedMarket(INSTRUMENTS[0], lambda: NOW)
    second = SimulatedMarket(INSTRUMENTS[0], lambda: NOW + 1000)
    assert second.first_id >= first.first_id + 100_000
    assert second.first_id < 2**53  # exact in any JSON parser
