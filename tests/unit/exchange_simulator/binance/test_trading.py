"""Binance's signed endpoints: the venue's rules, each with the answer it gives."""

from typing import Any

import pytest

from services.exchange_simulator.binance import trading
from services.exchange_simulator.binance.errors import BinanceError
from tests.unit.exchange_simulator.floors import BTC, BinanceFloor


@pytest.fixture
def floor() -> BinanceFloor:
    """A book of two orders: 1 BTC at 60,000.00 to sell, 1 BTC at 59,000.00 to buy."""
    floor = BinanceFloor()
    # A trade, so that there is a price to compare with.
    floor.others(BTC, "buy", "59500.00", "0.1")
    floor.others(BTC, "sell", "59500.00", "0.1")
    floor.others(BTC, "sell", "60000.00", "1")
    floor.others(BTC, "buy", "59000.00", "1")
    return floor


def refusal(floor: BinanceFloor, name: str = "order.place", **params: Any) -> tuple[int, str]:
    """Code and message of a refusal; whatever was on the book is still there."""
    before = list(floor.account.orders)
    with pytest.raises(BinanceError) as refused:
        floor.call(name, **params)
    assert list(floor.account.orders) == before
    return refused.value.code, refused.value.message


LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "59000.00",
}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"symbol": None}, -1102, "'symbol'"),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"side": None}, -1102, "'side'"),
        ({"side": "LONG"}, -1117, "Invalid side."),
        ({"type": "LIMITED"}, -1116, "Invalid orderType."),
        ({"type": "STOP_LOSS"}, -1020, "not supported"),
        ({"stopPrice": "1"}, -1020, "not supported"),
        ({"timeInForce": None}, -1102, "'timeInForce'"),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"quantity": None}, -1102, "'quantity'"),
        ({"price": None}, -1102, "'price'"),
        ({"price": ""}, -1102, "'price'"),
        ({"quantity": "1e-05"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "-1"}, -1100, "'quantity'"),
        ({"quantity": "0.123456789"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"price": "0.00"}, -1013, "Invalid price."),
        ({"price": "59000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "1000000.01"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000011"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "9000.00001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "297500.01"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "11899.99"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.00008"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "153"}, -1013, "Filter failure: NOTIONAL"),
        ({"quoteOrderQty": "100"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"type": "LIMIT_MAKER"}, -1106, "Parameter 'timeInForce' sent when not required."),
        ({"newClientOrderId": "a:b"}, -1100, "legal range is '^[a-zA-Z0-9-_]{1,36}$'."),
        ({"newClientOrderId": "x" * 37}, -1100, "'newClientOrderId'"),
        ({"newOrderRespType": "LONG"}, -1130, "newOrderRespType"),
        ({"colour": "red"}, -1104, "Not all sent parameters were read"),
        ({"quantity": "100"}, -2010, "Account has insufficient balance for requested action."),
        ({"type": "LIMIT_MAKER", "timeInForce": None, "price": "60000.00"}, -2010, "immediately"),
    ],
)
def test_a_limit_order_that_isnt_right_is_refused(
    floor: BinanceFloor, changes: dict[str, str | None], code: int, message: str
) -> None:
    """With the venue's code and message; nothing happens."""
    params = {key: value for key, value in (LIMIT | changes).items() if value is not None}
    refused = refusal(floor, **params)
    assert refused[0] == code
    assert message in refused[1]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"price": "60000"}, -1106, "'price'"),
        ({"timeInForce": "IOC"}, -1106, "'timeInForce'"),
        ({"quantity": None}, -1102, "Param 'quantity' or 'quoteOrderQty' must be sent"),
        ({"quoteOrderQty": "100"}, -1106, "'quoteOrderQty'"),
        ({"quantity": None, "quoteOrderQty": "4.99"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": None, "quoteOrderQty": "0.59"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00008"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "121"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
    ],
)
def test_a_market_order_that_isnt_right_is_refused(
    floor: BinanceFloor, changes: dict[str, str | None], code: int, message: str
) -> None:
    """It has a quantity or a value, and neither price nor time in force."""
    params = {key: value for key, value in (MARKET | changes).items() if value is not None}
    refused = refusal(floor, **params)
    assert refused[0] == code
    assert message in refused[1]


def test_filters_let_through_what_is_just_inside(floor: BinanceFloor) -> None:
    """The lowest price, the smallest value, the smallest lot."""
    floor.buy("11900.00", "0.001", "low")
    floor.buy("59000.00", "0.00009", "small")
    assert [order.client_id for order in floor.account.open_orders()] == ["low", "small"]


