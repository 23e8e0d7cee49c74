"""How much may be held and lost: what is beyond is refused, and what makes it smaller never is."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.orders.risk.position_limits import (
    PositionLimits,
    ProposedOrder,
    WorkingOrder,
)
from services._connector_kit.orders.settings import TradingSettings
from services._runtime.position import Position

SYMBOL = "BTC/USDT"
PRICE = Decimal(100)  # the market's
MOST = 5  # units that may be held at that price


def limits(**fields: Any) -> PositionLimits:
    """Of 5 units at 100, orders of 2, and a loss of 50, but for *fields*."""
    settings = {
        "risk_max_position": f"USDT:{MOST * PRICE},ZAR:1",
        "risk_max_daily_loss": "USDT:50,ZAR:1",
        "risk_max_quantity": "BTC:2",
        **fields,
    }
    return PositionLimits(
        TradingSettings.model_validate(settings), {SYMBOL: PRICE, "ETH/USDT": PRICE}.get
    )


def proposal(side: Any, quantity: str = "1", price: str = "100") -> ProposedOrder:
    """An order of BTC/USDT."""
    return ProposedOrder(SYMBOL, side, Decimal(quantity), Decimal(price))


def held(quantity: str, lost: str = "0") -> dict[str, Position]:
    """What is held, and was lost today at the market's price."""
    units = Decimal(quantity)
    return {SYMBOL: Position(units, -units * PRICE - Decimal(lost), PRICE)}


def left(*orders: str) -> list[WorkingOrder]:
    """Open orders of BTC/USDT: "+2" is a buy, "-2" a sell."""
    return [WorkingOrder(SYMBOL, "buy" if o[0] == "+" else "sell", Decimal(o[1:])) for o in orders]


@pytest.mark.parametrize(
    ("order", "quantity", "others", "reason"),
    [
        (proposal("buy", "5"), "0", [], None),
        (proposal("buy", "5.001"), "0", [], "max_position"),
        (proposal("sell", "5.001"), "0", [], "max_position"),
        (proposal("buy", "1", "125"), "3", [], None),
        (proposal("buy", "1", "126"), "3", [], "max_position"),
        (proposal("buy"), "2", left("+2"), None),
        (proposal("buy"), "2", left("+1", "+1.001"), "max_position"),
        (proposal("buy"), "2", left("-2", "-2"), None),  # these don't make room for it
        (proposal("buy"), "4.5", left("-2"), "max_position"),
        (proposal("buy"), "2", [WorkingOrder("ETH/USDT", "buy", Decimal(9))], None),
        (proposal("sell", "9"), "9", left("+2"), None),
        (proposal("sell", "9"), "9", left("-0.001"), None),
        (proposal("sell", "4"), "9", left("-5"), None),
        (proposal("sell", "15"), "9", [], "max_position"),  # short by 6 then
        (proposal("buy", "9"), "-9", [], None),
        (proposal("buy", "1"), "-9", left("+2"), None),
    ],
)
def test_the_position_limit_counts_open_orders_on_the_same_side(
    order: ProposedOrder, quantity: str, others: list[WorkingOrder], reason: str | None
) -> None:
    """On the limit is allowed; an order that makes a position smaller always is."""
    rejection = limits().rejection(order, held(quantity), others)
    assert (rejection and rejection.reason_code) == reason


@pytest.mark.parametrize(
    ("order", "quantity", "lost", "others", "reason"),
    [
        (proposal("buy"), "1", "49.99", [], None),
        (proposal("buy"), "1", "50", [], "max_daily_loss"),
        (proposal("sell"), "1", "50", [], None),
        (proposal("sell", "1.001"), "1", "50", [], "max_daily_loss"),
        (proposal("sell", "0.5"), "1", "50", left("-0.5"), None),
        (proposal("sell", "0.5"), "1", "50", left("-0.6"), "max_daily_loss"),
        (proposal("sell", "1"), "1", "50", left("+2"), None),  # what isn't bought isn't held
        (proposal("sell"), "0", "50", [], "max_daily_loss"),
        (proposal("buy", "2"), "-2", "50", [], None),
    ],
)
def test_after_a_days_loss_only_what_makes_a_position_smaller_is_sent(
    order: ProposedOrder, quantity: str, lost: str, others: list[WorkingOrder], reason: str | None
) -> None:
    """From the limit on."""
    rejection = limits().rejection(order, held(quantity, lost), others)
    assert (rejection and rejection.reason_code) == reason


