"""Rounds an order to a venue's tick and lot, and checks its bounds. Pure, in Decimal."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from common_models import PlaceOrderCommand
from services._connector_kit.instruments import Range, TradingRules
from services._connector_kit.orders.ports import Rejection, RoundedOrder

# Decimal digits: enough for a float divided by any step, so that no division rounds.
PRECISION = 60
# Float arithmetic misses a step by the last digits of a float (29 * 0.7 is 20.299999999999997).
# The tolerance is a share of a step, or, for a value of many steps, a share of the value.
NOISE = Decimal("1e-9")
NOISE_OF_VALUE = Decimal(4) / 2**52


def round_order(command: PlaceOrderCommand, rules: TradingRules) -> RoundedOrder | Rejection:
    """Round the quantity down to the lot and the price to the passive side of the tick.

    A value within float noise of a step counts as that step. A value that is out of bounds after
    rounding is rejected; the message names the rule and the nearest valid value.
    """
    with localcontext(prec=PRECISION):
        market = command.type == "market"
        allowed = _both(rules.quantity, rules.market_quantity) if market else rules.quantity
        quantity = _on_step(command.quantity, allowed.step, up=False)
        if refusal := _outside("quantity", command.quantity, quantity, allowed):
            return refusal
        if market or command.price is None:
            return RoundedOrder(text(quantity), None)
        up = command.side == "sell"
        price = _on_step(command.price, rules.price.step, up=up)
        if refusal := _outside("price", command.price, price, rules.price):
            return refusal
        return _notional(quantity, price, rules) or RoundedOrder(text(quantity), text(price))


def _both(one: Range, other: Range) -> Range:
    """The range that both allow; the larger step is a multiple of the smaller."""
    return Range(
        step=max(one.step, other.step),
        least=max(one.least, other.least),
        most=min(filter(None, (one.most, other.most)), default=Decimal(0)),
    )


def _notional(quantity: Decimal, price: Decimal, rules: TradingRules) -> Rejection | None:
    notional = quantity * price
    if notional < rules.min_notional:
        enough = rounded(rules.min_notional / price, rules.quantity.step, up=True)
        expected = f"at least {text(rules.min_notional)}: a quantity of {text(enough)}"
    elif rules.max_notional and notional > rules.max_notional:
        most = rounded(rules.max_notional / price, rules.quantity.step, up=False)
        expected = f"at most {text(rules.max_notional)}: a quantity of {text(most)}"
    else:
        return None
    message = f"quantity x price is {text(notional)}; expected {expected} at this price"
    return Rejection("notional_out_of_bounds", message)


def _outside(name: str, asked: float, value: Decimal, allowed: Range) -> Rejection | None:
    """Check *value*, which is *asked* rounded to the step of *allowed*; None if it is in bounds."""
    least = max(rounded(allowed.least, allowed.step, up=True), allowed.step)
    most = rounded(allowed.most, allowed.step, up=False)
    if allowed.most and most < least:
        fault = "refused: the exchange's own bounds leave no valid value"
    elif value < least:
        fault = f"too small; expected {text(least)} or more"
    elif allowed.most and value > most:
        fault = f"too large; expected {text(most)} or less"
    else:
        return None
    return Rejection(f"{name}_out_of_bounds", f"{name} {asked!r} is {fault}")


def _on_step(asked: float, step: Decimal, *, up: bool) -> Decimal:
    """Round *asked* to *step*: to the nearest one if the difference is float noise."""
    value = Decimal(str(asked))
    if not step:
        return value
    steps = value / step
    nearest = steps.to_integral_value()
    if abs(steps - nearest) <= max(NOISE, steps * NOISE_OF_VALUE):
        return nearest * step
    return rounded(value, step, up=up)


def rounded(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    """Round *value* up or down to a multiple of *step*; a step of 0 leaves it unchanged."""
    if not step:
        return value
    steps = (value / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return steps * step


def text(value: Decimal) -> str:
    """Format as plain digits, without an exponent or trailing zeros."""
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
