"""Luno's private calls: each rule of the venue with its answer."""

from decimal import Decimal
from typing import Any

import pytest
from multidict import MultiDict

from services.exchange_simulator.luno import trading
from services.exchange_simulator.luno.order_wire import account_id, public_id
from services.exchange_simulator.luno.params import Params
from services.exchange_simulator.luno.trading import Call
from services.exchange_simulator.luno.wire import LunoError
from tests.unit.exchange_simulator.floors import XBT, LunoFloor


@pytest.fixture
def floor() -> LunoFloor:
    """A book of two orders: 1 XBT at 1,400,000 to sell, 1 XBT at 1,390,000 to buy."""
    floor = LunoFloor()
    floor.others(XBT, "sell", "1400000", "1")
    floor.others(XBT, "buy", "1390000", "1")
    return floor


def ask(floor: LunoFloor, call: Call, path: Any = None, /, **params: Any) -> Any:
    """The answer of a call; a list value is sent as a repeated name."""
    sent: MultiDict[str] = MultiDict()
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            sent.add(name, str(one))
    return call(floor.trading, Params(sent, path or {}))


BID = {"pair": "XBTZAR", "type": "BID", "volume": "0.5", "price": "1390000"}
BUY = {"pair": "XBTZAR", "type": "BUY", "counter_volume": "1400"}
SELL = {"pair": "XBTZAR", "type": "SELL", "base_volume": "0.01"}


def post(floor: LunoFloor, **changes: Any) -> str:
    """The id of a limit order."""
    order_id: str = ask(floor, trading.post_order, **BID | changes)["order_id"]
    return order_id


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pair": "NOPE"}, "ErrInvalidMarketPair"),
        ({"type": "BUY"}, "ErrInvalidOrderSide"),
        ({"volume": ""}, "ErrInvalidVolume"),
        ({"volume": "1e-05"}, "ErrInvalidVolume"),
        ({"volume": "0"}, "ErrInvalidVolume"),
        ({"volume": "0.0000001"}, "ErrVolumeDenominationNotAllowed"),
        ({"volume": "0.00009"}, "ErrVolumeTooLow"),
        ({"volume": "100.000001"}, "ErrVolumeTooHigh"),
        ({"price": "cheap"}, "ErrInvalidPrice"),
        ({"price": "1390000.5"}, "ErrPriceDenominationNotAllowed"),
        ({"price": "1406"}, "ErrPriceTooLow"),
        ({"price": "14070001"}, "ErrPriceTooHigh"),
        ({"time_in_force": "DAY"}, "ErrInvalidArguments"),
        ({"post_only": "True", "time_in_force": "IOC"}, "ErrPostOnlyNotAllowed"),
        ({"post_only": "perhaps"}, "ErrInvalidArguments"),
        ({"client_order_id": "a:b"}, "ErrInvalidClientOrderId"),
        ({"client_order_id": "x" * 256}, "ErrInvalidClientOrderId"),
        ({"base_account_id": "1"}, "ErrInvalidArguments"),
        ({"ttl": "10001"}, "ErrInvalidArguments"),
        ({"stop_price": "1", "stop_direction": "ABOVE"}, "ErrNotImplemented"),
        ({"volume": "50"}, "ErrInsufficientFunds"),
    ],
)
def test_an_invalid_limit_order_is_refused(
    floor: LunoFloor, changes: dict[str, str], code: str
) -> None:
    """With the venue's code; no order is created."""
    with pytest.raises(LunoError) as refused:
        post(floor, **changes)
    assert refused.value.code == code
    assert floor.account.orders == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "BID"}, "ErrInvalidOrderSide"),
        ({"counter_volume": "x"}, "ErrInvalidCounterVolume"),
        ({"counter_volume": "1.001"}, "ErrCounterDenominationNotAllowed"),
        ({"counter_volume": "100"}, "ErrVolumeTooLow"),
        ({"counter_volume": "1400001"}, "ErrNotEnoughLiquidity"),
        (SELL | {"base_volume": "0"}, "ErrInvalidBaseVolume"),
        (SELL | {"base_volume": "0.0000001"}, "ErrVolumeDenominationNotAllowed"),
        (SELL | {"base_volume": "1.1"}, "ErrNotEnoughLiquidity"),
    ],
)
def test_an_invalid_market_order_is_refused(
    floor: LunoFloor, changes: dict[str, str], code: str
) -> None:
    """A BUY has an amount to spend, a SELL a volume to sell."""
    with pytest.raises(LunoError) as refused:
        ask(floor, trading.market_order, **BUY | changes)
    assert refused.value.code == code


