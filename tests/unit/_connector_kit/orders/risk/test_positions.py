"""What is held, by what was told of our orders: each fill and each fee once."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.orders.account.order_status import (
    Fill,
    OrderStatusReport,
    PublishedOrder,
    diff,
)
from services._connector_kit.orders.risk.positions import updated_position
from services._runtime.position import Position

NOW = 1_700_000_000_000
DAY = "2023-11-14"
RATE = Decimal("0.001")
ORDERS = 3


class Market:
    """BTC/USDT and what was booked of it."""

    def __init__(self) -> None:
        self.published: dict[str, PublishedOrder] = {}
        self.kept: bytes | None = None
        self.changes = 0

    def hear(self, report: OrderStatusReport) -> None:
        """A report comes in."""
        before = self.published.get(report.order_id)
        found = diff(before, report, "binance", external=False)
        if found is None:
            return
        self.published[report.order_id] = found.published
        changed = updated_position(self.kept, before, found.published, DAY, RATE)
        if changed is not None:
            self.kept = changed
            self.changes += 1

    @property
    def position(self) -> Position:
        """What is held."""
        return msgspec.json.decode(self.kept or b"{}", type=Position)


def report(side: str, fills: tuple[Fill, ...], **more: Any) -> OrderStatusReport:
    """An order for 100 of which so much is filled."""
    fields = {
        "order_id": "7",
        "client_order_id": "mine",
        "symbol": "BTC/USDT",
        "side": side,
        "status": "open",
        "quantity": Decimal(100),
        "filled": sum((fill.quantity for fill in fills), Decimal(0)),
        "quote_filled": sum((fill.quantity * fill.price for fill in fills), Decimal(0)),
        "milliseconds": NOW,
        "fills": fills,
        **more,
    }
    return OrderStatusReport(**fields)


def summed(fills: tuple[Fill, ...]) -> dict[str, Decimal]:
    """Their fees, by asset."""
    fee: dict[str, Decimal] = {}
    for each in fills:
        fee[str(each.fee_asset)] = fee.get(str(each.fee_asset), Decimal(0)) + each.fee
    return fee


def fill(
    number: int, quantity: str, price: str = "100", fee: str = "0", asset: str = "USDT"
) -> Fill:
    """One fill."""
    return Fill(str(number), NOW, Decimal(price), Decimal(quantity), asset, Decimal(fee))


FILLS = st.lists(
    st.builds(
        lambda quantity, price, fee, asset: (str(quantity), str(price), str(fee), asset),
        st.decimals("0.1", "9", places=1),
        st.decimals("1", "999", places=1),
        st.decimals("0", "0.05", places=3),
        st.sampled_from(("BTC", "USDT")),
    ),
    max_size=5,
)


@given(
    st.lists(st.tuples(st.sampled_from(("buy", "sell")), FILLS), min_size=1, max_size=ORDERS),
    st.lists(st.tuples(st.integers(0, ORDERS - 1), st.integers(0, 5), st.booleans()), max_size=25),
    st.booleans(),
)
def test_a_position_is_the_sum_of_all_fills_less_the_fees_in_the_base_asset(
    orders: list[tuple[str, list[tuple[str, str, str, str]]]],
    story: list[tuple[int, int, bool]],
    fills_have_ids: bool,
) -> None:
    """However often, late, and in whatever order they are told; on both kinds of venue."""
    market = Market()
    whole = [(number, 5, True) for number in range(len(orders))]
    quantity = cash = Decimal(0)
    for side, fills in orders:
        sign = 1 if side == "buy" else -1
        for amount, price, fee, asset in fills:
            quantity += sign * Decimal(amount) - (Decimal(fee) if asset == "BTC" else 0)
            cash -= sign * Decimal(amount) * Decimal(price) + (
                Decimal(fee) if asset == "USDT" else 0
            )
    for number, count, all_fills in (*story, *whole):
        if number >= len(orders):
            continue
        side, fills = orders[number]
        some = tuple(fill(i, *each) for i, each in enumerate(fills[:count]))
        one = report(side, some, order_id=str(number))
        if not fills_have_ids:
            one = one._replace(fills=(), fee=summed(some if all_fills else ()))
        elif not all_fills:
            one = one._replace(fills=some[-1:])
        market.hear(one)
    assert (market.position.quantity, market.position.cash) == (quantity, cash)


def test_a_position_goes_through_zero() -> None:
    """From long to short: its profit is that of both trades, and its price the last fill's."""
    market = Market()
    market.hear(report("buy", (fill(1, "2", "100"),), order_id="1"))
    market.hear(report("sell", (fill(2, "5", "110"),), order_id="2"))
    held = market.position
    assert held == Position(Decimal(-3), Decimal(350), Decimal(110), DAY)
    assert held.profit_today == 20


def test_a_fee_that_comes_late_is_booked_alone_and_once() -> None:
    """Luno's is the order's, and cumulative; the price stays."""
    market = Market()
    bought: dict[str, Any] = {"filled": Decimal(2), "quote_filled": Decimal(200)}
    market.hear(report("buy", (), **bought, fee={}))
    late = report("buy", (), **bought, fee={"BTC": Decimal("0.002"), "USDT": Decimal(1)})
    market.hear(late)
    market.hear(late)
    held = Position(Decimal("1.998"), Decimal(-201), Decimal(100), DAY)
    assert market.position == held
    assert market.changes == 2


def test_a_fee_in_a_third_asset_costs_the_full_rate() -> None:
    """Of the money traded, whatever it is worth; a fee of 0 in it costs nothing."""
    market = Market()
    market.hear(report("sell", (fill(1, "2", "100", fee="0.0003", asset="BNB"),)))
    assert market.position.cash == 200 - 200 * RATE
    free = Market()
    free.hear(report("sell", (), filled=Decimal(2), quote_filled=Decimal(200), fee={"BNB": 0}))
    assert free.position.cash == 200


def test_where_the_venue_doesnt_know_what_was_spent_it_is_the_limits() -> None:
    """Until it does."""
    market = Market()
    one = report("buy", (), filled=Decimal(2), price=Decimal(90))
    market.hear(one)
    assert market.position == Position(Decimal(2), Decimal(-180), None, DAY)
    market.hear(one._replace(quote_filled=Decimal(178)))
    assert market.position.cash == -178
