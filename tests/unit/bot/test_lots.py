"""Lots: how much of a quantity an exchange takes as one order."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from common_models import InstrumentInfo
from services.bot.lots import Lots

BTC = InstrumentInfo(
    symbol="BTC/USDT",
    exchange="binance",
    base="BTC",
    quote="USDT",
    trading=True,
    lot=0.00001,
    min_quantity=0.00002,
    min_notional=5,
)


def test_an_instrument_without_a_fee_costs_what_everybody_pays() -> None:
    """As a fraction of a fill."""
    assert Lots.of(BTC) == Lots(
        Decimal("0.00001"), Decimal("0.00002"), Decimal(5), Decimal("0.001")
    )
    assert Lots.of(BTC.model_copy(update={"taker_fee": 0.0004})).fee == Decimal("0.0004")
    assert Lots.of(BTC.model_copy(update={"maker_fee": 0.002, "taker_fee": 0.001})).fee == Decimal(
        "0.002"
    )
    assert Lots.of(BTC.model_copy(update={"exchange": "luno"})).fee == Decimal("0.01")


@given(
    quantity=st.decimals("0", "3", places=9),
    price=st.none() | st.decimals("0.01", "100000", places=2),
    lot=st.sampled_from(["0", "1", "0.1", "0.00001"]),
    least=st.decimals("0", "1", places=3),
    worth=st.decimals("0", "100", places=1),
)
def test_what_is_tradable_is_the_most_whole_lots_that_keep_all_bounds(
    quantity: Decimal, price: Decimal | None, lot: str, least: Decimal, worth: Decimal
) -> None:
    """Or nothing."""
    lots = Lots(Decimal(lot), least, worth)
    found = lots.tradable(quantity, price)
    whole = quantity if not lots.lot else quantity - quantity % lots.lot
    fits = whole >= least and (price is None or whole * price >= worth)
    assert found == (whole if fits else 0)
