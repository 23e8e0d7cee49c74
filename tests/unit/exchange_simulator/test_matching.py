"""The matching engine: price-time priority, no lost lots, no crossed book."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.matching import (
    BookOrder,
    EngineError,
    EngineEvent,
    Killed,
    Match,
    MatchingEngine,
    OrderAccepted,
    OrderRefused,
    Removed,
    Rested,
    Terms,
)

FIRST_ID = 1000


def terms(side: str, quantity: int, price: int | None = None, **more: object) -> Terms:
    """An order's terms, by any owner."""
    return Terms("someone", side, quantity, price, **more)  # type: ignore[arg-type]


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    """Valid terms; few prices, so that orders trade."""
    side = draw(st.sampled_from(["buy", "sell"]))
    quantity = draw(st.integers(1, 20))
    if draw(st.integers(0, 4)) == 0:
        return terms(side, quantity)
    price = draw(st.integers(95, 105))
    time_in_force = draw(st.sampled_from(["GTC", "GTC", "GTC", "IOC", "FOK"]))
    post_only = time_in_force == "GTC" and draw(st.booleans())
    return terms(side, quantity, price, time_in_force=time_in_force, post_only=post_only)


# An action on a book: an order, or a cancel of the n-th resting order.
actions = st.lists(st.one_of(any_terms(), st.integers(0, 50)), max_size=60)


class SlowBook:
    """A naive reference model of the engine: lists and linear searches."""

    def __init__(self) -> None:
        self.resting: list[list[int]] = []  # [order id, 1 bid or -1 ask, price, remaining]
        self.next_id = FIRST_ID

    def submit(self, wanted: Terms) -> list[tuple[int, int, int]]:
        """`(maker id, price, quantity)` of each trade."""
        order_id, self.next_id = self.next_id, self.next_id + 1
        sign = 1 if wanted.side == "buy" else -1
        makers = sorted(
            (order for order in self.resting if order[1] == -sign),
            key=lambda order: (order[2] * sign, order[0]),
        )
        if wanted.price is not None:
            makers = [order for order in makers if order[2] * sign <= wanted.price * sign]
        if wanted.post_only and makers:
            return []
        if wanted.time_in_force == "FOK" and sum(o[3] for o in makers) < wanted.quantity:
            return []
        trades, left = [], wanted.quantity
        for maker in makers:
            quantity = min(left, maker[3])
            if quantity:
                trades.append((maker[0], maker[2], quantity))
                maker[3] -= quantity
                left -= quantity
        self.resting = [order for order in self.resting if order[3]]
        if left and wanted.price is not None and wanted.time_in_force == "GTC":
            self.resting.append([order_id, sign, wanted.price, left])
        return trades

    def side(self, sign: int) -> list[tuple[int, int]]:
        """`(order id, remaining)` in price-time order."""
        orders = [order for order in self.resting if order[1] == sign]
        return [(o[0], o[3]) for o in sorted(orders, key=lambda o: (-o[2] * sign, o[0]))]


def play(steps: list[Terms | int]) -> tuple[MatchingEngine, list[list[EngineEvent]]]:
    """Run actions; a cancel without a resting order is skipped."""
    engine, outcomes = MatchingEngine(FIRST_ID), []
    for step in steps:
        if isinstance(step, Terms):
            outcomes.append(engine.submit(step)[1])
        elif step < len(engine.resting):
            outcomes.append(engine.cancel(list(engine.resting)[step]))
    return engine, outcomes


@given(actions)
def test_the_engine_equals_a_naive_model(steps: list[Terms | int]) -> None:
    """Every trade, and the book order by order, are equal."""
    engine, slow = MatchingEngine(FIRST_ID), SlowBook()
    for step in steps:
        if isinstance(step, Terms):
            events = engine.submit(step)[1]
            trades = [f for f in events if isinstance(f, Match)]
            assert [(t.maker.order_id, t.price, t.quantity) for t in trades] == slow.submit(step)
        elif step < len(engine.resting):
            order_id = list(engine.resting)[step]
            engine.cancel(order_id)
            slow.resting = [order for order in slow.resting if order[0] != order_id]
        for side, sign in ((engine.bids, 1), (engine.asks, -1)):
            assert [(o.order_id, o.remaining) for o in side.orders()] == slow.side(sign)