def test_a_loss_is_valued_at_the_markets_price_and_of_all_markets_with_that_money() -> None:
    """Where there is no live book at the last price that is kept; other money is counted apart."""
    positions = {
        SYMBOL: Position(Decimal(1), Decimal(-130), Decimal(130)),  # the market fell to 100
        "XRP/USDT": Position(Decimal(1), Decimal(-20), Decimal(1)),  # without a book
        "XBT/ZAR": Position(Decimal(1), Decimal(-500), Decimal(1)),
        "ETH/USDT": Position(Decimal(1), Decimal(-100), Decimal(1)),
    }
    assert limits().rejection(proposal("buy"), dict(positions), []) is None
    positions["XRP/USDT"] = Position(Decimal(1), Decimal(-21), Decimal(1))
    rejection = limits().rejection(proposal("buy"), positions, [])
    assert rejection is not None
    assert rejection.message == (
        "50 USDT lost since midnight UTC; RISK_MAX_DAILY_LOSS allows 50; "
        "only what makes the position (1 BTC) smaller is sent"
    )


def test_a_refusal_says_what_would_be_held() -> None:
    """With the limit's name."""
    rejection = limits().rejection(proposal("buy", "2", "101.5"), held("4"), [])
    assert rejection is not None
    assert rejection.message == (
        "the position would be 6 BTC, worth 609 USDT; RISK_MAX_POSITION allows 500"
    )


AMOUNTS = st.decimals("0.001", "2", places=3)
SIDES = st.sampled_from(("buy", "sell"))
OTHERS = st.lists(
    st.builds(WorkingOrder, st.sampled_from((SYMBOL, "ETH/USDT")), SIDES, AMOUNTS), max_size=4
)


@given(
    st.builds(ProposedOrder, st.just(SYMBOL), SIDES, AMOUNTS, st.decimals("1", "200", places=1)),
    st.decimals("-6", "6", places=3),
    st.decimals("0", "60", places=1),
    OTHERS,
)
def test_what_is_surely_kept_is_kept_whatever_the_others_are(
    order: ProposedOrder, quantity: Decimal, lost: Decimal, others: list[WorkingOrder]
) -> None:
    """Without a look at them; once it was seen that none is larger than allowed."""
    each = limits(risk_max_quantity="BTC:2,ETH:2")
    positions = held(str(quantity), str(lost))
    if others:
        assert not each.certainly_allowed(order, positions, len(others))
    verdict = each.rejection(order, positions, others)
    if each.certainly_allowed(order, positions, len(others)):
        assert verdict is None
    elif not others and verdict is None:
        assert quantity * order.sign < 0  # alone only what makes less of it is looked at


@given(
    st.decimals("-6", "6", places=3),
    st.lists(
        st.builds(ProposedOrder, st.just(SYMBOL), SIDES, AMOUNTS, st.just(PRICE)), max_size=12
    ),
    OTHERS,
)
def test_all_that_makes_a_position_smaller_together_builds_none_the_other_way(
    quantity: Decimal, orders: list[ProposedOrder], others: list[WorkingOrder]
) -> None:
    """However many there are, whatever is open beside them."""
    each, open_now = limits(), list(others)
    reducing = []
    for order in orders:
        if each.reduces(order, held(str(quantity)), open_now):
            reducing.append(order)
            open_now.append(WorkingOrder(order.symbol, order.side, order.quantity))
    assert all(order.sign * quantity < 0 for order in reducing)
    if reducing:
        side = reducing[0].side
        sent = sum(each.left for each in open_now if each[:2] == (SYMBOL, side))
        assert sent <= abs(quantity)


def test_without_a_recorded_position_no_order_reduces_it() -> None:
    """Of that market."""
    assert not limits().reduces(proposal("sell"), {}, [])
    assert not limits().reduces(proposal("sell"), {"ETH/USDT": Position(Decimal(9))}, [])


def test_a_larger_order_of_an_earlier_run_is_looked_at_while_it_is_open() -> None:
    """RISK_MAX_QUANTITY says nothing of it; then how many are open says enough."""
    each = limits()
    order = proposal("buy", "0.5")
    assert each.certainly_allowed(order, {}, 0)
    assert not each.certainly_allowed(order, {}, 1)
    assert each.rejection(order, {}, left("+4.6")) is not None
    assert not each.certainly_allowed(order, {}, 1)
    assert each.rejection(order, {}, left("+2")) is None
    assert each.certainly_allowed(order, {}, 2)
    assert not each.certainly_allowed(order, {}, 3)
    assert not each.certainly_allowed(order, held("1"), 2)
    assert not each.certainly_allowed(order, held("0", lost="50"), 0)
