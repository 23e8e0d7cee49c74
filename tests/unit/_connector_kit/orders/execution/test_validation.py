"""Commands that no venue takes, and those that one venue takes."""

import re
from dataclasses import replace
from typing import Any

import pytest

from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.execution.validation import OrderRules, validate
from services._connector_kit.orders.ports import Rejection, RoundedOrder
from tests.support.orders.commands import STEPS, command

BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True, rules=STEPS)
LISTED = {BTC.symbol: BTC}
RULES = OrderRules("The venue", re.compile(r"[a-z0-9-]{1,9}"), "1 to 9 letters")


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"symbol": "DOGE/USDT"}, "unknown_symbol", "expected one of BTC/USDT"),
        ({"symbol": "D" * 60}, "unknown_symbol", f"{'D' * 50}'; expected"),
        ({"client_order_id": ""}, "bad_client_order_id", "The venue accepts 1 to 9 letters"),
        ({"client_order_id": "a" * 60}, "bad_client_order_id", f"{'a' * 50}': The venue"),
        ({"client_order_id": "a\n"}, "bad_client_order_id", "letters"),
        ({"type": "market", "time_in_force": "GTC"}, "unsupported", "time_in_force"),
        ({"type": "market", "post_only": True}, "unsupported", "post_only"),
        ({"post_only": True, "time_in_force": "FOK"}, "unsupported", "GTC only"),
        ({"quantity": 1e-6}, "quantity_out_of_bounds", "or more"),
    ],
)
def test_a_command_that_breaks_a_rule_is_rejected_with_that_rule(
    fields: dict[str, Any], reason: str, words: str
) -> None:
    """Before anything is sent; the message says what would be right."""
    rejection = validate(command(**fields), LISTED, RULES)
    assert isinstance(rejection, Rejection)
    assert rejection.reason_code == reason
    assert words in rejection.message


def test_a_command_that_keeps_the_rules_is_rounded() -> None:
    """To the steps of its instrument."""
    assert validate(command(), LISTED, RULES) == RoundedOrder("0.5", "100")
    for fields in ({"post_only": True, "time_in_force": "GTC"}, {"time_in_force": "IOC"}):
        assert validate(command(**fields), LISTED, RULES) == RoundedOrder("0.5", "100")


def test_only_a_market_buy_is_capped() -> None:
    """By the venue's own function, which gets the rounded order."""
    rules = OrderRules("V", RULES.client_order_id, "", lambda order, _: replace(order, price="7"))
    assert validate(command(type="market"), LISTED, rules) == RoundedOrder("0.5", "7")
    assert validate(command(type="market", side="sell"), LISTED, rules) == RoundedOrder("0.5", None)
    assert validate(command(), LISTED, rules) == RoundedOrder("0.5", "100")
    refused = validate(command(type="market", quantity=1e-6), LISTED, rules)
    assert isinstance(refused, Rejection)
