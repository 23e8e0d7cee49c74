"""What a connector tells of its venue, of trading and of its Redis."""

import asyncio
from typing import Any, cast

from services._connector_kit.metrics import redis_metrics, trading_metrics, venue_metrics
from services._connector_kit.orders.ports import Rejection
from services._connector_kit.orders.risk.redis_check import RedisCheck
from services._connector_kit.status_publisher import StatusPublisher
from services._connector_kit.venue_stats import VenueStats
from services._runtime.health import Readiness
from tests.support.market_data.fake_streams import KeptStream
from tests.support.metrics import numbers
from tests.support.venues.limits import venue_limits
from tests.support.virtual_time import run_virtually


def test_sockets_and_requests_have_their_labels_and_the_budget_shows_what_is_left() -> None:
    """Full it shows its limit; while the venue wants silence, nothing."""

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        stats = VenueStats(venue_limits(100, 10, clock=clock))
        stats.market.messages, stats.market.bytes = 3, 300
        stats.account.connections, stats.account.bad_frames = 2, 1
        stats.requests["ok"] = 7
        await stats.limits.requests.spend(10)
        found = numbers(venue_metrics(stats))
        assert found["venue_messages_total", "market"] == 3
        assert found["venue_bytes_total", "market"] == 300
        assert found["venue_connections_total", "account"] == 2
        assert found["venue_bad_frames_total", "account"] == 1
        assert found["venue_messages_total", "account"] == 0
        assert found["venue_requests_total", "ok"] == 7
        assert found["venue_requests_total", "transient"] == 0
        assert found["rate_budget_left", "requests"] == 40
        assert found["rate_budget_limit", "requests"] == 50
        assert found["rate_budget_left", "connections"] == 5
        assert found["venue_ban_seconds",] == found["new_orders_wait_seconds",] == 0
        stats.limits.ban(60.0)
        stats.limits.orders.close(10.0)
        banned = numbers(venue_metrics(stats))
        assert banned["rate_budget_left", "requests"] == 0
        assert banned["rate_budget_left", "connections"] == 0
        assert banned["venue_ban_seconds",] == 60
        assert banned["new_orders_wait_seconds",] == 10
        await asyncio.sleep(61.0)
        assert numbers(venue_metrics(stats))["rate_budget_left", "requests"] == 50

    run_virtually(main())


async def test_trading_is_enabled_or_refused_for_one_reason() -> None:
    """The reason is gone once it doesn't hold."""
    stream = cast(Any, KeptStream(10, keep_all=False))
    board = StatusPublisher("binance", lambda: "simulator", stream, lambda: 0, Readiness())
    assert numbers(trading_metrics(board)) == {
        ("trading_enabled",): 0,
        ("trading_refused", "starting"): 1,
    }
    board.trading(None)
    assert numbers(trading_metrics(board)) == {("trading_enabled",): 1}


def test_redis_shows_how_full_it_is_and_whether_it_is_fit() -> None:
    """Not fit before it was looked at."""
    check = RedisCheck(cast(Any, None))
    assert numbers(redis_metrics(check))["redis_fit",] == 0
    check.fault, check.memory_used, check.memory_max = None, 10, 100
    assert numbers(redis_metrics(check)) == {
        ("redis_fit",): 1,
        ("redis_memory_used_bytes",): 10,
        ("redis_memory_max_bytes",): 100,
    }
    check.fault = Rejection("redis_unfit", "it evicts")
    assert numbers(redis_metrics(check))["redis_fit",] == 0
