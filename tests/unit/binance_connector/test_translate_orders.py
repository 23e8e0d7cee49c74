"""Binance's orders, fills and balances, as its documentation shows them, in our words."""

from decimal import Decimal
from typing import Any

import pytest

from services._connector_kit.orders.account.order_status import TERMINAL, Fill
from services._connector_kit.orders.account.venue import Balance
from services.binance_connector import translate_orders
from services.binance_connector.rest import signature, signed

NEW = {
    "e": "executionReport",
    "E": 1_499_405_658_658,
    "s": "ETHBTC",
    "c": "mUvoqJxFIILMdfAW5iGSOW",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1.00000000",
    "p": "0.10264410",
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 4_293_153,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "T": 1_499_405_658_657,
    "t": -1,
    "Z": "0.00000000",
}
TRADE = {
    **NEW,
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "l": "0.40000000",
    "z": "0.40000000",
    "L": "0.10264410",
    "n": "0.00040000",
    "N": "ETH",
    "t": 77,
    "Z": "0.04105764",
}
QUERIED = {
    "symbol": "LTCBTC",
    "orderId": 1,
    "clientOrderId": "myOrder1",
    "price": "0.1",
    "origQty": "1.0",
    "executedQty": "0.4",
    "cummulativeQuoteQty": "0.04",
    "status": "PARTIALLY_FILLED",
    "type": "LIMIT",
    "side": "SELL",
    "time": 1_499_827_319_559,
    "updateTime": 1_499_827_319_999,
}
MY_TRADE = {
    "symbol": "BNBBTC",
    "id": 28_457,
    "orderId": 100_234,
    "price": "4.00000100",
    "qty": "12.00000000",
    "commission": "10.10000000",
    "commissionAsset": "BNB",
    "time": 1_499_865_549_590,
}


def test_a_new_order_is_open() -> None:
    """An executionReport without a trade has no fill."""
    found = translate_orders.execution_report(NEW, "ETH/BTC")
    assert (found.order_id, found.client_order_id) == ("4293153", "mUvoqJxFIILMdfAW5iGSOW")
    assert (found.symbol, found.side, found.status) == ("ETH/BTC", "buy", "open")
    assert (found.quantity, found.filled, found.fills) == (Decimal(1), Decimal(0), ())
    assert found.milliseconds == 1_499_405_658_657
    assert found.fee is None


def test_a_trade_has_its_fill() -> None:
    """With id, price, quantity and fee of its own."""
    found = translate_orders.execution_report(TRADE, "ETH/BTC")
    assert (found.status, found.filled) == ("partially_filled", Decimal("0.4"))
    assert found.quote_filled == Decimal("0.04105764")
    assert found.fills == (
        Fill(
            "77",
            1_499_405_658_657,
            Decimal("0.10264410"),
            Decimal("0.4"),
            "ETH",
            Decimal("0.0004"),
        ),
    )


def test_a_cancelled_order_keeps_its_own_id() -> None:
    """`c` is the cancel's then, and `C` the order's."""
    event = {**NEW, "x": "CANCELED", "X": "CANCELED", "c": "of the cancel", "C": "mine"}
    found = translate_orders.execution_report(event, "ETH/BTC")
    assert (found.client_order_id, found.status) == ("mine", "canceled")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("NEW", "open"),
        ("PENDING_NEW", "open"),
        ("PENDING_CANCEL", "open"),
        ("PARTIALLY_FILLED", "partially_filled"),
        ("FILLED", "filled"),
        ("CANCELED", "canceled"),
        ("REJECTED", "rejected"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("SOMETHING_NEW", "unknown"),
    ],
)
def test_every_status_has_our_word(word: str, status: str) -> None:
    """One that nobody knew is carried along."""
    for found in (
        translate_orders.execution_report({**NEW, "X": word}, "ETH/BTC"),
        translate_orders.order_report({**QUERIED, "status": word}, "LTC/BTC"),
    ):
        assert found.status == status
        assert found.venue_status == (word if status == "unknown" else None)
        assert found.closed == (status in TERMINAL)


def test_a_queried_order_is_the_same_report() -> None:
    """With the fills that were asked for beside it."""
    fills = translate_orders.fills([MY_TRADE])
    assert fills == (
        Fill(
            "28457",
            1_499_865_549_590,
            Decimal("4.000001"),
            Decimal(12),
            "BNB",
            Decimal("10.1"),
        ),
    )
    found = translate_orders.order_report(QUERIED, "LTC/BTC", fills)
    assert (found.order_id, found.client_order_id, found.side) == ("1", "myOrder1", "sell")
    assert (found.quantity, found.filled) == (Decimal(1), Decimal("0.4"))
    assert found.milliseconds == 1_499_827_319_999
    assert found.fills == fills
    old = {**QUERIED, "cummulativeQuoteQty": "-1.00000000"}  # Binance doesn't know it any more
    assert translate_orders.order_report(old, "LTC/BTC").quote_filled == 0


