"""An account: balances, holds and fees add up after any sequence of trades."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.account import FeeRates, InsufficientBalanceError
from services.exchange_simulator.account_order import AccountOrder, NewOrder, base_amount
from services.exchange_simulator.account_order import quote_amount as money
from tests.unit.exchange_simulator.floors import BTC, Floor

ONE = 10**8


def limit(
    side: str, quantity: int, price: int, client_id: str = "mine", **more: object
) -> NewOrder:
    """A limit order for BTC: lots and ticks."""
    return NewOrder(BTC, client_id, "limit", side, quantity, price, **more)  # type: ignore[arg-type]


def test_a_resting_order_holds_its_largest_possible_cost() -> None:
    """A bid holds quote, an ask base; a cancel releases the hold."""
    floor = Floor(BTC)
    bid = floor.account.place(limit("buy", 50_000, 6_000_000))
    ask = floor.account.place(limit("sell", 20_000, 7_000_000))
    assert (floor.held("USDT"), floor.held("BTC")) == (30_000 * ONE, ONE // 5)
    assert floor.free("USDT") == 970_000 * ONE
    for order in (bid, ask):
        floor.account.cancel(order)
    assert (floor.held("USDT"), floor.held("BTC")) == (0, 0)
    assert (floor.free("USDT"), floor.free("BTC")) == (1_000_000 * ONE, 10 * ONE)
    assert list(floor.account.open_orders()) == []


def test_a_taker_pays_the_makers_price_and_a_fee_in_the_received_asset() -> None:
    """A bid above the ask trades at the ask; the rest of its hold is released."""
    floor = Floor(BTC)
    floor.others(BTC, "sell", "60000.00", "0.4")
    order = floor.account.place(limit("buy", 100_000, 6_100_000))
    assert (order.state, order.filled) == ("open", 40_000)
    fee = 4 * ONE // 10 // 1000
    assert [(f.fee, f.fee_asset, f.maker) for f in order.fills] == [(fee, "BTC", False)]
    assert floor.free("BTC") == 10 * ONE + 4 * ONE // 10 - fee
    # The remaining 0.6 BTC hold at their own price.
    assert floor.held("USDT") == 36_600 * ONE
    assert floor.account.balances["USDT"].total == (1_000_000 - 24_000) * ONE


def test_a_maker_pays_the_lower_fee() -> None:
    """A seller pays the fee in quote."""
    floor = Floor(BTC)
    order = floor.account.place(limit("sell", 100_000, 6_000_000))
    floor.others(BTC, "buy", "60500.00", "1")
    assert order.state == "filled"
    assert order.fees() == {"USDT": 54 * ONE}  # 0.09 % of 60,000
    assert floor.free("USDT") == (1_060_000 - 54) * ONE
    assert (floor.free("BTC"), floor.held("BTC")) == (9 * ONE, 0)


BNB = "BNB/USDT"


def floor_with_bnb(amount: str) -> Floor:
    """Both sides of a market for BTC, BNB at 600, and an account that pays with BNB."""
    floor = Floor(BTC, BNB, funds={"BNB": amount})
    floor.account.fees = FeeRates(maker=90_000, taker=100_000, discount_asset="BNB")
    floor.others(BNB, "sell", "600.00", "50")
    floor.others(BTC, "sell", "60000.00", "1")
    floor.others(BTC, "buy", "59000.00", "1")
    return floor


def test_a_fee_costs_three_quarters_if_paid_in_bnb() -> None:
    """For buy and sell: the received amount is complete, and the event lists BNB as changed."""
    floor = floor_with_bnb("1")
    bought = floor.account.place(NewOrder(BTC, "buy", "market", "buy", 10_000))
    assert bought.fees() == {"BNB": 750_000}  # 0.1 % of 6,000 USDT is 0.01 BNB
    assert floor.events[-1].balances == ("BTC", "USDT", "BNB")
    sold = floor.account.place(NewOrder(BTC, "sell", "market", "sell", 10_000))
    assert sold.fees() == {"BNB": 737_500}
    assert floor.free("BNB") == ONE - 750_000 - 737_500
    assert (floor.free("BTC"), floor.free("USDT")) == (10 * ONE, (1_000_000 - 100) * ONE)


def test_without_enough_bnb_a_fee_is_paid_in_the_received_asset() -> None:
    """In full; BNB that an order holds can't pay it."""
    floor = floor_with_bnb("0.00749999")
    assert floor.account.place(NewOrder(BTC, "buy", "market", "buy", 10_000)).fees() == {
        "BTC": ONE // 10_000
    }
    floor = floor_with_bnb("0.008")
    floor.account.place(NewOrder(BNB, "ask", "limit", "sell", 8, 70_000))
    assert "BNB" not in floor.account.place(NewOrder(BTC, "buy", "market", "buy", 10_000)).fees()
    assert floor.free("BNB") == 0


