"""Luno's orders and balances, as its documentation shows them, in our words."""

from decimal import Decimal
from typing import Any

import pytest

from services._connector_kit.fees import Fees
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.venue import Balance
from services.luno_connector import translate_orders

XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)
ROW = {
    "order_id": "BXMC2CJ7HNB88U4",
    "client_order_id": "",
    "pair": "XBTZAR",
    "side": "BUY",
    "type": "LIMIT",
    "status": "PENDING",
    "limit_price": "100.00",
    "limit_volume": "1.00",
    "base": "0.40",
    "counter": "40.00",
    "fee_base": "0.0004",
    "fee_counter": "0.00",
    "creation_timestamp": 1_648_635_135_235,
    "completed_timestamp": 0,
    "expiration_timestamp": 0,
}


def test_a_pending_order_is_open_or_partially_filled() -> None:
    """The fee is the order's, by asset; an absent client id is none."""
    found = translate_orders.order_report(ROW, XBT)
    assert (found.order_id, found.client_order_id) == ("BXMC2CJ7HNB88U4", None)
    assert (found.symbol, found.side, found.status) == ("XBT/ZAR", "buy", "partially_filled")
    assert (found.quantity, found.filled, found.quote_filled) == (
        Decimal(1),
        Decimal("0.4"),
        Decimal(40),
    )
    assert found.fee == {"XBT": Decimal("0.0004")}
    assert found.milliseconds == 1_648_635_135_235
    untouched = {**ROW, "base": "0.00", "counter": "0.00", "fee_base": "0.00"}
    assert translate_orders.order_report(untouched, XBT).status == "open"
    assert translate_orders.order_report({**untouched, "status": "AWAITING"}, XBT).status == "open"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"base": "1.00"}, "filled"),
        ({"base": "0.40"}, "canceled"),
        ({"base": "0.00"}, "canceled"),
        # A market order: what was asked for isn't told.
        ({"limit_volume": "0.00", "base": "0.40"}, "filled"),
        ({"limit_volume": None, "base": "0.40"}, "filled"),
        ({"limit_volume": "0.00", "base": "0.00"}, "canceled"),
    ],
)
def test_a_complete_order_is_filled_or_cancelled(fields: dict[str, Any], status: str) -> None:
    """Luno has no word for either: the quantities tell."""
    row = {**ROW, "status": "COMPLETE", "completed_timestamp": 1_648_635_999_999, **fields}
    found = translate_orders.order_report(row, XBT)
    assert (found.status, found.milliseconds) == (status, 1_648_635_999_999)


def test_an_unknown_word_is_carried_along() -> None:
    """As unknown."""
    found = translate_orders.order_report({**ROW, "status": "ODD"}, XBT)
    assert (found.status, found.venue_status) == ("unknown", "ODD")


def test_reserved_is_part_of_the_balance_and_accounts_are_summed() -> None:
    """Luno has up to ten accounts for an asset."""
    rows = [
        {"asset": "XBT", "balance": "0.50", "reserved": "0.20"},
        {"asset": "XBT", "balance": "1.00", "reserved": "0.00"},
        {"asset": "ZAR", "balance": "0.00", "reserved": "0.00"},
    ]
    assert translate_orders.balances(rows) == [
        Balance("XBT", Decimal("1.30"), Decimal("0.20")),
        Balance("ZAR", Decimal(0), Decimal(0)),
    ]


@pytest.mark.parametrize("rubbish", [None, "x", "NaN", "-1", "1e999", [], {}, 1.5, True], ids=repr)
@pytest.mark.parametrize("name", ["side", "base", "counter", "creation_timestamp"])
def test_an_order_with_an_invalid_field_is_refused(name: str, rubbish: Any) -> None:
    """It is noticed here, not in the arithmetic that follows."""
    with pytest.raises((KeyError, TypeError, ValueError, ArithmeticError)):
        translate_orders.order_report({**ROW, name: rubbish}, XBT)


@pytest.mark.parametrize("rubbish", [None, "", 7, []], ids=repr)
def test_an_order_id_is_text(rubbish: Any) -> None:
    """Any text, but some."""
    with pytest.raises(ValueError, match="isn't an order id"):
        translate_orders.order_report({**ROW, "order_id": rubbish}, XBT)


@pytest.mark.parametrize("name", ["order_id", "client_order_id", "side", "status", "base"])
def test_an_order_that_lacks_a_field_is_refused(name: str) -> None:
    """Whatever it is."""
    with pytest.raises(KeyError):
        translate_orders.order_report({k: v for k, v in ROW.items() if k != name}, XBT)


def test_the_accounts_fees_are_the_higher_of_a_buys_and_a_sells() -> None:
    """`maker_fee` and `taker_fee` are deprecated."""
    row = {
        "maker_fee": "0",
        "taker_fee": "0",
        "maker_fee_buy": "0.00100000",
        "maker_fee_sell": "0.00090000",
        "taker_fee_buy": "0.00250000",
        "taker_fee_sell": "0.00300000",
        "thirty_day_volume": "0.894342",
    }
    assert translate_orders.fees(row) == Fees(Decimal("0.001"), Decimal("0.003"))