def test_an_open_orders_id_is_taken_a_closed_ones_isnt(floor: BinanceFloor) -> None:
    """The venue takes the id of an order that is over again: it is a second order then."""
    floor.buy("60000.00", "0.1", "twice")
    first = floor.order("twice")
    assert first.state == "filled"
    floor.buy("58000.00", "0.1", "twice")
    assert floor.order("twice") is not first
    assert refusal(floor, **LIMIT, newClientOrderId="twice") == (-2010, "Duplicate order sent.")
    # Queries by that id mean the newest.
    found = floor.call("order.status", symbol="BTCUSDT", origClientOrderId="twice")
    assert (found["orderId"], found["status"]) == (floor.order("twice").order_id, "NEW")


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ({"newOrderRespType": "ACK"}, {"transactTime"}),
        ({"newOrderRespType": "RESULT"}, {"transactTime", "status", "executedQty"}),
        ({}, {"transactTime", "status", "executedQty", "fills"}),
    ],
)
def test_the_answer_says_as_much_as_was_asked_for(
    floor: BinanceFloor, more: dict[str, str], keys: set[str]
) -> None:
    """ACK, RESULT, and FULL by default."""
    answer = floor.buy("60000.00", "0.5", **more)
    everything = {"transactTime", "status", "executedQty", "fills"}
    assert keys == everything & set(answer)


def test_a_limit_order_that_crosses_reports_its_fills(floor: BinanceFloor) -> None:
    """The maker's price, the commission in what was received, a trade id of the market's."""
    answer = floor.buy("60100.00", "1.5")
    assert answer["status"] == "PARTIALLY_FILLED"
    assert (answer["executedQty"], answer["cummulativeQuoteQty"]) == (
        *("1.00000000", "60000.00000000"),
    )
    assert answer["fills"] == [
        {
            "price": "60000.00000000",
            "qty": "1.00000000",
            "commission": "0.00100000",
            "commissionAsset": "BTC",
            "tradeId": floor.markets[BTC].trades.next_id - 1,
        }
    ]


@pytest.mark.parametrize(
    ("time_in_force", "filled"), [("IOC", "1.00000000"), ("FOK", "0.00000000")]
)
def test_what_may_not_rest_expires(floor: BinanceFloor, time_in_force: str, filled: str) -> None:
    """IOC fills what it can, FOK all or nothing."""
    answer = floor.buy("60000.00", "1.5", timeInForce=time_in_force)
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", filled)
    assert answer["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    assert floor.held("USDT") == 0


def test_a_market_order_by_value_buys_what_it_pays_for(floor: BinanceFloor) -> None:
    """100 USDT at 60,000 are 0.00166 BTC, whole lots; never more than asked."""
    answer = floor.call(
        *("order.place",), symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="100"
    )
    assert (answer["status"], answer["executedQty"]) == ("FILLED", "0.00166000")
    assert (answer["cummulativeQuoteQty"], answer["origQuoteOrderQty"]) == (
        *("99.60000000", "100.00000000"),
    )
    assert answer["price"] == "0.00000000"


def test_a_market_order_without_liquidity_expires(floor: BinanceFloor) -> None:
    """What there was, it took."""
    answer = floor.call("order.place", **MARKET | {"quantity": "2"})
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "1.00000000")


def test_a_test_order_is_checked_and_not_sent(floor: BinanceFloor) -> None:
    """{} when it would have been accepted."""
    assert floor.call("order.test", **LIMIT) == {}
    assert floor.account.orders == {}
    assert refusal(floor, "order.test", **LIMIT | {"price": "1.001"})[0] == -1013


def test_a_cancel_renames_its_order(floor: BinanceFloor) -> None:
    """`newClientOrderId` is the order's id from then on; the old one finds nothing."""
    floor.buy("58000.00", "0.1", "mine")
    answer = floor.call(
        "order.cancel", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="gone"
    )
    assert (answer["origClientOrderId"], answer["clientOrderId"]) == ("mine", "gone")
    assert answer["status"] == "CANCELED"
    by_id = floor.call("order.status", symbol="BTCUSDT", orderId=answer["orderId"])
    assert (by_id["clientOrderId"], by_id["status"]) == ("gone", "CANCELED")
    by_old = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
    assert refusal(floor, "order.status", **by_old) == (-2013, "Order does not exist.")
    assert refusal(floor, "order.cancel", **by_old) == (-2011, "Unknown order sent.")