def test_a_client_order_id_can_be_used_for_one_created_order_only(
    floor: LunoFloor,
) -> None:
    """409 also after the order is closed; a refused order does not use its id."""
    with pytest.raises(LunoError, match="Not enough ZAR"):
        post(floor, client_order_id="once", volume="50")
    order_id = post(floor, client_order_id="once")
    ask(floor, trading.stop_order, order_id=order_id)
    for changes in ({}, {"volume": "0.1", "pair": "XBTZAR"}):
        with pytest.raises(LunoError) as refused:
            post(floor, client_order_id="once", **changes)
        assert (refused.value.status, refused.value.code) == (409, "ErrDuplicateClientOrderID")
    with pytest.raises(LunoError, match="used before"):
        ask(floor, trading.market_order, **BUY, client_order_id="once")
    assert len(floor.account.orders) == 1


def test_an_order_never_executes_after_its_deadline(floor: LunoFloor) -> None:
    """`timestamp` + `ttl`, by default ten seconds; a `ttl` alone has no effect."""
    now = floor.clock.now
    for deadline in ({"timestamp": now - 501, "ttl": 500}, {"timestamp": now - 10_001}):
        with pytest.raises(LunoError) as refused:
            post(floor, **deadline)
        assert refused.value.code == "ErrDeadlineExceeded"
    assert floor.account.orders == {}
    post(floor, timestamp=now - 500, ttl=500)
    post(floor, timestamp=now - 10_000)
    post(floor, ttl=1)


def test_an_order_passes_through_its_states(floor: LunoFloor) -> None:
    """PENDING, partially filled, COMPLETE; found by order id and client order id."""
    order_id = post(floor, price="1400000", volume="1.5", client_order_id="mine")
    by_id = ask(floor, trading.order_v3, id=order_id)
    assert by_id == ask(floor, trading.order_v3, client_order_id="mine")
    assert by_id == ask(floor, trading.order_v2, {"id": order_id})
    assert (by_id["status"], by_id["side"], by_id["type"]) == ("PENDING", "BUY", "LIMIT")
    assert (by_id["limit_volume"], by_id["base"], by_id["counter"]) == (
        "1.50",
        "1.00",
        "1400000.00",
    )
    # The fee is charged in the received asset.
    assert (by_id["fee_base"], by_id["fee_counter"]) == ("0.00100000", "0.00000000")
    assert by_id["completed_timestamp"] == by_id["expiration_timestamp"] == 0
    floor.others(XBT, "sell", "1400000", "0.5")
    done = ask(floor, trading.order_v3, id=order_id)
    assert (done["status"], done["base"]) == ("COMPLETE", "1.50")
    assert done["completed_timestamp"] == floor.clock.now
    old = ask(floor, trading.order_v1, {"id": order_id})
    assert (old["state"], old["type"]) == ("COMPLETE", "BID")
    assert "client_order_id" not in old


