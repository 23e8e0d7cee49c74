"""Each fill is told once, with its own id, time and fee: as the venue's own ledger has it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common_models import OrderStatusUpdateEvent, Trade
from tests.support.orders.trading import MARKETS, NO_LIMITS, TradingDesk, settled, told_fills

pytestmark = pytest.mark.timeout(240)

# What several levels of a book hold.
LARGE = {
    **NO_LIMITS,
    "RISK_MAX_QUANTITY": "BTC:1000,XBT:1000",
    "RISK_MAX_NOTIONAL": "USDT:1000000000,ZAR:1000000000",
}
EPOCH = datetime.fromtimestamp(0, UTC)


def as_told(fill: dict[str, Any], side: str) -> tuple[Any, ...]:
    """A fill of the venue's ledger, as the connector should tell it."""
    return (
        fill["trade_id"],
        EPOCH + timedelta(milliseconds=fill["time_ms"]),
        float(fill["price"]),
        float(fill["quantity"]),
        float(fill["fee"]),
        fill["fee_asset"],
        fill["maker"],
        side,
    )


def own(trade: Trade) -> tuple[Any, ...]:
    """What a trade tells of itself."""
    return (
        trade.trade_id,
        trade.timestamp,
        trade.price,
        trade.quantity,
        trade.fee,
        trade.fee_asset,
        trade.is_maker,
        trade.side,
    )


async def assert_told_as_the_venue_has_them(
    desk: TradingDesk, client_order_id: str
) -> list[OrderStatusUpdateEvent]:
    """Every fill once; the statuses."""
    await settled(desk, client_order_id)
    (order,) = await desk.at_venue(client_order_id)
    statuses = await desk.statuses(client_order_id)
    told = [own(trade) for status in statuses for trade in status.trades or ()]
    assert order["fills"]
    assert sorted(told) == sorted(as_told(fill, "buy") for fill in order["fills"])
    paid = {asset: float(fee) for asset, fee in order["fees"].items() if float(fee)}
    assert statuses[-1].fee == pytest.approx(paid)
    return statuses


async def test_fills_have_their_own_id_time_and_fee(desk: TradingDesk) -> None:
    """Of an order that takes, with several fills at several prices, and of one that makes."""
    async with desk.connector(**LARGE):
        asks = (await desk.book()).asks
        several = sum(level.quantity for level in asks[:10])
        takes = await desk.order(quantity=desk.market.quantity + round(several, 4))
        # A book that moved meanwhile may have less: the rest of it is cancelled then.
        assert (await desk.status(takes, "filled", "canceled", "expired")).side == "buy"
        statuses = await assert_told_as_the_venue_has_them(desk, takes)
        trades = [trade for status in statuses for trade in status.trades or ()]
        assert len({trade.price for trade in trades}) > 1
        assert not any(trade.is_maker for trade in trades)

        price = await desk.far_below()
        makes = await desk.order(price=price)
        await desk.status(makes, "open")
        await desk.move_market(price * 0.9)
        filled = await desk.status(makes, "filled")
        assert (filled.side, filled.type, filled.price) == ("buy", "limit", desk.on_tick(price))
        statuses = await assert_told_as_the_venue_has_them(desk, makes)
        assert all(trade.is_maker for status in statuses for trade in status.trades or ())


@pytest.mark.parametrize("desk", MARKETS[1:], ids=["luno"], indirect=True)
async def test_lunos_fills_follow_what_is_filled_when_they_are_shown_later(
    desk: TradingDesk,
) -> None:
    """The status is told at once, with the order's fee; each fill once, when Luno shows it."""
    async with desk.connector():
        await desk.fault("", fills_late_ms=4000)
        late = await desk.order()
        first = await desk.status(late, "filled")
        (order,) = await desk.at_venue(late)
        assert (first.fills_complete, first.trades) == (False, None)
        assert first.filled_quantity == pytest.approx(float(order["filled_quantity"]))
        assert first.fee == pytest.approx({a: float(f) for a, f in order["fees"].items()})
        statuses = await assert_told_as_the_venue_has_them(desk, late)
        assert statuses[-1].fills_complete is None
        assert told_fills(statuses) == pytest.approx(first.filled_quantity)
