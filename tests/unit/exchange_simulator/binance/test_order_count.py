"""The unfilled order count: it includes cancelled orders, but not orders that traded."""

import pytest

from services.exchange_simulator.binance.errors import BinanceError
from tests.unit.exchange_simulator.floors import BinanceFloor


def test_orders_count_until_they_trade() -> None:
    """In both intervals, which reset when they end."""
    floor = BinanceFloor()
    count = floor.trading.count
    floor.others("BTC/USDT", "sell", "60000.00", "0.2")
    floor.others("BTC/USDT", "buy", "60000.00", "0.1")
    floor.buy("58000.00", "0.1", "rests")
    floor.buy("58000.00", "0.1", "is-cancelled")
    floor.account.cancel(floor.order("is-cancelled"))
    floor.buy("60000.00", "0.1", "trades")
    assert count.headers() == {"X-MBX-ORDER-COUNT-10S": "2", "X-MBX-ORDER-COUNT-1D": "2"}
    floor.clock.now += 10_000
    assert [limit["count"] for limit in count.limits()] == [0, 2]
    floor.others("BTC/USDT", "sell", "58000.00", "0.05")
    floor.others("BTC/USDT", "sell", "58000.00", "0.05")
    assert [limit["count"] for limit in count.limits()] == [0, 1]


def test_an_order_above_the_limit_is_refused_until_the_interval_ends() -> None:
    """-1015 names the limit and the interval."""
    floor = BinanceFloor()
    floor.others("BTC/USDT", "sell", "60000.00", "0.2")
    floor.others("BTC/USDT", "buy", "60000.00", "0.1")
    for number in range(100):
        floor.trading.count.check()
        floor.buy("58000.00", "0.001", f"rests-{number}")
    with pytest.raises(BinanceError, match="current limit is 100 orders per 10 SECOND") as refused:
        floor.trading.count.check()
    assert (refused.value.status, refused.value.code) == (429, -1015)
    assert refused.value.retry_after is None  # a limit of the account, not a ban of the address
    floor.clock.now += 10_000
    floor.trading.count.check()
