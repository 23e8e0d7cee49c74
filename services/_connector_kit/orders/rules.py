"""A venue's own rules for an order's price and quantity. Pure, in Decimal."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from common_models import PlaceOrderCommand
from services._connector_kit.instruments import Range, TradingRules
from services._connector_kit.orders.ports import Refused, Sized


def size(command: PlaceOrderCommand, rules: TradingRules) -> Sized | Refused:
    """What would be sent: the quantity rounded down to the lot, the price to the passive side.

    What then is out of bounds is refused with the rule and the nearest value that is not.
    """
    quantity = _rounded(Decimal(str(command.quantity)), rules.quantity.step, up=False)
    ranges = [("quantity", rules.quantity)]
    if command.type == "market":
        quantity = _rounded(quantity, rules.market_quantity.step, up=False)
        ranges.append(("market quantity", rules.market_quantity))
    for name, allowed in ranges:
        if refusal := _outside("quantity_out_of_bounds", name, quantity, allowed):
            return refusal
    if quantity <= 0:
        return Refused("quantity_out_of_bounds", f"quantity {command.quantity!r} rounds to 0")
    if command.price is None or command.type == "market":
        return Sized(_text(quantity), None)
    price = _rounded(Decimal(str(command.price)), rules.price.step, up=command.side == "sell")
    if refusal := _outside("price_out_of_bounds", "price", price, rules.price):
        return refusal
    return _notional(quantity, price, rules) or Sized(_text(quantity), _text(price))


def _notional(quantity: Decimal, price: Decimal, rules: TradingRules) -> Refused | None:
    notional = quantity * price
    if rules.least_notional and notional < rules.least_notional:
        enough = _rounded(rules.least_notional / price, rules.quantity.step, up=True)
        return Refused(
            "notional_out_of_bounds",
            f"quantity x price is {_text(notional)}; want at least {_text(rules.least_notional)}: "
            f"a quantity of {_text(enough)} at this price",
        )
    if rules.most_notional and notional > rules.most_notional:
        most = _rounded(rules.most_notional / price, rules.quantity.step, up=False)
        return Refused(
            "notional_out_of_bounds",
            f"quantity x price is {_text(notional)}; want at most {_text(rules.most_notional)}: "
            f"a quantity of {_text(most)} at this price",
        )
    return None


def _outside(reason_code: str, name: str, value: Decimal, allowed: Range) -> Refused | None:
    if allowed.least and value < allowed.least:
        return Refused(
            reason_code, f"{name} {_text(value)} is too small; want {_text(allowed.least)} or more"
        )
    if allowed.most and value > allowed.most:
        return Refused(
            reason_code, f"{name} {_text(value)} is too large; want {_text(allowed.most)} or less"
        )
    return None


def _rounded(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    if not step:
        return value
    steps = (value / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return steps * step


def _text(value: Decimal) -> str:
    """Plain digits: no exponent, no zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