def test_a_fee_for_bought_bnb_is_paid_in_bnb() -> None:
    """It has the discount if the account had BNB before."""
    floor = floor_with_bnb("1")
    assert floor.account.place(NewOrder(BNB, "buy", "market", "buy", 1_000)).fees() == {
        "BNB": 75_000
    }
    assert floor.free("BNB") == 2 * ONE - 75_000


def test_an_order_above_the_free_balance_is_refused() -> None:
    """Amounts that other orders hold aren't free."""
    floor = Floor(BTC, funds={"USDT": "100", "BTC": "0.5"})
    floor.account.place(limit("sell", 50_000, 9_000_000))
    with pytest.raises(InsufficientBalanceError, match="BTC"):
        floor.account.place(limit("sell", 1, 9_000_000))
    with pytest.raises(InsufficientBalanceError, match="USDT"):
        floor.account.place(limit("buy", 2_000, 6_000_000))
    floor.others(BTC, "sell", "60000.00", "1")
    with pytest.raises(InsufficientBalanceError, match="USDT"):
        floor.account.place(NewOrder(BTC, "mine", "market", "buy", 2_000))
    assert len(floor.account.orders) == 1


def test_an_account_may_trade_with_itself() -> None:
    """Both sides pay their fee, and nothing else changes."""
    floor = Floor(BTC)
    ask = floor.account.place(limit("sell", 100_000, 6_000_000, "ask"))
    bid = floor.account.place(limit("buy", 100_000, 6_000_000, "bid"))
    assert [ask.state, bid.state] == ["filled", "filled"]
    assert floor.free("USDT") == (1_000_000 - 54) * ONE
    assert floor.free("BTC") == 10 * ONE - ONE // 1000


