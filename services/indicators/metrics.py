"""Prometheus metrics of the indicator host: what it read, and the values it published."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from services._runtime.metrics import counters, gauges
from services.indicators.host import Host


def host_metrics(host: Host) -> Iterator[Metric]:
    """All metrics, with current values. An indicator is named by the stream of its first output."""
    yield from _reading(host)
    yield counters("indicator_values", "Values published.", ["indicator"], host.values)
    running = {each.spec.streams[0]: each for each in host.running}
    yield gauges(
        "indicator_warm",
        "1 if an indicator has enough candles for a value.",
        ["indicator"],
        {name: float(each.warm) for name, each in running.items()},
    )
    yield gauges(
        "indicator_stopped",
        "1 if an indicator has failed and no longer gets candles.",
        ["indicator"],
        {name: float(each.stopped is not None) for name, each in running.items()},
    )
    yield counters(
        "candles_late_trades",
        "Trades that arrived after their candle was closed, since the saved state began.",
        ["stream", "timeframe"],
        {
            (market.stream, name): line.builder.late
            for market in host.markets.values()
            for name, line in market.lines.items()
            if line.builder
        },
    )


def _reading(host: Host) -> Iterator[Metric]:
    markets = host.markets
    yield counters(
        "stream_entries_read",
        "Entries handled, with their results saved.",
        ["stream"],
        {stream: market.read for stream, market in markets.items()},
    )
    yield counters(
        "stream_entries_lost",
        "Entries that were trimmed before they were read, as far as they can be counted.",
        ["stream"],
        {stream: market.lost for stream, market in markets.items()},
    )
    yield counters(
        "stream_entries_malformed",
        "Entries that could not be read.",
        ["stream"],
        {stream: market.malformed for stream, market in markets.items()},
    )
    yield gauges(
        "stream_lag_seconds",
        "How much older the last entry read is than the newest entry.",
        ["stream"],
        {stream: market.lag for stream, market in markets.items()},
    )
    yield counters(
        "indicator_holes",
        "How often entries or trades were missing and the market's indicators started again.",
        ["stream"],
        {stream: market.holes for stream, market in markets.items()},
    )
    yield CounterMetricFamily(
        "redis_connections",
        "How often the stream reader connected to Redis.",
        value=host.connections,
    )
