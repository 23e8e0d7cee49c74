"""At which price a position was entered, from what order_status told."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderStatusUpdateEvent
from services.bot.portfolio import Portfolio
from services.tradectl.fills import Fills
from services.tradectl.reading import StreamEntry
from tests.unit.bot.test_portfolio import KEY, order

BTC = "BTC/USDT"


def status(number: int, side: str, filled: Any, price: float | None = 100.0, **more: Any) -> Any:
    """What became of an order."""
    told = {"order_id": f"o{number}", "client_order_id": f"bot-{number}", "symbol": BTC}
    return {**told, "side": side, "filled_quantity": filled, "average_price": price, **more}


def fills(*told: Any) -> Fills:
    """After these."""
    found = Fills("binance_connector")
    for number, fields in enumerate(told, start=1):
        data = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        found.add(StreamEntry(found.stream, f"{number}-0", data))
    return found


@pytest.mark.parametrize(
    ("told", "held", "average"),
    [
        ([status(1, "buy", 1), status(2, "buy", 1, 110)], "2", "105"),
        ([status(1, "buy", 1), status(1, "buy", 2, 110), status(1, "buy", 2, 110)], "2", "110"),
        ([status(1, "buy", 2), status(2, "sell", 1, 200)], "1", "100"),
        ([status(1, "buy", 2), status(2, "sell", 3, 200)], "-1", "200"),
        ([status(1, "buy", 2, fee={"BTC": 0.01})], "1.99", "100"),
        ([status(1, "buy", 1), status(2, "buy", 1, 110, external=True)], "1", "100"),
        ([status(1, "buy", 1), b"no JSON", status(2, "buy", "NaN"), b"[]"], "1", "100"),
        # The id of an order that a reset venue gave to another order.
        ([status(1, "buy", 1), status(1, "buy", 1, 110, client_order_id="x")], "2", "105"),
        ([status(1, "buy", 2), status(1, "buy", 1, 130)], "3", "110"),
        # 1 was there before all that is told: its price isn't known, until it is sold.
        ([status(1, "buy", 1)], "2", None),
        ([status(1, "sell", 2, 90)], "-1", "90"),
        ([status(1, "sell", 1), status(2, "buy", 1, 70)], "1", "70"),
        ([status(1, "buy", 1, None)], "1", None),
        ([status(1, "buy", 1)], "0", None),
        # What a program that adds floats leaves behind.
        ([status(1, "buy", 0.3)], "0.30000000000000004", "100"),
    ],
)
def test_the_average_is_that_of_the_fills_since_nothing_was_held(
    told: list[Any], held: str, average: str | None
) -> None:
    """Whatever is told again, of other orders, or not at all."""
    found = fills(*told).average(BTC, Decimal(held))
    assert found == (None if average is None else Decimal(average))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from(["buy", "sell"]),
            st.sampled_from([0.5, 1.0, 1.5, 2.0]),
            st.integers(90, 110),
            st.sampled_from(["BTC", "USDT"]),
            st.integers(0, 5),
        ),
        max_size=12,
    )
)
def test_it_is_the_average_of_the_bots_own_books(
    told: list[tuple[int, str, float, int, str, int]],
) -> None:
    """And so are the fees: both read the same events."""
    portfolio, found = Portfolio(), fills()
    orders: dict[int, tuple[str, Decimal, Decimal, dict[str, Decimal]]] = {}
    for number, wanted_side, quantity, price, asset, fee in told:
        if number not in orders:
            orders[number] = wanted_side, Decimal(0), Decimal(0), {}
            portfolio.add(order(number, wanted_side, "100"))
        side, filled, spent, fees = orders[number]
        filled, spent = filled + Decimal(quantity), spent + Decimal(quantity) * price
        fees[asset] = fees.get(asset, Decimal(0)) + Decimal(fee) / 1000
        orders[number] = side, filled, spent, fees
        event = OrderStatusUpdateEvent(
            order_id=f"o{number}",
            client_order_id=f"bot-{number}",
            symbol=BTC,
            status="partially_filled",
            filled_quantity=float(filled),
            remaining_quantity=0.0,
            average_price=float(spent / filled),
            fee={name: float(paid) for name, paid in fees.items()},
            exchange="binance",
            side=side,
        )
        portfolio.handle_status("binance", event)
        found.add(StreamEntry(found.stream, "1-0", event.model_dump_json().encode()))
    holding = portfolio.state.holdings.get(KEY)
    if holding is None or abs(holding.quantity) < Decimal("1e-6"):
        return
    average = found.average(BTC, holding.quantity)
    assert average is not None
    assert holding.average is not None
    assert round(average - holding.average, 6) == 0
    assert round(found.fees[BTC] - holding.fees, 6) == 0


def test_fees_are_worth_what_the_connector_counts_for_them() -> None:
    """In the base asset at the fills' price; in a third one the exchange's full rate."""
    told = [
        status(1, "buy", 1, fee={"BTC": 0.001}),
        status(1, "buy", 2, fee={"BTC": 0.002}),
        status(2, "sell", 1, fee={"USDT": 0.5}),
        status(3, "sell", 1, fee={"BNB": 0.0001}),
        status(3, "sell", 1, fee={"BNB": 0.0002}),
    ]
    assert fills(*told).fees == {BTC: Decimal("0.2") + Decimal("0.5") + Decimal("0.1")}
