"""What fails of Redis while a connector starts is made good, and said to be."""

from tests.support.network.fault_proxy import fault_proxy
from tests.support.orders.trading import TradingDesk


async def test_a_connection_that_breaks_as_trading_begins_leaves_the_connector_ready(
    desk: TradingDesk,
) -> None:
    """Its writer stays connected, so nothing else would say that Redis is back."""
    assert desk.server is not None
    async with fault_proxy(desk.server.port) as proxy:
        proxy.cut_requests_with = b"control:trading"
        async with desk.connector(REDIS_URL=proxy.url):
            assert proxy.cuts == 1
            answer = await desk.response(await desk.order(price=await desk.far_below()))
            assert answer.status == "accepted"