def test_a_cancel_of_what_isnt_open_is_refused(floor: BinanceFloor) -> None:
    """Filled, unknown, another symbol's, ids that don't fit together, no id at all."""
    filled = floor.buy("60000.00", "0.1", "filled")
    resting = floor.buy("58000.00", "0.1", "resting")
    for params in (
        {"symbol": "BTCUSDT", "orderId": filled["orderId"]},
        {"symbol": "BTCUSDT", "orderId": 1},
        {"symbol": "ETHUSDT", "orderId": resting["orderId"]},
        {"symbol": "BTCUSDT", "orderId": resting["orderId"], "origClientOrderId": "filled"},
    ):
        assert refusal(floor, "order.cancel", **params) == (-2011, "Unknown order sent.")
    assert refusal(floor, "order.cancel", symbol="BTCUSDT")[0] == -1102
    partly = {"symbol": "BTCUSDT", "orderId": resting["orderId"]}
    restricted = partly | {"cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    assert "cancel restrictions" in refusal(floor, "order.cancel", **restricted)[1]
    floor.call("order.cancel", **partly, cancelRestrictions="ONLY_NEW")


def test_an_amendment_makes_an_order_smaller_and_renames_it(floor: BinanceFloor) -> None:
    """It keeps its place before those that came later; less is locked, and it fills to the new."""
    placed = floor.call("order.place", **LIMIT, newClientOrderId="mine")
    floor.others(BTC, "buy", "59000.00", "0.5")
    reference = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    said = floor.call("order.amend.keepPriority", **reference, newQty="0.006")["amendedOrder"]
    assert (said["qty"], said["origClientOrderId"], said["status"]) == ("0.00600000", "mine", "NEW")
    assert said["clientOrderId"] not in ("", "mine")
    assert floor.held("USDT") == 354 * 10**8
    queried = floor.call("order.status", **reference)
    assert (queried["origQty"], queried["clientOrderId"]) == ("0.00600000", said["clientOrderId"])
    with pytest.raises(BinanceError, match="does not exist"):
        floor.call("order.status", symbol="BTCUSDT", origClientOrderId="mine")
    again = floor.call(
        "order.amend.keepPriority", **reference, newQty="0.005", newClientOrderId="other"
    )["amendedOrder"]
    assert (again["origClientOrderId"], again["clientOrderId"]) == (said["clientOrderId"], "other")
    floor.others(BTC, "sell", "59000.00", "1.005")  # 1 lay there before it
    filled = floor.call("order.status", **reference)
    assert (filled["status"], filled["executedQty"]) == ("FILLED", "0.00500000")
    assert floor.held("USDT") == 0


@pytest.mark.parametrize("quantity", ["0.01", "0.02", "0.004", "0.003"])
def test_an_amendment_that_makes_no_order_smaller_is_refused(
    floor: BinanceFloor, quantity: str
) -> None:
    """Not below what has been filled of it; and not of an order that isn't open."""
    placed = floor.call("order.place", **LIMIT)
    floor.others(BTC, "sell", "59000.00", "1.004")
    reference = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    amend = "order.amend.keepPriority"
    assert refusal(floor, amend, **reference, newQty=quantity) == (-2038, "Invalid quantity.")
    code, _ = refusal(floor, amend, **reference, newQty="0.0000001")
    assert code == -1013
    floor.call("order.cancel", **reference)
    assert refusal(floor, amend, **reference, newQty="0.005") == (-2038, "Unknown order sent.")


def test_all_of_a_symbol_can_be_cancelled_at_once(floor: BinanceFloor) -> None:
    """Another symbol's stay; none to cancel is an error."""
    floor.buy("58000.00", "0.1", "a")
    floor.buy("57000.00", "0.1", "b")
    floor.others("ETH/USDT", "sell", "3000.00", "1")
    floor.others("ETH/USDT", "buy", "3000.00", "1")
    floor.buy("3000.00", "0.1", "c", symbol="ETHUSDT")
    answer = floor.call("openOrders.cancelAll", symbol="BTCUSDT")
    assert [order["origClientOrderId"] for order in answer] == ["a", "b"]
    assert [order["symbol"] for order in floor.call("openOrders.status")] == ["ETHUSDT"]
    assert refusal(floor, "openOrders.cancelAll", symbol="BTCUSDT")[0] == -2011


def test_queries_find_orders_and_trades(floor: BinanceFloor) -> None:
    """Open ones, all of them from an id, trades of an order and from an id."""
    first = floor.buy("60000.00", "0.4", "first")
    second = floor.buy("60000.00", "0.7", "second")
    (open_,) = floor.call("openOrders.status", symbol="BTCUSDT")
    assert (open_["clientOrderId"], open_["status"]) == ("second", "PARTIALLY_FILLED")
    every = floor.call("allOrders", symbol="BTCUSDT")
    assert [order["clientOrderId"] for order in every] == ["first", "second"]
    later = floor.call("allOrders", symbol="BTCUSDT", orderId=second["orderId"])
    assert [order["orderId"] for order in later] == [second["orderId"]]
    trades = floor.call("myTrades", symbol="BTCUSDT")
    assert [(t["orderId"], t["qty"]) for t in trades] == [
        (first["orderId"], "0.40000000"),
        (second["orderId"], "0.60000000"),
    ]
    assert floor.call("myTrades", symbol="BTCUSDT", fromId=trades[1]["id"]) == trades[1:]
    assert floor.call("myTrades", symbol="BTCUSDT", orderId=first["orderId"]) == trades[:1]
    assert floor.call("myTrades", symbol="BTCUSDT", limit=1) == trades[1:]
    assert floor.call("myTrades", symbol="ETHUSDT") == []


def test_an_order_can_be_hidden_from_queries_for_a_while(floor: BinanceFloor) -> None:
    """All of them; then it is there as if it always had been."""
    answer = floor.buy("60000.00", "1.5", "late")
    floor.order("late").hidden_until_ms = floor.clock.now + 1000
    one = {"symbol": "BTCUSDT", "orderId": answer["orderId"]}
    assert refusal(floor, "order.status", **one)[0] == -2013
    for name in ("openOrders.status", "allOrders", "myTrades"):
        assert floor.call(name, symbol="BTCUSDT") == []
    floor.clock.now += 1000
    assert floor.call("order.status", **one)["status"] == "PARTIALLY_FILLED"
    for name in ("openOrders.status", "allOrders", "myTrades"):
        assert len(floor.call(name, symbol="BTCUSDT")) == 1


def test_the_account_says_what_is_free_and_what_is_locked(floor: BinanceFloor) -> None:
    """Zero balances can be left out."""
    floor.buy("58000.00", "1")
    account = floor.call("account.status")
    balances = {b["asset"]: (b["free"], b["locked"]) for b in account["balances"]}
    assert balances["USDT"] == ("942000.00000000", "58000.00000000")
    assert account["commissionRates"]["maker"] == "0.00090000"
    poor = BinanceFloor({"ETH": "0"})
    short = poor.call("account.status", omitZeroBalances="true")
    assert {b["asset"] for b in short["balances"]} == {"BTC", "USDT"}


def test_a_request_that_was_too_long_on_its_way_doesnt_execute(floor: BinanceFloor) -> None:
    """The window is looked at when it arrives and again before it goes on to the engine."""
    arrived = floor.clock.now
    params = LIMIT | {"timestamp": str(arrived), "recvWindow": "2000"}
    floor.clock.now += 2001
    with pytest.raises(BinanceError) as refused:
        trading.answer_signed(floor.trading, "order.place", params, arrived)
    assert refused.value.code == -1021
    assert floor.account.orders == {}
    # A query isn't forwarded: it is looked at once.
    asked = {"timestamp": str(arrived), "recvWindow": "2000"}
    assert trading.answer_signed(floor.trading, "openOrders.status", asked, arrived)[1] == []


def test_orders_count_until_they_trade_and_too_many_are_refused(floor: BinanceFloor) -> None:
    """The 101st in ten seconds; one that traded makes room."""
    for number in range(99):
        floor.buy("58000.00", "0.001", f"rests-{number}")
    floor.buy("60000.00", "0.001", "trades")
    assert floor.call("account.rateLimits.orders")[0]["count"] == 99
    floor.buy("58000.00", "0.001", "last")
    assert refusal(floor, **LIMIT)[0] == -1015


def test_two_hundred_orders_may_be_open(floor: BinanceFloor) -> None:
    """The next is a filter failure."""
    for number in range(200):
        if number % 100 == 0:
            floor.clock.now += 10_000
        floor.buy("58000.00", "0.001", f"rests-{number}")
    floor.clock.now += 10_000
    assert refusal(floor, **LIMIT) == (-1013, "Filter failure: MAX_NUM_ORDERS")


def test_the_accounts_commissions_name_the_asset_that_has_a_discount() -> None:
    """By symbol; BNB pays where the account's fees say so."""
    floor = BinanceFloor()
    found = floor.call("account.commission", symbol="BTCUSDT")
    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
    assert found["standardCommission"] == nothing | {"maker": "0.00090000", "taker": "0.00100000"}
    assert (found["specialCommission"], found["taxCommission"]) == (nothing, nothing)
    assert (found["discount"]["discount"], found["symbol"]) == ("0.75000000", "BTCUSDT")
