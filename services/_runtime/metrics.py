"""The metrics of a service, for Prometheus: `/metrics`.

Code counts in plain attributes, so that a message costs only an addition; the attributes are read
when Prometheus requests the page.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from services import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

Collect = Callable[[], Iterable[Metric]]
# The value of one label, or the values of several.
Labels = TypeVar("Labels", bound=str | tuple[str, ...])


class Metrics:
    """The metrics of one service: of the process, of the build, and of its parts."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Info("build", "The running build.", registry=self.registry)
        build.info(
            {"service": service, "version": __version__, "python": platform.python_version()}
        )

    def watch(self, read: Collect) -> None:
        """Call *read* for its metrics at each request of the page."""
        self.registry.register(_Collector(read))

    async def page(self) -> bytes:
        """All metrics now, in Prometheus's text format.

        A hundred symbols make thousands of lines, which take tens of milliseconds, so other tasks
        run between two families.
        """
        parts = []
        for family in self.registry.collect():
            parts.append(_text(family))
            await asyncio.sleep(0)
        return b"".join(parts)


class _Collector:
    """A collector for the registry."""

    def __init__(self, read: Collect) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


def _text(family: Metric) -> bytes:
    return generate_latest(_Collector(lambda: [family]))


def counters(
    name: str, documentation: str, labels: Sequence[str], values: Mapping[Labels, float]
) -> Metric:
    """A counter for each of *values*; Prometheus shows it as *name* with `_total` behind it."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(_label_values(key), value)
    return family


def gauges(
    name: str, documentation: str, labels: Sequence[str], values: Mapping[Labels, float]
) -> Metric:
    """A gauge for each of *values*."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(_label_values(key), value)
    return family


def _label_values(labels: str | tuple[str, ...]) -> Sequence[str]:
    return [labels] if isinstance(labels, str) else labels