@given(actions)
def test_the_book_is_never_crossed(steps: list[Terms | int]) -> None:
    """After every action the best bid is below the best ask."""
    engine = MatchingEngine(FIRST_ID)
    for step in steps:
        if isinstance(step, Terms):
            engine.submit(step)
        bid, ask = engine.best()
        assert bid is None or ask is None or bid[0] < ask[0]


@given(actions)
def test_every_lot_is_traded_resting_cancelled_killed_or_refused(steps: list[Terms | int]) -> None:
    """The submitted lots equal the sum of all outcomes."""
    engine, outcomes = play(steps)
    asked: dict[int, int] = {}
    settled: dict[int, int] = {}

    def settle(order: BookOrder, quantity: int) -> None:
        settled[order.order_id] = settled.get(order.order_id, 0) + quantity

    for events in outcomes:
        for event in events:
            if isinstance(event, OrderAccepted | OrderRefused):
                asked[event.order.order_id] = event.order.terms.quantity
            if isinstance(event, Match):
                settle(event.taker, event.quantity)
                settle(event.maker, event.quantity)
            elif isinstance(event, Removed | Killed):
                settle(event.order, event.quantity)
            elif isinstance(event, OrderRefused):
                settle(event.order, event.order.terms.quantity)
    for order in engine.resting.values():
        settle(order, order.remaining)
    assert settled == asked


@given(actions)
def test_a_levels_quantity_is_the_sum_of_its_orders(steps: list[Terms | int]) -> None:
    """Aggregated levels and orders agree; empty levels are removed."""
    engine, _ = play(steps)
    for side in (engine.bids, engine.asks):
        sums: dict[int, int] = {}
        for order in side.orders():
            assert order.terms.price is not None
            sums[order.terms.price] = sums.get(order.terms.price, 0) + order.remaining
        assert dict(side.top(1000)) == sums


@given(actions)
def test_trade_ids_are_contiguous(steps: list[Terms | int]) -> None:
    """The n-th trade has the first id plus n."""
    engine, outcomes = play(steps)
    ids = [event.trade_id for events in outcomes for event in events if isinstance(event, Match)]
    assert ids == list(range(FIRST_ID, engine.next_trade_id))


def test_a_market_order_fills_at_the_best_prices_first_and_never_rests() -> None:
    """It fills level by level; the remaining quantity is killed."""
    engine = MatchingEngine(FIRST_ID)
    engine.submit(terms("sell", 3, 102))
    engine.submit(terms("sell", 2, 101))
    order, events = engine.submit(terms("buy", 10))
    assert [(f.price, f.quantity) for f in events if isinstance(f, Match)] == [(101, 2), (102, 3)]
    assert events[-1] == Killed(order, 5, "no_liquidity")
    assert engine.best() == (None, None)


def test_a_limit_order_trades_and_rests_with_its_remaining_quantity() -> None:
    """Its events are ordered: accepted, the match, rested."""
    engine = MatchingEngine(FIRST_ID)
    maker, _ = engine.submit(terms("sell", 2, 101))
    taker, events = engine.submit(terms("buy", 5, 101))
    assert events == [
        OrderAccepted(taker),
        Match(FIRST_ID, taker, maker, 101, 2, 0, 3),
        Rested(taker, 3),
    ]
    assert engine.best() == ((101, 3), None)


def test_the_older_order_at_a_price_trades_first() -> None:
    """Time priority, also after a partial fill."""
    engine = MatchingEngine(FIRST_ID)
    first, _ = engine.submit(terms("buy", 4, 100))
    second, _ = engine.submit(terms("buy", 4, 100))
    makers = [
        event.maker
        for quantity in (1, 5)
        for event in engine.submit(terms("sell", quantity))[1]
        if isinstance(event, Match)
    ]
    assert makers == [first, first, second]


def test_immediate_or_cancel_leaves_nothing_on_the_book() -> None:
    """It fills the available quantity at its price; the remaining quantity is killed."""
    engine = MatchingEngine(FIRST_ID)
    engine.submit(terms("sell", 2, 101))
    order, events = engine.submit(terms("buy", 5, 101, time_in_force="IOC"))
    assert events[-1] == Killed(order, 3, "immediate_or_cancel")
    assert not engine.resting


