"""The traders: the same seed gives the same market; the book stays two-sided and bounded."""

from collections import Counter
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.instruments import INSTRUMENTS, SimulatedInstrument
from services.exchange_simulator.market import MarketStep, SimulatedMarket
from services.exchange_simulator.matching import BookOrder, Match, Side, Terms
from services.exchange_simulator.traders import OrderPool, Traders

BTC = INSTRUMENTS[0]
START = 1_790_000_000_000


def story(seed: int, clock_step: int = 1, instrument: SimulatedInstrument = BTC) -> list[object]:
    """All events of a market for a while, without their times."""
    times = count(START, clock_step)
    opened = [START]  # ids start at the opening time: both runs open at the same time
    market = SimulatedMarket(instrument, lambda: opened.pop() if opened else next(times))
    told: list[object] = []

    def on_text(step: MarketStep) -> None:
        for event in step.events:
            parts = [(p.order_id, p.terms) if isinstance(p, BookOrder) else p for p in event]
            told.append((type(event).__name__, *parts))

    market.subscribe(on_text)
    traders = Traders(market, seed, 100)
    traders.open_market()
    for _ in range(300):
        traders.act()
    return told


def test_the_same_seed_gives_the_same_market_at_any_clock() -> None:
    """Events, ids, prices and quantities are equal at a slow and at a fast clock."""
    assert story(7, clock_step=1) == story(7, clock_step=977)


def test_another_seed_or_symbol_gives_another_market() -> None:
    """Markets with different symbols are independent."""
    assert story(7) != story(8)
    assert story(7) != story(7, instrument=INSTRUMENTS[1])


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda i: i.symbol)
def test_the_book_stays_two_sided_deep_and_bounded(instrument: SimulatedInstrument) -> None:
    """Over twenty thousand actions the number of orders is bounded, and trades continue."""
    market = SimulatedMarket(instrument, lambda: START)
    traders = Traders(market, 1, 400)
    events: Counter[str] = Counter()
    market.subscribe(lambda step: events.update(type(event).__name__ for event in step.events))
    traders.open_market()
    engine = market.engine
    for _ in range(40):
        before = events["Match"]
        for _ in range(500):
            traders.act()
        bids, asks = len(list(engine.bids.orders())), len(list(engine.asks.orders()))
        assert 200 < bids < 600
        assert 200 < asks < 600
        assert len(engine.bids.levels) > 100
        assert len(engine.asks.levels) > 100
        assert events["Match"] - before > 100
        bid, ask = engine.best()
        assert bid is not None
        assert ask is not None
        assert ask[0] - bid[0] < instrument.start_price / 200
        assert abs(bid[0] - instrument.start_price) < instrument.start_price / 20
    assert events["Killed"] > 0
    assert events["OrderRefused"] > 0


def test_the_book_recovers_after_a_sweep() -> None:
    """After an order that fills all asks, the traders place new ones."""
    market = SimulatedMarket(BTC, lambda: START)
    traders = Traders(market, 1, 200)
    traders.open_market()
    market.submit(Terms("whale", "buy", 10**12))
    assert market.engine.best()[1] is None
    for _ in range(3000):
        traders.act()
    assert len(market.engine.asks.levels) > 100


def test_traders_never_cancel_orders_of_others() -> None:
    """They may trade with an order of another client."""
    market = SimulatedMarket(BTC, lambda: START)
    traders = Traders(market, 1, 50)
    traders.open_market()
    far = market.submit(Terms("stranger", "buy", 5, BTC.start_price // 2))
    for _ in range(5000):
        traders.act()
    assert far.order_id in market.engine.resting


def test_quantities_and_prices_are_within_the_limits() -> None:
    """Every trade respects the limits of its instrument."""
    market = SimulatedMarket(INSTRUMENTS[-1], lambda: START)
    limits = market.instrument
    trades: list[Match] = []
    market.subscribe(lambda s: trades.extend(f for f in s.events if isinstance(f, Match)))
    traders = Traders(market, 3, 100)
    traders.open_market()
    for _ in range(2000):
        traders.act()
    assert trades
    assert all(limits.min_price <= trade.price <= limits.max_price for trade in trades)
    assert all(trade.taker.terms.quantity >= limits.min_quantity for trade in trades)


@pytest.mark.parametrize("share", [0.8, 0.999, 1.001, 1.2])
def test_a_market_can_be_moved(share: float) -> None:
    """It then trades around the new price; no side was ever empty."""
    market = SimulatedMarket(BTC, lambda: START)
    traders = Traders(market, 1, 100)
    traders.open_market()
    sides: list[bool] = []
    market.subscribe(lambda _: sides.append(None not in market.engine.best()))
    price = round(BTC.start_price * share)
    traders.move(price)
    for _ in range(2000):
        traders.act()
    bid, ask = market.engine.best()
    assert all(sides)
    assert bid is not None
    assert ask is not None
    assert abs((bid[0] + ask[0]) / 2 / price - 1) < 0.01


@pytest.mark.parametrize(("side", "share"), [("buy", 0.9), ("sell", 1.1)])
def test_a_move_fills_orders_of_others_on_its_way(side: Side, share: float) -> None:
    """At the price of the order; an order beyond the new price stays."""
    market = SimulatedMarket(BTC, lambda: START)
    traders = Traders(market, 1, 100)
    traders.open_market()
    target = round(BTC.start_price * share)
    near, beyond = (BTC.start_price + target) // 2, 2 * target - BTC.start_price
    taken = market.submit(Terms("stranger", side, 500_000, near))
    stays = market.submit(Terms("stranger", side, 500_000, beyond))
    trades: list[Match] = []
    market.subscribe(lambda s: trades.extend(f for f in s.events if isinstance(f, Match)))
    traders.move(target)
    assert (taken.remaining, stays.remaining) == (0, 500_000)
    own = [trade for trade in trades if trade.maker is taken]
    assert {trade.price for trade in own} == {near}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20))), st.integers())
def test_a_pool_equals_a_set(moves: list[tuple[bool, int]], seed: int) -> None:
    """A pick is one of its members."""
    pool, model = OrderPool(), set[int]()
    for put_in, order_id in moves:
        if put_in and order_id not in model:
            pool.add(order_id)
            model.add(order_id)
        elif not put_in and order_id in model:
            pool.discard(order_id)
            model.discard(order_id)
        assert len(pool) == len(model)
        assert not model or pool.pick(Random(seed)) in model