def test_a_cancelled_order_is_complete_with_an_expiration(floor: LunoFloor) -> None:
    """A second cancel, and one of an unknown or filled order, have the same error."""
    order_id = post(floor)
    assert ask(floor, trading.stop_order, order_id=order_id) == {"success": True}
    order = ask(floor, trading.order_v3, id=order_id)
    assert (order["status"], order["base"]) == ("COMPLETE", "0.00")
    assert order["expiration_timestamp"] == floor.clock.now
    for again in (order_id, "BXNOPE", ""):
        with pytest.raises(LunoError) as refused:
            ask(floor, trading.stop_order, order_id=again)
        assert refused.value.code == "ErrCannotStopUnknownOrNonPendingOrder"


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({"time_in_force": "IOC", "volume": "1.5"}, "1.00"),
        ({"time_in_force": "FOK", "volume": "1.5"}, "0.00"),
        ({"post_only": "1"}, "0.00"),
    ],
)
def test_ioc_and_fok_orders_complete_with_less_volume(
    floor: LunoFloor, changes: dict[str, str], base: str
) -> None:
    """Only the volume shows it; the order has no expiration."""
    order_id = post(floor, price="1400000", **changes)
    order = ask(floor, trading.order_v3, id=order_id)
    assert (order["status"], order["base"]) == ("COMPLETE", base)
    assert order["expiration_timestamp"] == 0
    assert floor.held("ZAR") == 0


def test_market_orders_spend_and_sell_the_requested_amounts(floor: LunoFloor) -> None:
    """A BUY never spends more; a SELL pays its fee in counter."""
    bought = ask(floor, trading.market_order, **BUY | {"counter_volume": "1400.50"})["order_id"]
    order = ask(floor, trading.order_v3, id=bought)
    assert (order["status"], order["type"], order["base"]) == ("COMPLETE", "MARKET", "0.001")
    assert "time_in_force" not in order
    sold = ask(floor, trading.market_order, **SELL)["order_id"]
    order = ask(floor, trading.order_v3, id=sold)
    assert (order["side"], order["counter"]) == ("SELL", "13900.00")
    assert (order["fee_base"], order["fee_counter"]) == ("0.00000000", "13.90000000")


@pytest.mark.parametrize("params", [{}, {"id": "BX1", "client_order_id": "x"}])
def test_exactly_one_of_two_ids_is_required(floor: LunoFloor, params: dict[str, str]) -> None:
    """Neither and both are refused."""
    with pytest.raises(LunoError) as refused:
        ask(floor, trading.order_v3, **params)
    assert refused.value.code == "ErrInvalidArguments"


def test_lists_have_open_orders_by_default_with_the_newest_first(floor: LunoFloor) -> None:
    """`closed`, `created_before`, `limit`, `pair`, `state`."""
    ids = []
    for _ in range(3):
        ids.append(post(floor))
        floor.clock.now += 10
    ask(floor, trading.stop_order, order_id=ids[0])

    def listed(call: Call = trading.list_orders_v2, /, **params: Any) -> list[str]:
        return [order["order_id"] for order in ask(floor, call, **params)["orders"]]

    assert listed() == [ids[2], ids[1]]
    assert listed(closed="True") == [ids[0]]
    assert listed(limit=1) == [ids[2]]
    assert listed(created_before=floor.clock.now - 10) == [ids[1]]
    assert listed(pair="ETHZAR") == []
    assert listed(trading.list_orders_v1) == [ids[2], ids[1], ids[0]]
    assert listed(trading.list_orders_v1, state="COMPLETE") == [ids[0]]
    for wrong in ({"limit": 0}, {"limit": 1001}):
        with pytest.raises(LunoError) as refused:
            listed(**wrong)
        assert refused.value.code == "ErrLimitOutOfRange"


