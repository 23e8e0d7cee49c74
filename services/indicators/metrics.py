"""What Prometheus is told of the indicator host: what it read, and what came of it."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from services._runtime.metrics import counters, gauges
from services.indicators.host import Host


def host_metrics(host: Host) -> Iterator[Metric]:
    """All of it, now. An indicator is named by the stream of its first value."""
    yield from _reading(host)
    yield counters("indicator_values", "Values published.", ["indicator"], host.values)
    running = {each.wanted.streams[0]: each for each in host.running}
    yield gauges(
        "indicator_warm",
        "1 where an indicator has seen enough to say something.",
        ["indicator"],
        {name: float(each.warm) for name, each in running.items()},
    )
    yield gauges(
        "indicator_stopped",
        "1 where an indicator has failed, and is told nothing more.",
        ["indicator"],
        {name: float(each.stopped is not None) for name, each in running.items()},
    )
    yield counters(
        "candles_late_trades",
        "Trades that came after their candle was closed, counted from the beginning of all.",
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
        "Entries handled, and what came of them saved.",
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
        "How long before the newest entry the last one that was read was written.",
        ["stream"],
        {stream: market.lag for stream, market in markets.items()},
    )
    yield counters(
        "indicator_holes",
        "How often entries or trades were missing, and the market's indicators began anew.",
        ["stream"],
        {stream: market.holes for stream, market in markets.items()},
    )
    yield CounterMetricFamily(
        "redis_connections",
        "How often the reader of the streams was connected to Redis.",
        value=host.connections,
    )
