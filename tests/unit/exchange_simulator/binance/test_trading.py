"""Binance's signed endpoints: each rule of the venue with its answer."""

from typing import Any

import pytest

from services.exchange_simulator.binance import trading
from services.exchange_simulator.binance.errors import BinanceError
from tests.unit.exchange_simulator.floors import BTC, BinanceFloor


@pytest.fixture
def floor() -> BinanceFloor:
    """A book of two orders: 1 BTC at 60,000.00 to sell, 1 BTC at 59,000.00 to buy."""
    floor = BinanceFloor()
    # A trade sets the reference price.
    floor.others(BTC, "buy", "59500.00", "0.1")
    floor.others(BTC, "sell", "59500.00", "0.1")
    floor.others(BTC, "sell", "60000.00", "1")
    floor.others(BTC, "buy", "59000.00", "1")
    return floor


def refusal(floor: BinanceFloor, name: str = "order.place", **params: Any) -> tuple[int, str]:
    """Code and message of a refusal; the book must be unchanged."""
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
def test_an_invalid_limit_order_is_refused(
    floor: BinanceFloor, changes: dict[str, str | None], code: int, message: str
) -> None:
    """With the venue's code and message; no order is created."""
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
def test_an_invalid_market_order_is_refused(
    floor: BinanceFloor, changes: dict[str, str | None], code: int, message: str
) -> None:
    """A market order has a quantity or a value, but no price and no time in force."""
    params = {key: value for key, value in (MARKET | changes).items() if value is not None}
    refused = refusal(floor, **params)
    assert refused[0] == code
    assert message in refused[1]


def test_filters_accept_values_at_their_limits(floor: BinanceFloor) -> None:
    """The lowest price, the smallest value, the smallest lot."""
    floor.buy("11900.00", "0.001", "low")
    floor.buy("59000.00", "0.00009", "small")
    assert [order.client_id for order in floor.account.open_orders()] == ["low", "small"]


def test_the_client_id_of_an_open_order_is_refused_and_of_a_closed_order_accepted(
    floor: BinanceFloor,
) -> None:
    """The venue accepts the client id of a closed order: there are two orders then."""
    floor.buy("60000.00", "0.1", "twice")
    first = floor.order("twice")
    assert first.state == "filled"
    floor.buy("58000.00", "0.1", "twice")
    assert floor.order("twice") is not first
    assert refusal(floor, **LIMIT, newClientOrderId="twice") == (-2010, "Duplicate order sent.")
    # Queries by that id return the newest order.
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
def test_the_answer_has_the_requested_response_type(
    floor: BinanceFloor, more: dict[str, str], keys: set[str]
) -> None:
    """ACK, RESULT, and FULL by default."""
    answer = floor.buy("60000.00", "0.5", **more)
    everything = {"transactTime", "status", "executedQty", "fills"}
    assert keys == everything & set(answer)


def test_a_limit_order_that_crosses_reports_its_fills(floor: BinanceFloor) -> None:
    """Fills have the maker's price, a fee in the received asset, and the market's trade id."""
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
def test_ioc_and_fok_orders_expire_instead_of_resting(
    floor: BinanceFloor, time_in_force: str, filled: str
) -> None:
    """IOC fills as much as possible, FOK all or nothing."""
    answer = floor.buy("60000.00", "1.5", timeInForce=time_in_force)
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", filled)
    assert answer["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    assert floor.held("USDT") == 0


def test_a_market_order_by_value_never_spends_more_than_the_value(floor: BinanceFloor) -> None:
    """100 USDT at 60,000 buy 0.00166 BTC, a whole number of lots."""
    answer = floor.call(
        *("order.place",), symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="100"
    )
    assert (answer["status"], answer["executedQty"]) == ("FILLED", "0.00166000")
    assert (answer["cummulativeQuoteQty"], answer["origQuoteOrderQty"]) == (
        *("99.60000000", "100.00000000"),
    )
    assert answer["price"] == "0.00000000"


def test_a_market_order_without_liquidity_expires(floor: BinanceFloor) -> None:
    """It fills the available quantity first."""
    answer = floor.call("order.place", **MARKET | {"quantity": "2"})
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "1.00000000")


def test_a_test_order_is_checked_and_not_placed(floor: BinanceFloor) -> None:
    """The answer is {} if the order would be accepted."""
    assert floor.call("order.test", **LIMIT) == {}
    assert floor.account.orders == {}
    assert refusal(floor, "order.test", **LIMIT | {"price": "1.001"})[0] == -1013


def test_a_cancel_replaces_the_client_id_of_its_order(floor: BinanceFloor) -> None:
    """`newClientOrderId` becomes the order's client id; the old one finds nothing."""
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


def test_a_cancel_of_an_order_that_is_not_open_is_refused(floor: BinanceFloor) -> None:
    """Filled, unknown, of another symbol, with contradictory ids, without an id."""
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


