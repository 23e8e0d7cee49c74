"""What would be sent for a command: on lot and tick, never more, never more aggressive."""

from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import PlaceOrderCommand
from services._connector_kit.instruments import Range, TradingRules
from services._connector_kit.orders.execution.rules import round_order
from services._connector_kit.orders.ports import Rejection, RoundedOrder
from tests.support.orders.commands import command

ZERO = Decimal(0)
RULES = TradingRules(
    price=Range(Decimal("0.01"), Decimal("0.01"), Decimal(1_000_000)),
    quantity=Range(Decimal("0.00001"), Decimal("0.00001"), Decimal(9000)),
    market_quantity=Range(ZERO, ZERO, Decimal(120)),
    min_notional=Decimal(5),
    max_notional=Decimal(9_000_000),
)


def rounded_order(order: PlaceOrderCommand, rules: TradingRules = RULES) -> tuple[str, str | None]:
    """The quantity and price that would be sent."""
    found = round_order(order, rules)
    assert isinstance(found, RoundedOrder), found
    return found.quantity, found.price


def refused(order: PlaceOrderCommand, rules: TradingRules = RULES) -> Rejection:
    """Why nothing would be sent."""
    found = round_order(order, rules)
    assert isinstance(found, Rejection), found
    return found


@pytest.mark.parametrize(
    ("side", "quantity", "price", "sent"),
    [
        ("buy", 0.5, 100.0, ("0.5", "100")),
        ("buy", 0.123456789, 100.019, ("0.12345", "100.01")),
        ("sell", 0.123456789, 100.011, ("0.12345", "100.02")),
        ("buy", 0.1 + 0.2, 100.0, ("0.3", "100")),
        ("buy", 2.675, 1.005, None),
        ("buy", 1e3, 1e3, ("1000", "1000")),
    ],
)
def test_quantity_goes_down_to_the_lot_and_price_to_the_passive_side(
    side: str, quantity: float, price: float, sent: tuple[str, str] | None
) -> None:
    """A buy's price down, a sell's up; plain digits, without float's noise."""
    order = command(side=side, quantity=quantity, price=price)
    if sent is None:
        assert refused(order).reason_code == "notional_out_of_bounds"
    else:
        assert rounded_order(order) == sent