def test_events_are_published_in_order_with_the_balances_after_each() -> None:
    """New, each fill, the end, each with the order's state at that moment."""
    floor = Floor(BTC)
    seen: list[tuple[str, str, int, int]] = []
    floor.account.subscribe(
        lambda e: seen.append((e.kind, e.order.state, e.order.filled, floor.held("USDT") // ONE))
    )
    floor.others(BTC, "sell", "60000.00", "0.25")
    floor.others(BTC, "sell", "60100.00", "0.25")
    floor.account.place(limit("buy", 100_000, 6_100_000, time_in_force="IOC"))
    assert seen == [
        ("new", "open", 0, 61_000),
        ("trade", "open", 25_000, 45_750),
        ("trade", "open", 50_000, 30_500),
        ("expired", "expired", 50_000, 0),
    ]


def test_a_cancel_may_replace_the_client_id_of_its_order() -> None:
    """The order is found by the new client id only."""
    floor = Floor(BTC)
    order = floor.account.place(limit("buy", 1_000, 6_000_000, "first"))
    floor.account.cancel(order, "second")
    assert floor.account.by_client_id("first") == []
    assert floor.account.by_client_id("second") == [order]
    assert order.asked.client_id == "first"


def test_order_listeners_receive_the_orders_of_each_step_once() -> None:
    """One call for a taker with several fills, which includes makers of the same account."""
    floor = Floor(BTC)
    calls: list[list[str]] = []
    floor.account.on_orders_changed(
        lambda orders: calls.append([order.client_id for order in orders])
    )
    floor.account.place(limit("sell", 1_000, 6_000_000, "a"))
    floor.account.place(limit("sell", 1_000, 6_000_100, "b"))
    floor.account.place(limit("buy", 2_000, 6_100_000, "taker"))
    floor.others(BTC, "sell", "61000.00", "1")
    assert calls == [["a"], ["b"], ["taker", "a", "b"]]


@st.composite
def orders(draw: st.DrawFn) -> NewOrder:
    """Any order; few prices, so that orders trade."""
    side = draw(st.sampled_from(["buy", "sell"]))
    quantity = draw(st.integers(1, 300_000))
    kind = draw(st.sampled_from(["limit", "limit", "market", "post_only"]))
    if kind == "market":
        return NewOrder(BTC, "mine", kind, side, quantity)  # type: ignore[arg-type]
    tif = draw(st.sampled_from(["GTC", "IOC", "FOK"])) if kind == "limit" else "GTC"
    price = draw(st.integers(6_000_000, 6_000_008))
    return NewOrder(BTC, "mine", kind, side, quantity, price, tif)  # type: ignore[arg-type]


# An order of the account, an order of another trader, or a cancel of the n-th open order.
actions = st.lists(
    st.one_of(orders(), st.tuples(st.just("other"), orders()), st.integers(0, 20)), max_size=40
)


def play(steps: list[NewOrder | tuple[str, NewOrder] | int]) -> Floor:
    """Run the actions, and check the invariants after each."""
    floor = Floor(BTC)
    for step in steps:
        if isinstance(step, NewOrder):
            try:
                floor.account.place(step)
            except InsufficientBalanceError:
                continue
        elif isinstance(step, int):
            open_ = list(floor.account.open_orders())
            if step < len(open_):
                floor.account.cancel(open_[step])
        else:
            asked = step[1]
            if asked.price is not None:
                price, quantity = f"{asked.price / 100:.2f}", f"{asked.quantity / 100_000:.5f}"
                floor.others(BTC, asked.side, price, quantity)
        check(floor)
    return floor


def check(floor: Floor) -> None:
    """No negative balance; holds equal the open orders' costs; totals equal trades less fees."""
    account = floor.account
    market = floor.markets[BTC]
    totals = {"BTC": 10 * ONE, "USDT": 1_000_000 * ONE}
    holds = {"BTC": 0, "USDT": 0}
    for order in account.orders.values():
        sign = 1 if order.asked.side == "buy" else -1
        totals["BTC"] += sign * base_amount(order.instrument, order.filled)
        totals["USDT"] -= sign * money(order.instrument, order.spent)
        for asset, fee in order.fees().items():
            totals[asset] -= fee
        holds[order.hold_asset] += needed(order)
        assert order.filled == sum(fill.quantity for fill in order.fills)
        assert order.spent == sum(fill.quantity * fill.price for fill in order.fills)
        assert (order.state == "filled") == (order.remaining == 0)
    for asset, balance in account.balances.items():
        assert 0 <= balance.held <= balance.total
        assert (balance.total, balance.held) == (totals[asset], holds[asset])
    resting = {o.order_id for o in market.engine.resting.values() if o.terms.owner == "account"}
    assert resting == {order.order_id for order in account.open_orders()}


def needed(order: AccountOrder) -> int:
    """The largest remaining cost of an open order."""
    if order.state != "open":
        return 0
    if order.asked.side == "sell":
        return base_amount(order.instrument, order.remaining)
    return money(order.instrument, (order.asked.price or 0) * order.remaining)


@given(actions)
def test_no_money_is_created_or_lost_by_any_sequence_of_trades(
    steps: list[NewOrder | tuple[str, NewOrder] | int],
) -> None:
    """After every step the invariants of balances, holds and fees are true."""
    play(steps)


@given(actions)
def test_a_restored_account_equals_the_saved_one(
    steps: list[NewOrder | tuple[str, NewOrder] | int],
) -> None:
    """Orders, balances, and the price-time order of its resting orders."""
    before = play(steps)
    after = Floor(BTC)
    after.account.restore(list(before.account.orders.values()), before.account.balances)
    check(after)
    assert list(after.account.orders) == list(before.account.orders)
    own = [
        [(o.order_id, o.remaining) for o in side.orders() if o.terms.owner == "account"]
        for floor in (before, after)
        for side in (floor.markets[BTC].engine.bids, floor.markets[BTC].engine.asks)
    ]
    assert own[:2] == own[2:]
