"""An order's fills at Luno: from the account's trades, each asked for once, as they are shown."""

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from services._connector_kit.errors import TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.rate_limit import Priority
from services.luno_connector import fills as module
from services.luno_connector import translate_orders
from services.luno_connector.fills import OrderFills

XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)
NOW = 1_700_000_000_000
# https://www.luno.com/en/developers/api, "listtrades"
TRADE = {
    "pair": "XBTZAR",
    "sequence": 1,
    "order_id": "BX1",
    "type": "BID",
    "timestamp": NOW,
    "price": "1000000.00",
    "volume": "0.10",
    "base": "0.10",
    "counter": "100000.00",
    "fee_base": "0.0001",
    "fee_counter": "0.00",
    "is_buy": True,
    "client_order_id": "",
}


class Luno:
    """The account's trades, and what was asked for."""

    def __init__(self, *trades: dict[str, Any]) -> None:
        self.trades = list(trades)
        self.asked: list[dict[str, int]] = []
        self.sdk = self

    async def call(self, request: Callable[[], Any], priority: Priority = Priority.DATA) -> Any:
        """Answer."""
        assert priority is Priority.BALANCES
        return request()

    def list_user_trades(self, *, pair: str, limit: int, **since: int) -> Any:
        """`GET /api/1/listtrades`: oldest first; `since` and `after_seq` are inclusive."""
        assert pair == "XBTZAR"
        self.asked.append(since)
        found = [
            trade
            for trade in sorted(self.trades, key=lambda trade: int(trade["sequence"]))
            if trade["timestamp"] >= since.get("since", 0)
            and trade["sequence"] >= since.get("after_seq", 0)
        ]
        return {"trades": found[:limit] or None}


def trade(sequence: int, order_id: str = "BX1", volume: str = "0.1", **more: Any) -> dict[str, Any]:
    """One of them."""
    own = {"sequence": sequence, "order_id": order_id, "volume": volume}
    return {**TRADE, "timestamp": NOW + sequence, **own, **more}


def order(filled: str, **fields: Any) -> OrderStatusReport:
    """What Luno says of the order itself."""
    return OrderStatusReport(
        order_id="BX1",
        client_order_id="mine",
        symbol="XBT/ZAR",
        side="buy",
        status="partially_filled",
        quantity=Decimal(1),
        filled=Decimal(filled),
        quote_filled=Decimal(filled) * 1_000_000,
        milliseconds=NOW,
        fee={},
        created=NOW,
        **fields,
    )


def ids(report: OrderStatusReport) -> list[str]:
    """Of its fills."""
    return [fill.trade_id for fill in report.fills]


async def test_an_order_gets_its_own_fills_and_the_time_of_the_last() -> None:
    """Others' trades of the same pair are none of it."""
    luno = Luno(trade(3), trade(4, "BX2"), trade(5, volume="0.2"))
    found = await OrderFills(luno).complete(order("0.3"), XBT)
    assert ids(found) == ["3", "5"]
    assert found.milliseconds == NOW + 5
    assert sum(fill.quantity for fill in found.fills) == found.filled


async def test_nothing_is_asked_for_that_is_known() -> None:
    """An order without fills, and one whose fills are all there; then only what is newer."""
    luno = Luno(trade(3))
    fills = OrderFills(luno)
    assert (await fills.complete(order("0"), XBT)).fills == ()
    for _ in range(3):
        assert ids(await fills.complete(order("0.1"), XBT)) == ["3"]
    luno.trades += [trade(7), trade(8)]
    assert ids(await fills.complete(order("0.3"), XBT)) == ["3", "7", "8"]
    assert luno.asked == [{"since": NOW - module.TIMES_DIFFER_MS}, {"since": NOW + 3}]


async def test_fills_that_are_not_shown_yet_are_asked_for_again() -> None:
    """And those after what the order said when it was read wait for its next report."""
    luno = Luno(trade(3))
    fills = OrderFills(luno)
    assert ids(await fills.complete(order("0.2"), XBT)) == ["3"]
    luno.trades += [trade(4), trade(5)]
    assert ids(await fills.complete(order("0.2"), XBT)) == ["3", "4"]
    assert ids(await fills.complete(order("0.3"), XBT)) == ["3", "4", "5"]
    assert len(luno.asked) == 2


async def test_all_pages_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many trades of others lie between."""
    monkeypatch.setattr(module, "PAGE", 10)
    others = [trade(n, "BX2") for n in range(2, 40)]
    luno = Luno(trade(1), *others, trade(40, volume="0.4"))
    assert ids(await OrderFills(luno).complete(order("0.5"), XBT)) == ["1", "40"]
    assert luno.asked[1:] == [{"after_seq": n} for n in (11, 21, 31, 41)]


async def test_only_so_many_orders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was looked at longest ago goes first."""
    monkeypatch.setattr(module, "MOST_ORDERS", 2)
    luno = Luno(*(trade(n, f"BX{n}") for n in range(1, 4)))
    fills = OrderFills(luno)
    for name in ("BX1", "BX2", "BX3", "BX3", "BX1"):
        await fills.complete(order("0.1")._replace(order_id=name), XBT)
    assert len(luno.asked) == 4


@pytest.mark.parametrize(
    ("name", "rubbish"),
    [
        *product(["sequence", "timestamp", "price", "volume"], [None, "x", -1, {}, "NaN", True]),
        *product(["order_id"], [None, "", 7, {}]),
    ],
)
async def test_a_trade_that_cant_be_read_is_trouble_that_may_pass(name: str, rubbish: Any) -> None:
    """No other error comes out; the order is asked for again."""
    luno = Luno()
    luno.list_user_trades = lambda **_: {"trades": [{**TRADE, name: rubbish}]}  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="can't be read"):
        await OrderFills(luno).complete(order("0.1"), XBT)


@pytest.mark.parametrize(
    ("own", "taker_bought", "is_maker"),
    [("BID", True, False), ("BID", False, True), ("ASK", True, True), ("ASK", False, False)],
)
def test_a_fill_says_whether_the_order_had_rested(
    own: str, taker_bought: bool, is_maker: bool
) -> None:
    """`type` is the order's own side, `is_buy` the taker's."""
    order_id, fill = translate_orders.fill({**TRADE, "type": own, "is_buy": taker_bought}, XBT)
    assert (order_id, fill.trade_id, fill.milliseconds) == ("BX1", "1", NOW)
    assert (fill.price, fill.quantity) == (Decimal("1000000.00"), Decimal("0.10"))
    assert fill.is_maker is is_maker


@pytest.mark.parametrize(
    ("base", "counter", "fee"),
    [
        ("0.0001", "0.00", ("XBT", Decimal("0.0001"))),
        ("0.00", "25.5", ("ZAR", Decimal("25.5"))),
        ("0.00", "0.00", ("ZAR", Decimal(0))),
    ],
)
def test_a_fee_is_in_either_asset(base: str, counter: str, fee: tuple[str, Decimal]) -> None:
    """Or there is none."""
    _, fill = translate_orders.fill({**TRADE, "fee_base": base, "fee_counter": counter}, XBT)
    assert (fill.fee_asset, fill.fee) == fee
