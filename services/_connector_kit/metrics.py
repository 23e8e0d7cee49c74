"""Prometheus metrics of a connector's venue, its Redis and its trading state."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from services._connector_kit.orders.risk.redis_check import RedisCheck
from services._connector_kit.status_publisher import StatusPublisher
from services._connector_kit.venue_stats import VenueStats
from services._runtime.metrics import counters, gauges


def venue_metrics(stats: VenueStats) -> Iterator[Metric]:
    """What came in over sockets, what became of requests, and what the limits leave."""
    budgets = {"requests": stats.limits.requests, "connections": stats.limits.connections}
    sockets = {"market": stats.market, "account": stats.account}
    yield counters(
        "venue_messages",
        "Messages that came in over sockets.",
        ["socket"],
        {kind: socket.messages for kind, socket in sockets.items()},
    )
    yield counters(
        "venue_bytes",
        "Their bytes.",
        ["socket"],
        {kind: socket.bytes for kind, socket in sockets.items()},
    )
    yield counters(
        "venue_connections",
        "Sockets that were opened; all but the first of each are reconnects.",
        ["socket"],
        {kind: socket.connections for kind, socket in sockets.items()},
    )
    yield counters(
        "venue_bad_frames",
        "Messages that couldn't be read, or are about nothing of ours.",
        ["socket"],
        {kind: socket.bad_frames for kind, socket in sockets.items()},
    )
    yield counters(
        "venue_requests",
        "Requests over HTTP, by what became of them.",
        ["outcome"],
        stats.requests,
    )
    yield gauges(
        "rate_budget_left",
        "Request weight, or connections, that could be spent at once; 0 during a ban.",
        ["budget"],
        {name: budget.left for name, budget in budgets.items()},
    )
    yield gauges(
        "rate_budget_limit",
        "The most that is ever left.",
        ["budget"],
        {name: budget.full for name, budget in budgets.items()},
    )
    yield GaugeMetricFamily(
        "venue_ban_seconds",
        "How long the venue's ban of this address still lasts; 0 without one.",
        value=stats.limits.requests.paused_for,
    )
    yield GaugeMetricFamily(
        "new_orders_wait_seconds",
        "How long new orders still wait, because the account's limit of them is reached.",
        value=stats.limits.orders.closed_for,
    )


def trading_metrics(publisher: StatusPublisher) -> Iterator[Metric]:
    """Whether new orders are taken, as `connector_status` says."""
    refused = publisher.reason_code
    yield GaugeMetricFamily(
        "trading_enabled", "1 while new orders are taken.", value=float(refused is None)
    )
    yield gauges(
        "trading_refused",
        "1 for the reason_code that new orders are refused with; absent while they are taken.",
        ["reason_code"],
        {} if refused is None else {refused: 1.0},
    )


def redis_metrics(check: RedisCheck) -> Iterator[Metric]:
    """How full Redis was when it was looked at last, and whether it is fit for orders."""
    yield GaugeMetricFamily(
        "redis_fit",
        "1 while Redis neither evicts nor loses data, so that orders may be sent.",
        value=float(check.fault is None),
    )
    yield GaugeMetricFamily(
        "redis_memory_used_bytes",
        "Redis's used_memory, looked at every 15 s.",
        value=check.memory_used,
    )
    yield GaugeMetricFamily(
        "redis_memory_max_bytes",
        "Redis's maxmemory; 0 where it has no bound.",
        value=check.memory_max,
    )
