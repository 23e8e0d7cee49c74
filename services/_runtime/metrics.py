"""What a service counts, for Prometheus: `/metrics`.

Who counts does it in a plain attribute, so that a message costs an addition and no more; the
attributes are read when Prometheus asks.
"""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from services import __version__

Read = Callable[[], Iterable[Metric]]
# The value of a single label, or the values of several.
Labels = TypeVar("Labels", bound=str | tuple[str, ...])


class Metrics:
    """One service's metrics: of the process, of the build, and what its parts count."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Info("build", "What runs here.", registry=self.registry)
        build.info(
            {"service": service, "version": __version__, "python": platform.python_version()}
        )

    def watch(self, read: Read) -> None:
        """Ask *read* for its metrics whenever the page is asked for."""
        self.registry.register(_Reading(read))

    def page(self, accept: str) -> tuple[bytes, str]:
        """All metrics now, in the format that the header *accept* wants; and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Reading:
    """A collector, as the registry wants them."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


def counters(name: str, says: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    """A counter for each of *values*; Prometheus shows it as *name* with `_total` behind it."""
    family = CounterMetricFamily(name, says, labels=labels)
    for key, value in values.items():
        family.add_metric(_words(key), value)
    return family


def gauges(name: str, says: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    """A gauge for each of *values*."""
    family = GaugeMetricFamily(name, says, labels=labels)
    for key, value in values.items():
        family.add_metric(_words(key), value)
    return family


def _words(labels: str | tuple[str, ...]) -> Sequence[str]:
    return [labels] if isinstance(labels, str) else labels
