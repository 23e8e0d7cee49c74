"""What is held, by a connector at work: whoever sent the orders."""

from decimal import Decimal
from uuid import uuid4

import pytest

from tests.integration.tradectl.hand import tradectl
from tests.support.orders.trading import TradingDesk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


def exact(number: float) -> Decimal:
    """As it is written."""
    return Decimal(str(number))


async def test_a_position_is_what_was_filled_at_the_fills_price_and_the_markets(
    desk: TradingDesk,
) -> None:
    """Bought by hand and by a bot of one's own, some of it sold; fees are off the quantity."""
    venue, symbol = desk.market.venue.exchange, desk.market.symbol
    base, _, quote = symbol.partition("/")
    nothing = await tradectl(desk.redis_url, "positions")
    assert (nothing.code, nothing.out.strip()) == (0, "no positions")
    by_hand = await tradectl(
        desk.redis_url, "place", venue, "buy", symbol, "0.003", "--id", uuid4().hex, "--wait"
    )
    assert by_hand.code == 0, by_hand
    bought = await desk.order(quantity=0.002)
    sold = await desk.order(quantity=0.001, side="sell")
    for each in (bought, sold):
        await desk.status(each, "filled")
    told = await tradectl(desk.redis_url, "positions", "--json")
    assert told.code == 0, told
    (row,) = told.json
    assert (row["exchange"], row["symbol"], row["currency"]) == (venue, symbol, quote)
    statuses = [each for each in await desk.events("order_status") if each.status == "filled"]
    fees = {asset: Decimal(0) for asset in (base, quote)}
    for each in statuses:
        for asset, paid in (each.fee or {}).items():
            fees[asset] += exact(paid)
    assert exact(row["quantity"]) == Decimal("0.004") - fees[base]
    first, second, last = (exact(each.average_price) for each in statuses)
    paid = [exact((each.fee or {}).get(base, 0)) for each in statuses]
    held = Decimal("0.003") - paid[0]
    average = (held * first + Decimal("0.002") * second) / (held + Decimal("0.002"))
    assert abs(exact(row["average_price"]) - average) < Decimal("1e-6")
    quantity, price = exact(row["quantity"]), exact(row["price"])
    assert abs(exact(row["value"]) - quantity * price) < Decimal("1e-9")
    assert abs(exact(row["unrealised"]) - quantity * (price - average)) < Decimal("1e-6")
    cash = -Decimal("0.003") * first - Decimal("0.002") * second + Decimal("0.001") * last
    realised = cash - fees[quote] + quantity * average
    assert abs(exact(row["realised"]) - realised) < Decimal("1e-6")
    assert abs(exact(row["profit"]) - exact(row["realised"]) - exact(row["unrealised"])) < 1e-9
    assert row["profit_today"] == row["profit"]
    shown = await tradectl(desk.redis_url, "positions", COLUMNS="80")
    assert f"{venue} {symbol}" in shown.out
    assert str(quantity) in shown.out
    pnl = (await tradectl(desk.redis_url, "pnl", "--json")).json
    (market,) = pnl["connectors"]["markets"]
    assert market["realised"] == row["realised"]
    worth = sum(
        (p * exact(each.average_price) for p, each in zip(paid, statuses, strict=True)), fees[quote]
    )
    assert abs(exact(market["fees"]) - worth) < Decimal("1e-6")
    assert list(pnl["connectors"]["profit_today"]) == [venue]