@pytest.mark.parametrize(
    ("fields", "reason", "nearest"),
    [
        ({"quantity": 0.000001}, "quantity_out_of_bounds", "0.00001"),
        ({"quantity": 9001.0}, "quantity_out_of_bounds", "9000"),
        ({"quantity": 121.0, "type": "market", "price": None}, "quantity_out_of_bounds", "120"),
        ({"price": 0.001}, "price_out_of_bounds", "0.01"),
        ({"price": 2e6}, "price_out_of_bounds", "1000000"),
        ({"quantity": 0.001}, "notional_out_of_bounds", "0.05"),
        ({"quantity": 1000.0, "price": 10_000.0}, "notional_out_of_bounds", "900"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_the_rule_and_the_nearest_valid_value(
    fields: dict[str, Any], reason: str, nearest: str
) -> None:
    """The words name what was asked and what would be right."""
    refusal = refused(command(**fields))
    assert refusal.reason_code == reason
    assert f"{nearest} " in refusal.message + " "


def test_a_market_order_has_no_price_and_no_notional_of_its_own() -> None:
    """Whatever price its command names; what it would cost, the book tells."""
    assert rounded_order(command(type="market", quantity=0.00001, price=None)) == ("0.00001", None)
    assert rounded_order(command(type="market", quantity=1.0, price=3.0)) == ("1", None)


@pytest.mark.parametrize("value", [5e-324, 1e-300, 1e300, 1.7976931348623157e308])
def test_absurd_numbers_are_refused_and_do_no_harm(value: float) -> None:
    """Down to the smallest and up to the largest float, in either field."""
    assert refused(command(quantity=value)).reason_code == "quantity_out_of_bounds"
    assert refused(command(price=value)).reason_code == "price_out_of_bounds"


@pytest.mark.parametrize(
    ("fields", "step", "sent"),
    [
        ({"side": "sell", "price": 0.65 * 1.1}, "0.0001", "0.715"),
        ({"side": "buy", "price": 1.1 * 3}, "0.1", "3.3"),
        ({"side": "buy", "price": 0.3 - 0.2}, "0.1", "0.1"),
        ({"side": "buy", "price": 3 - 1e-6}, "1", "2"),
        ({"side": "sell", "price": 3 + 1e-6}, "1", "4"),
        ({"side": "buy", "price": 1 - 1.0e-9}, "1", "1"),
        ({"side": "buy", "price": 1 - 1.1e-9}, "1", "0"),
        ({"side": "sell", "price": 1 + 1.0e-9}, "1", "1"),
        ({"side": "sell", "price": 1 + 1.1e-9}, "1", "2"),
    ],
)
def test_a_price_within_float_noise_of_a_tick_is_that_tick(
    fields: dict[str, Any], step: str, sent: str
) -> None:
    """What is further off goes to the passive tick."""
    found = round_order(command(**fields), TradingRules(price=Range(Decimal(step))))
    if sent == "0":
        assert isinstance(found, Rejection)
    else:
        assert isinstance(found, RoundedOrder)
        assert found.price == sent


def test_a_quantity_within_float_noise_of_a_lot_is_that_lot() -> None:
    """And of the least: 0.3 - 0.2 is no less than 0.1."""
    tenths = TradingRules(quantity=Range(Decimal("0.1"), Decimal("0.1"), Decimal("20.3")))
    assert rounded_order(command(quantity=29 * 0.7), tenths)[0] == "20.3"
    assert rounded_order(command(quantity=0.3 - 0.2), tenths)[0] == "0.1"
    assert rounded_order(command(quantity=0.1 * 3), tenths)[0] == "0.3"
    assert rounded_order(command(quantity=0.1999), tenths)[0] == "0.1"
    assert refused(command(quantity=0.0999), tenths).reason_code == "quantity_out_of_bounds"
    assert refused(command(quantity=20.4), tenths).reason_code == "quantity_out_of_bounds"


def test_the_nearest_quantity_that_is_worth_enough_is_never_rounded_down() -> None:
    """What a refusal asks for comes from no float: it is exact."""
    rules = TradingRules(
        quantity=Range(Decimal(1)), min_notional=Decimal("3.0000000003"), price=Range()
    )
    refusal = refused(command(quantity=1.0, price=1.0), rules)
    assert "a quantity of 4 " in refusal.message


def test_a_rule_that_is_switched_off_binds_nothing() -> None:
    """A 0 means that there is none."""
    assert rounded_order(command(quantity=0.123456789, price=1e-5), TradingRules()) == (
        "0.123456789",
        "0.00001",
    )


steps = st.sampled_from(["1", "0.1", "0.5", "0.25", "0.05", "0.01", "0.001", "0.00001", "10"])
floats = st.floats(1e-9, 1e12, allow_nan=False)


@given(
    step=st.sampled_from(["1", "0.1", "0.05", "0.01", "0.001", "0.0001", "0.00000001", "10"]),
    n=st.integers(1, 10**8),
    how=st.sampled_from(["product", "sum", "difference", "quotient"]),
    side=st.sampled_from(["buy", "sell"]),
)
def test_float_arithmetic_that_means_a_step_is_sized_as_that_step(
    step: str, n: int, how: str, side: str
) -> None:
    """Whatever the step, whatever the number of them, on both fields."""
    one = float(step)
    value = {
        "product": n * one,
        "sum": n * one * 0.9 + n * one * 0.1,
        "difference": (2 * n) * one - n * one,
        "quotient": n * one * 1.1 / 1.1,
    }[how]
    rules = TradingRules(price=Range(Decimal(step)), quantity=Range(Decimal(step)))
    found = round_order(command(side=side, quantity=value, price=value), rules)
    assert isinstance(found, RoundedOrder)
    exact = n * Decimal(step)
    assert (Decimal(found.quantity), Decimal(found.price or "")) == (exact, exact)


@given(
    step=st.sampled_from(["1", "0.1", "0.01", "0.00001"]),
    n=st.integers(1, 10**6),
    part=st.floats(1e-3, 0.999),
)
def test_values_beyond_noise_are_rounded_down_to_the_lot_and_to_the_passive_tick(
    step: str, n: int, part: float
) -> None:
    """A thousandth of a step is meant."""
    value = float((n + Decimal(str(part))) * Decimal(step))
    rules = TradingRules(price=Range(Decimal(step)), quantity=Range(Decimal(step)))
    below, above = n * Decimal(step), (n + 1) * Decimal(step)
    for side, price in (("buy", below), ("sell", above)):
        found = round_order(command(side=side, quantity=value, price=value), rules)
        assert isinstance(found, RoundedOrder)
        assert (Decimal(found.quantity), Decimal(found.price or "")) == (below, price)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    """A step with bounds, which may lie between steps or be switched off."""
    step = Decimal(draw(steps))
    least = draw(st.integers(0, 1000)) * step + draw(st.sampled_from([ZERO, step / 4]))
    most = draw(st.sampled_from([ZERO, least + step * draw(st.integers(1, 10**9))]))
    return Range(step, least, most)


@st.composite
def trading_rules(draw: st.DrawFn) -> TradingRules:
    """Any rules that some order satisfies."""
    quantity = draw(ranges())
    market = Range(
        quantity.step * draw(st.sampled_from([0, 1, 10])),
        quantity.least * draw(st.sampled_from([0, 1])),
        quantity.most * draw(st.sampled_from([0, 1, 5])),
    )
    least = Decimal(draw(st.sampled_from([0, 5, 10])))
    most = least * draw(st.sampled_from([0, 100_000]))
    return TradingRules(draw(ranges()), quantity, market, least, most)


commands = st.builds(
    command,
    type=st.sampled_from(["limit", "market"]),
    side=st.sampled_from(["buy", "sell"]),
    quantity=floats,
    price=floats,
)


def within(value: Decimal, allowed: Range) -> bool:
    """True for what the rule allows."""
    on_step = not allowed.step or value % allowed.step == 0
    return on_step and allowed.least <= value and (not allowed.most or value <= allowed.most)


def noise(asked: Decimal, step: Decimal) -> Decimal:
    """How far from a step float arithmetic may end up: 1e-9 of it, or some last digits."""
    return max(step * Decimal("1e-9"), asked / 2**50)


@given(commands, trading_rules())
def test_whatever_is_sent_keeps_every_rule(order: PlaceOrderCommand, rules: TradingRules) -> None:
    """On lot and tick, in bounds; never more than was asked, at no worse a price."""
    found = round_order(order, rules)
    if isinstance(found, Rejection):
        return
    quantity = Decimal(found.quantity)
    assert within(quantity, rules.quantity)
    asked = Decimal(str(order.quantity))
    assert 0 < quantity <= asked + noise(asked, rules.quantity.step)
    if order.type == "market":
        assert within(quantity, rules.market_quantity)
        assert found.price is None
        return
    price = Decimal(found.price or "")
    assert within(price, rules.price)
    asked = Decimal(str(order.price))
    beyond = noise(asked, rules.price.step)
    assert price <= asked + beyond if order.side == "buy" else price >= asked - beyond
    assert quantity * price >= rules.min_notional
    assert not rules.max_notional or quantity * price <= rules.max_notional


@given(commands, trading_rules())
def test_the_nearest_valid_value_passes_the_rule_that_named_it(
    order: PlaceOrderCommand, rules: TradingRules
) -> None:
    """Asked for next, another rule may speak, but not that one about that field."""
    first = round_order(order, rules)
    if isinstance(first, RoundedOrder) or "expected" not in first.message:
        return
    field: Literal["price", "quantity"] = (
        "price" if first.reason_code == "price_out_of_bounds" else "quantity"
    )
    words = first.message.split("expected ")[1].replace(":", "").split()
    nearest = float(words[words.index("of") + 1] if "of" in words else words[0])
    if not nearest:  # no quantity at all is small enough at that price
        return
    second = round_order(order.model_copy(update={field: nearest}), rules)
    if isinstance(second, Rejection):
        assert second.reason_code != first.reason_code