def test_an_amendment_reduces_an_order_and_replaces_its_client_id(floor: BinanceFloor) -> None:
    """It keeps its place in the queue; less is locked, and it fills up to the new quantity."""
    placed = floor.call("order.place", **LIMIT, newClientOrderId="mine")
    floor.others(BTC, "buy", "59000.00", "0.5")
    reference = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    amended = floor.call("order.amend.keepPriority", **reference, newQty="0.006")["amendedOrder"]
    assert (amended["qty"], amended["origClientOrderId"], amended["status"]) == (
        "0.00600000",
        "mine",
        "NEW",
    )
    assert amended["clientOrderId"] not in ("", "mine")
    assert floor.held("USDT") == 354 * 10**8
    queried = floor.call("order.status", **reference)
    assert (queried["origQty"], queried["clientOrderId"]) == (
        "0.00600000",
        amended["clientOrderId"],
    )
    with pytest.raises(BinanceError, match="does not exist"):
        floor.call("order.status", symbol="BTCUSDT", origClientOrderId="mine")
    again = floor.call(
        "order.amend.keepPriority", **reference, newQty="0.005", newClientOrderId="other"
    )["amendedOrder"]
    assert (again["origClientOrderId"], again["clientOrderId"]) == (
        amended["clientOrderId"],
        "other",
    )
    floor.others(BTC, "sell", "59000.00", "1.005")  # 1 BTC rested before it
    filled = floor.call("order.status", **reference)
    assert (filled["status"], filled["executedQty"]) == ("FILLED", "0.00500000")
    assert floor.held("USDT") == 0


@pytest.mark.parametrize("quantity", ["0.01", "0.02", "0.004", "0.003"])
def test_an_amendment_that_does_not_reduce_an_open_order_is_refused(
    floor: BinanceFloor, quantity: str
) -> None:
    """Nor may it go below the filled quantity, or amend a closed order."""
    placed = floor.call("order.place", **LIMIT)
    floor.others(BTC, "sell", "59000.00", "1.004")
    reference = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    amend = "order.amend.keepPriority"
    assert refusal(floor, amend, **reference, newQty=quantity) == (-2038, "Invalid quantity.")
    code, _ = refusal(floor, amend, **reference, newQty="0.0000001")
    assert code == -1013
    floor.call("order.cancel", **reference)
    assert refusal(floor, amend, **reference, newQty="0.005") == (-2038, "Unknown order sent.")


def test_all_orders_of_a_symbol_can_be_cancelled_at_once(floor: BinanceFloor) -> None:
    """Orders of another symbol stay; it is an error if there is none to cancel."""
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
    """Open orders, all orders from an id, trades of an order, trades from an id."""
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
    """No query finds it until the time is over."""
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


def test_the_account_lists_free_and_locked_balances(floor: BinanceFloor) -> None:
    """Zero balances can be omitted."""
    floor.buy("58000.00", "1")
    account = floor.call("account.status")
    balances = {b["asset"]: (b["free"], b["locked"]) for b in account["balances"]}
    assert balances["USDT"] == ("942000.00000000", "58000.00000000")
    assert account["commissionRates"]["maker"] == "0.00090000"
    poor = BinanceFloor({"ETH": "0"})
    short = poor.call("account.status", omitZeroBalances="true")
    assert {b["asset"] for b in short["balances"]} == {"BTC", "USDT"}


def test_a_request_that_arrives_too_late_does_not_execute(floor: BinanceFloor) -> None:
    """The window is checked on arrival and again before the request reaches the engine."""
    arrived = floor.clock.now
    params = LIMIT | {"timestamp": str(arrived), "recvWindow": "2000"}
    floor.clock.now += 2001
    with pytest.raises(BinanceError) as refused:
        trading.answer_signed(floor.trading, "order.place", params, arrived)
    assert refused.value.code == -1021
    assert floor.account.orders == {}
    # A query isn't forwarded: its window is checked once.
    asked = {"timestamp": str(arrived), "recvWindow": "2000"}
    assert trading.answer_signed(floor.trading, "openOrders.status", asked, arrived)[1] == []


def test_orders_above_the_unfilled_order_limit_are_refused(floor: BinanceFloor) -> None:
    """The 101st in ten seconds is refused; an order that traded does not count."""
    for number in range(99):
        floor.buy("58000.00", "0.001", f"rests-{number}")
    floor.buy("60000.00", "0.001", "trades")
    assert floor.call("account.rateLimits.orders")[0]["count"] == 99
    floor.buy("58000.00", "0.001", "last")
    assert refusal(floor, **LIMIT)[0] == -1015


def test_two_hundred_orders_may_be_open(floor: BinanceFloor) -> None:
    """The 201st is a filter failure."""
    for number in range(200):
        if number % 100 == 0:
            floor.clock.now += 10_000
        floor.buy("58000.00", "0.001", f"rests-{number}")
    floor.clock.now += 10_000
    assert refusal(floor, **LIMIT) == (-1013, "Filter failure: MAX_NUM_ORDERS")


def test_commissions_name_the_discount_asset() -> None:
    """For each symbol; it is BNB if the account's fees have that discount."""
    floor = BinanceFloor()
    found = floor.call("account.commission", symbol="BTCUSDT")
    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
    assert found["standardCommission"] == nothing | {"maker": "0.00090000", "taker": "0.00100000"}
    assert (found["specialCommission"], found["taxCommission"]) == (nothing, nothing)
    assert (found["discount"]["discount"], found["symbol"]) == ("0.75000000", "BTCUSDT")