def test_trades_are_numbered_by_the_market(floor: LunoFloor) -> None:
    """With the account's side, the taker's side and the fee; filtered by time and sequence."""
    post(floor, price="1400000", volume="0.25", client_order_id="a")
    floor.clock.now += 1000
    post(floor, type="ASK", price="1395000", volume="0.25", client_order_id="b")
    floor.others(XBT, "buy", "1395000", "0.25")
    first, second = ask(floor, trading.list_trades, pair="XBTZAR")["trades"]
    assert (first["type"], first["is_buy"], first["client_order_id"]) == ("BID", True, "a")
    # As maker: the account's side is opposite to the taker's.
    assert (second["type"], second["is_buy"], second["fee_counter"]) == (
        *("ASK", True, "313.87500000"),
    )
    assert (second["price"], second["volume"], second["counter"]) == (
        *("1395000.00", "0.25", "348750.00"),
    )

    def sequences(**params: Any) -> list[int]:
        trades = ask(floor, trading.list_trades, pair="XBTZAR", **params)["trades"]
        return [trade["sequence"] for trade in trades]

    assert sequences(sort_desc="true") == [second["sequence"], first["sequence"]]
    assert sequences(after_seq=second["sequence"]) == [second["sequence"]]
    assert sequences(before_seq=second["sequence"]) == [first["sequence"]]
    assert sequences(since=floor.clock.now) == [second["sequence"]]
    assert sequences(before=floor.clock.now) == [first["sequence"]]
    assert sequences(limit=1) == [first["sequence"]]


def test_an_order_can_be_hidden_from_queries_for_a_while(floor: LunoFloor) -> None:
    """Queries answer 404; a cancel still works."""
    order_id = post(floor, client_order_id="late")
    floor.order("late").hidden_until_ms = floor.clock.now + 1000
    with pytest.raises(LunoError) as refused:
        ask(floor, trading.order_v3, client_order_id="late")
    assert (refused.value.status, refused.value.code) == (404, "ErrOrderNotFound")
    assert ask(floor, trading.list_orders_v2)["orders"] == []
    ask(floor, trading.stop_order, order_id=order_id)
    floor.clock.now += 1000
    assert ask(floor, trading.order_v3, client_order_id="late")["status"] == "COMPLETE"


def test_fills_can_be_hidden_for_a_while(floor: LunoFloor) -> None:
    """The order shows its filled volume at once; `listtrades` shows the fills later."""
    post(floor, client_order_id="late", price="1400000")
    floor.order("late").fills_hidden_until_ms = floor.clock.now + 1000
    assert Decimal(ask(floor, trading.order_v3, client_order_id="late")["base"]) > 0
    assert ask(floor, trading.list_trades, pair="XBTZAR")["trades"] == []
    floor.clock.now += 1000
    assert ask(floor, trading.list_trades, pair="XBTZAR")["trades"]


def test_balances_include_reserved_amounts(floor: LunoFloor) -> None:
    """All balances, or those of a repeated `assets`; a comma-separated list is refused."""
    post(floor)
    zar = next(b for b in ask(floor, trading.balances)["balance"] if b["asset"] == "ZAR")
    assert zar == {
        "account_id": str(account_id("ZAR")),
        "asset": "ZAR",
        "balance": "10000000.00000000",
        "reserved": "695000.00000000",
        "unconfirmed": "0.00000000",
        "name": "ZAR account",
    }
    some = ask(floor, trading.balances, assets=["XBT", "ETH"])["balance"]
    assert {balance["asset"] for balance in some} == {"XBT", "ETH"}
    with pytest.raises(LunoError) as refused:
        ask(floor, trading.balances, assets="XBT,ETH")
    assert refused.value.status == 400


def test_fees_are_shares_of_the_received_amount(floor: LunoFloor) -> None:
    """Maker and taker fees."""
    info = ask(floor, trading.fee_info, pair="XBTZAR")
    assert (info["maker_fee_buy"], info["taker_fee_sell"]) == ("0.00090000", "0.00100000")


def test_order_ids_are_unique_across_pairs(floor: LunoFloor) -> None:
    """Orders with the same number in two engines have different ids."""
    floor.others("ETH/ZAR", "sell", "70000", "1")
    floor.others("ETH/ZAR", "buy", "60000", "1")
    first = post(floor)
    second = post(floor, pair="ETHZAR", price="60000")
    numbers = {order.order_id for order in floor.account.orders.values()}
    assert len(numbers) == 1
    assert first != second
    assert {public_id(order) for order in floor.account.orders.values()} == {first, second}