def test_balances_are_free_and_locked() -> None:
    """By REST and by the stream."""
    rows = [{"asset": "BTC", "free": "4723846.89208129", "locked": "0.5"}]
    position = {"u": 1564034571073, "B": [{"a": "BTC", "f": "4723846.89208129", "l": "0.5"}]}
    wanted = [Balance("BTC", Decimal("4723846.89208129"), Decimal("0.5"))]
    assert translate_orders.balances(rows) == wanted
    assert translate_orders.account_position(position) == (1_564_034_571_073, wanted)


RUBBISH: tuple[Any, ...] = (None, "", "x", "NaN", "-1", "1e999", [], {}, 1.5, True)


@pytest.mark.parametrize("rubbish", RUBBISH, ids=repr)
@pytest.mark.parametrize("name", ["i", "q", "z", "Z", "T", "t", "L", "l", "n"])
def test_a_report_with_an_invalid_field_is_refused(name: str, rubbish: Any) -> None:
    """It is noticed here, not in the arithmetic that follows."""
    with pytest.raises((KeyError, TypeError, ValueError, ArithmeticError)):
        translate_orders.execution_report({**TRADE, name: rubbish}, "ETH/BTC")


@pytest.mark.parametrize("name", ["S", "X", "x", "i", "q", "z", "Z", "T", "C", "c"])
def test_a_report_that_lacks_a_field_is_refused(name: str) -> None:
    """Whatever it is."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        translate_orders.execution_report({k: v for k, v in NEW.items() if k != name}, "ETH/BTC")


def test_a_fill_of_zero_is_refused() -> None:
    """A trade has a price and a quantity."""
    for name in ("L", "l"):
        with pytest.raises(ValueError, match="above 0"):
            translate_orders.execution_report({**TRADE, name: "0.00000000"}, "ETH/BTC")


def test_requests_are_signed_as_the_documentation_shows() -> None:
    """Its example: HMAC-SHA256 over the payload as it is sent."""
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    params: dict[str, str | int] = {
        "symbol": "LTCBTC",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": 1,
        "price": "0.1",
        "recvWindow": 5000,
        "timestamp": 1_499_827_319_559,
    }
    wanted = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    text = signed(params, secret)
    assert text.endswith(f"&signature={wanted}")
    assert signature(text.partition("&signature=")[0], secret) == wanted


def test_an_amended_order_is_known_by_its_first_client_id() -> None:
    """Binance gives it a new one; the quantity is the new one."""
    made, changed = 1_499_405_658_657, 1_499_405_658_666
    amended = {**NEW, "x": "REPLACED", "q": "5.0", "c": "new", "C": "first", "T": changed}
    found = translate_orders.execution_report({**amended, "O": made}, "ETH/BTC")
    assert (found.client_order_id, found.quantity, found.status) == ("first", Decimal(5), "open")
    assert (found.created, found.version) == (made, changed)


def test_what_self_trade_prevention_took_off_is_no_longer_to_be_filled() -> None:
    """By the stream and by REST; the quantity asked for stays."""
    prevented = {**NEW, "x": "TRADE_PREVENTION", "A": "0.5", "B": "0.2", "V": "DECREMENT"}
    found = translate_orders.execution_report(prevented, "ETH/BTC")
    assert (found.quantity, found.prevented) == (Decimal(1), Decimal("0.5"))
    row = {**QUERIED, "preventedQuantity": "0.3"}
    assert translate_orders.order_report(row, "LTC/BTC").prevented == Decimal("0.3")


def test_a_report_says_when_the_order_was_made_and_changed() -> None:
    """By REST as by the stream; and for what price."""
    found = translate_orders.order_report(QUERIED, "LTC/BTC")
    assert (found.created, found.version, found.price) == (
        QUERIED["time"],
        QUERIED["updateTime"],
        Decimal("0.1"),
    )


# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/account-endpoints
COMMISSION: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "standardCommission": {
        "maker": "0.00000010",
        "taker": "0.00000020",
        "buyer": "0.00000030",
        "seller": "0.00000040",
    },
    "specialCommission": {
        "maker": "0.01000000",
        "taker": "0.02000000",
        "buyer": "0.03000000",
        "seller": "0.04000000",
    },
    "taxCommission": {
        "maker": "0.00000112",
        "taker": "0.00000114",
        "buyer": "0.00000118",
        "seller": "0.00000116",
    },
    "discount": {
        "enabledForAccount": True,
        "enabledForSymbol": True,
        "discountAsset": "BNB",
        "discount": "0.75000000",
    },
}


def test_the_accounts_fees_are_all_that_is_taken_of_a_fill() -> None:
    """The kinds together, each with the higher of what is added for a buy or a sell."""
    fees, asset = translate_orders.fees(COMMISSION)
    assert (fees.maker, fees.taker) == (Decimal("0.0500028"), Decimal("0.06000292"))
    assert asset == "BNB"
    older = {k: v for k, v in COMMISSION.items() if k != "specialCommission"}
    assert translate_orders.fees(older)[0].maker == Decimal("0.0000028")


@pytest.mark.parametrize("off", ["enabledForAccount", "enabledForSymbol"])
def test_an_asset_without_its_discount_pays_no_fees(off: str) -> None:
    """Neither where the account has it off, nor where the symbol has none."""
    discount = {**COMMISSION["discount"], off: False}
    assert translate_orders.fees({**COMMISSION, "discount": discount})[1] is None
