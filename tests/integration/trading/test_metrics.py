"""What a real connector tells Prometheus of its orders, its sockets and its Redis."""

from uuid import uuid4

from services._connector_kit.orders.order_metrics import HOPS
from tests.support.metrics import Numbers, shows
from tests.support.orders.trading import TradingDesk


async def counted(desk: TradingDesk, *sample: str) -> Numbers:
    """The connector's page, once that sample counts something."""
    return await shows(desk.health_port, *sample, is_=lambda n: n >= 1)


async def test_an_order_counts_with_its_outcome_and_each_of_its_hops(desk: TradingDesk) -> None:
    """Also one that is refused, a cancel, and a command that nobody can read."""
    async with desk.connector():
        resting = await desk.order(price=await desk.far_below())
        await desk.status(resting, "open")
        found = await counted(desk, "order_commands_total", "place_order", "accepted")
        for hop in HOPS:
            assert found["order_hop_seconds_count", hop] == 1
            assert 0 <= found["order_hop_seconds_sum", hop] < 20
        assert found["orders_open", desk.market.symbol] == 1
        assert found["trading_enabled",] == 1
        await desk.order(client_order_id=resting, price=await desk.far_below(), quantity=1.0)
        found = await counted(desk, "order_commands_total", "place_order", "rejected")
        assert found["order_refusals_total", "duplicate_id"] == 1
        await desk.request("cancel_order", symbol=desk.market.symbol, client_order_id=resting)
        found = await counted(desk, "order_commands_total", "cancel_order", "done")
        await desk.send("place_order", b"no command")
        found = await counted(desk, "dead_letters_total", "place_order")
        assert found["order_commands_total", "place_order", "accepted"] == 1
        assert found["orders_unknown",] == found["order_unknown_oldest_seconds",] == 0
        assert found["venue_requests_total", "ok"] > 3
        assert 0 < found["rate_budget_left", "requests"] <= found["rate_budget_limit", "requests"]


async def test_a_fill_is_timed_from_the_venue_to_redis(desk: TradingDesk) -> None:
    """From the venue's own time for it."""
    async with desk.connector():
        await desk.status(await desk.order(), "filled")
        found = await counted(desk, "fill_seconds_count")
        assert found["fill_seconds_sum",] < 20
        await shows(desk.health_port, "orders_open", desk.market.symbol, is_=lambda n: n == 0)


async def test_an_order_with_unknown_outcome_is_counted_until_it_is_resolved(
    desk: TradingDesk,
) -> None:
    """The request breaks off, and the venue never had it: that takes a while to be sure of."""
    async with desk.connector():
        price, lost = await desk.far_below(), uuid4().hex
        await desk.fault(lost, execute="never", answer="close")
        await desk.order(client_order_id=lost, price=price)
        found = await counted(desk, "orders_unknown")
        assert found["order_commands_total", "place_order", "unknown"] == 1
        assert found["venue_requests_total", "transient"] >= 1
        found = await counted(desk, "order_refusals_total", "not_found")
        assert found["orders_unknown",] == found["order_unknown_oldest_seconds",] == 0