def test_fill_or_kill_fills_completely_or_not_at_all() -> None:
    """One lot too many leaves the book unchanged; the exact quantity is filled."""
    engine = MatchingEngine(FIRST_ID)
    engine.submit(terms("sell", 2, 101))
    engine.submit(terms("sell", 2, 102))
    order, events = engine.submit(terms("buy", 5, 102, time_in_force="FOK"))
    assert events == [OrderAccepted(order), Killed(order, 5, "fill_or_kill")]
    filled, _ = engine.submit(terms("buy", 4, 102, time_in_force="FOK"))
    assert filled.remaining == 0


def test_post_only_is_refused_when_it_would_trade() -> None:
    """It is refused at the ask; one tick below the ask it rests."""
    engine = MatchingEngine(FIRST_ID)
    engine.submit(terms("sell", 2, 101))
    order, events = engine.submit(terms("buy", 1, 101, post_only=True))
    assert events == [OrderRefused(order)]
    order, events = engine.submit(terms("buy", 1, 100, post_only=True))
    assert events == [OrderAccepted(order), Rested(order, 1)]


def test_an_order_can_be_cancelled_once() -> None:
    """The event has the remaining quantity; the error of a second cancel names the id."""
    engine = MatchingEngine(FIRST_ID)
    order, _ = engine.submit(terms("buy", 4, 100))
    engine.submit(terms("sell", 1, 100))
    assert engine.cancel(order.order_id) == [Removed(order, 3)]
    with pytest.raises(EngineError, match=f"order_id={order.order_id}"):
        engine.cancel(order.order_id)


@pytest.mark.parametrize(
    ("bad", "names"),
    [
        (terms("buy", 0, 100), "quantity=0"),
        (terms("buy", 1, 0), "price=0"),
        (terms("buy", 1, post_only=True), "post_only"),
        (terms("buy", 1, 100, time_in_force="IOC", post_only=True), "post_only"),
    ],
)
def test_invalid_terms_are_refused_with_the_name_of_the_field(bad: Terms, names: str) -> None:
    """The book is unchanged."""
    engine = MatchingEngine(FIRST_ID)
    with pytest.raises(EngineError, match=names):
        engine.submit(bad)
    assert engine.next_order_id == FIRST_ID


def book(*asks: tuple[int, int]) -> MatchingEngine:
    """An engine with asks: price, quantity."""
    engine = MatchingEngine(FIRST_ID)
    for price, quantity in asks:
        engine.submit(terms("sell", quantity, price))
    return engine


@given(
    st.lists(st.tuples(st.integers(90, 110), st.integers(1, 9)), max_size=10),
    st.integers(0, 100),
)
def test_the_cost_of_a_quantity_equals_its_trades(
    asks: list[tuple[int, int]], quantity: int
) -> None:
    """Limited to the available quantity."""
    engine = book(*asks)
    expected = engine.asks.cost(quantity)
    events = engine.submit(terms("buy", quantity))[1] if quantity else []
    assert sum(f.price * f.quantity for f in events if isinstance(f, Match)) == expected


@given(
    st.lists(st.tuples(st.integers(90, 110), st.integers(1, 9)), max_size=10),
    st.integers(0, 5000),
)
def test_lots_for_money_is_the_largest_affordable_quantity(
    asks: list[tuple[int, int]], money: int
) -> None:
    """The cost is at most the money; one more lot costs more, or does not exist."""
    engine = book(*asks)
    lots, cost = engine.asks.lots_for(money)
    assert cost == engine.asks.cost(lots) <= money
    there_is_more = engine.asks.available(None, lots + 1) > lots
    assert not there_is_more or engine.asks.cost(lots + 1) > money


def test_a_restored_order_rests_under_its_old_id() -> None:
    """It rests with its remaining quantity, without trading, and can be cancelled."""
    engine = book((100, 5))
    order = BookOrder(7, terms("buy", 10, 99), 4)
    engine.restore(order)
    assert engine.best() == ((99, 4), (100, 5))
    assert engine.cancel(7) == [Removed(order, 4)]
    assert engine.next_order_id == FIRST_ID + 1


@pytest.mark.parametrize("price", [None, 100])
def test_an_order_that_cannot_rest_is_not_restored(price: int | None) -> None:
    """An order without a price, or one that would trade."""
    with pytest.raises(EngineError, match="order_id=7"):
        book((100, 5)).restore(BookOrder(7, terms("buy", 1, price), 1))
