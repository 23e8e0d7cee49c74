"""The metrics of a stream writer, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from services._runtime.metrics import counters
from services._runtime.stream_writer.writer import StreamWriter


def writer_metrics(writer: StreamWriter) -> Iterator[Metric]:
    """Entries and bytes written, entries lost, and entries waiting."""
    streams = writer.streams.values()
    yield CounterMetricFamily(
        "stream_entries_written", "Entries that Redis acknowledged.", value=writer.written
    )
    yield CounterMetricFamily(
        "stream_bytes_written", "Bytes sent to Redis to write entries.", value=writer.bytes_sent
    )
    yield counters(
        "stream_entries_dropped",
        "Entries lost because the buffer was full.",
        ["stream"],
        {stream.name: stream.dropped for stream in streams},
    )
    yield counters(
        "stream_entries_conflated",
        "Quotes that a newer one replaced before they were written.",
        ["stream"],
        {stream.name: stream.conflated for stream in streams},
    )
    yield counters(
        "stream_entries_refused",
        "Entries that Redis refused for good (no permission, another type of key).",
        ["stream"],
        {stream.name: stream.refused for stream in streams},
    )
    yield GaugeMetricFamily(
        "writer_waiting_bytes",
        "Bytes of waiting entries in the buffer.",
        value=writer.waiting_bytes,
    )
    yield GaugeMetricFamily(
        "writer_buffer_bytes",
        "Size of the buffer in bytes; beyond it, the oldest entries are dropped.",
        value=writer.buffer_bytes,
    )
    yield GaugeMetricFamily(
        "writer_in_flight_entries",
        "Entries sent and not yet answered.",
        value=sum(len(stream.unacked) for stream in streams),
    )
    yield CounterMetricFamily(
        "redis_connections",
        "Connections of the writer to Redis; reconnects are one less.",
        value=writer.connections,
    )
