"""Binance's user data stream: its events of orders and balances, and their order."""

import json
from typing import Any

import pytest

from services.exchange_simulator.binance.user_events import UserEvents
from tests.unit.exchange_simulator.floors import BTC, NOW, BinanceFloor


class Listening:
    """An account with a client subscribed to its user data stream as subscription 3."""

    def __init__(self) -> None:
        self.floor = BinanceFloor()
        self.floor.others(BTC, "sell", "60000.00", "0.1")
        self.floor.others(BTC, "buy", "60000.00", "0.05")
        self.events = UserEvents(self.floor.account, self.floor.clock)
        self.frames: list[dict[str, Any]] = []
        self.events.join(self.push, 3)

    def push(self, frame: bytes) -> None:
        """Record a frame."""
        self.frames.append(json.loads(frame))

    def reports(self) -> list[dict[str, Any]]:
        """The execution reports so far."""
        return [f["event"] for f in self.frames if f["event"]["e"] == "executionReport"]


@pytest.fixture
def stream() -> Listening:
    """Another client sells 0.05 BTC at 60,000."""
    return Listening()


def test_a_new_order_is_reported_as_documented(stream: Listening) -> None:
    """All keys and values of the documented example; the balances follow."""
    stream.floor.buy("58000.00", "0.1")
    report, position = (frame["event"] for frame in stream.frames)
    order = stream.floor.order("mine")
    assert report == {
        "e": "executionReport",
        "E": NOW,
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "0.10000000",
        "p": "58000.00000000",
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": order.order_id,
        "l": "0.00000000",
        "z": "0.00000000",
        "L": "0.00000000",
        "n": "0",
        "N": None,
        "T": NOW,
        "t": -1,
        "I": report["I"],
        "w": True,
        "m": False,
        "M": False,
        "O": NOW,
        "Z": "0.00000000",
        "Y": "0.00000000",
        "Q": "0.00000000",
        "W": NOW,
        "V": "NONE",
    }
    assert position == {
        "e": "outboundAccountPosition",
        "E": NOW,
        "u": NOW,
        "B": [{"a": "USDT", "f": "994200.00000000", "l": "5800.00000000"}],
    }
    assert {frame["subscriptionId"] for frame in stream.frames} == {3}


def test_a_trade_is_reported_with_its_fill(stream: Listening) -> None:
    """NEW first, then the trade: last and cumulative amounts, commission, trade id."""
    stream.floor.buy("60000.00", "0.1")
    new, trade = stream.reports()
    fill = stream.floor.order("mine").fills[0]
    assert (new["x"], new["X"], new["z"]) == ("NEW", "NEW", "0.00000000")
    assert (trade["x"], trade["X"], trade["w"]) == ("TRADE", "PARTIALLY_FILLED", True)
    assert (trade["l"], trade["z"], trade["L"]) == ("0.05000000", "0.05000000", "60000.00000000")
    assert (trade["n"], trade["N"], trade["t"]) == ("0.00005000", "BTC", fill.trade_id)
    assert (trade["Y"], trade["Z"], trade["m"]) == ("3000.00000000", "3000.00000000", False)
    assert {entry["a"] for entry in stream.frames[-1]["event"]["B"]} == {"BTC", "USDT"}


def test_a_fill_as_maker_is_marked(stream: Listening) -> None:
    """The last fill closes the order."""
    stream.floor.buy("58000.00", "0.1")
    stream.floor.others(BTC, "sell", "58000.00", "0.1")
    trade = stream.reports()[-1]
    assert (trade["x"], trade["X"], trade["m"], trade["w"]) == ("TRADE", "FILLED", True, False)


def test_a_cancel_reports_the_orders_client_id_as_capital_c(stream: Listening) -> None:
    """`c` is the cancel's client id, `C` the order's."""
    stream.floor.buy("58000.00", "0.1")
    stream.floor.call(
        "order.cancel", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="bye"
    )
    canceled = stream.reports()[-1]
    assert (canceled["x"], canceled["X"]) == ("CANCELED", "CANCELED")
    assert (canceled["c"], canceled["C"]) == ("bye", "mine")


def test_an_amendment_is_reported_as_a_replacement(stream: Listening) -> None:
    """`C` is the old client id, `q` the new quantity; the balances follow."""
    stream.floor.buy("58000.00", "0.1")
    order_id = stream.floor.order("mine").order_id
    stream.floor.call("order.amend.keepPriority", symbol="BTCUSDT", orderId=order_id, newQty="0.06")
    report, position = (frame["event"] for frame in stream.frames[-2:])
    assert (report["x"], report["X"], report["C"]) == ("REPLACED", "NEW", "mine")
    assert report["c"] not in ("", "mine")
    assert (report["q"], report["z"], report["i"]) == ("0.06000000", "0.00000000", order_id)
    assert position["B"] == [{"a": "USDT", "f": "996520.00000000", "l": "3480.00000000"}]


def test_an_order_that_may_not_rest_is_reported_as_expired(stream: Listening) -> None:
    """With the expiry reason."""
    stream.floor.buy("60000.00", "0.1", timeInForce="IOC")
    expired = stream.reports()[-1]
    assert (expired["x"], expired["X"], expired["z"]) == ("EXPIRED", "EXPIRED", "0.05000000")
    assert (expired["eR"], expired["C"]) == ("INSUFFICIENT_LIQUIDITY", "")


def test_execution_ids_never_repeat(stream: Listening) -> None:
    """Each report has its own."""
    for number in range(3):
        stream.floor.buy("60000.00", "0.02", f"order-{number}")
    ids = [report["I"] for report in stream.reports()]
    assert ids == sorted(set(ids))


def test_a_client_that_left_receives_nothing_more(stream: Listening) -> None:
    """Leaving without having joined is allowed."""
    stream.events.leave(stream.push)
    stream.events.leave(stream.push)
    stream.floor.buy("58000.00", "0.1")
    assert stream.frames == []
