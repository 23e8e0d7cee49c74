"""What `make run`'s services tell Prometheus is what the alerts and the documentation speak of."""

import re
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import launched
from tests.support.alerts import alerts
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(180)

PARTS = {"bot", "indicators", "binance_connector", "luno_connector", "exchange_simulator"}
# What Prometheus adds to each target by itself.
ITS_OWN_LABELS = {"job", "instance"}


async def pages(out: str) -> dict[str, str]:
    """The page of each service that the launcher names."""
    urls = {part: url for url, part in re.findall(r"(http://\S+)/ready  (\w+)", out)}
    found = {}
    async with aiohttp.ClientSession() as http:
        for part, url in urls.items():
            async with http.get(f"{url}/metrics") as answer:
                assert answer.status == 200
                found[part] = await answer.text()
    return found


def series(page: str) -> dict[str, set[str]]:
    """The names of a page's series, also of those that have no sample yet, and their labels."""
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", page, flags=re.MULTILINE):
        names = [name, f"{name}_bucket", f"{name}_count"] if kind == "histogram" else [name]
        found.update({each: set() for each in names})
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def documented() -> dict[str, set[str]]:
    """The series that docs/operations.md describes, and the labels it names."""
    text = (ROOT / "docs" / "operations.md").read_text()
    text = text.partition("\n## Metrics and alerts\n")[2].partition("\n### Alerts\n")[0]
    table = "".join(line for line in text.splitlines(keepends=True) if line.startswith("|"))
    found = re.findall(r"`([a-z]+_[a-z_]+)(?:\{([a-z_,]+)\})?`", table)
    return {name: set(filter(None, labels.split(","))) for name, labels in found}


async def test_every_series_that_is_spoken_of_is_on_a_page(tmp_path: Path) -> None:
    """By its name, and with the labels that an alert shows; nothing there is named twice."""
    async with launched(tmp_path) as run:
        await run.until_ready()
        found = await pages(run.out)
    assert found.keys() == PARTS
    known: dict[str, set[str]] = {"up": set()}  # Prometheus's own
    for page in found.values():
        names = re.findall(r"^# TYPE (\w+) ", page, flags=re.MULTILINE)
        assert len(names) == len(set(names))
        for name, labels in series(page).items():
            known.setdefault(name, set()).update(labels)
    assert {"bot_hop_seconds_bucket", "part_ready", "bot_refusals_total"} <= known.keys()
    for name, labels in documented().items():
        if not known.get(name, {""}):  # a series that has a sample only while something is wrong
            known[name] |= labels
    for alert in alerts():
        assert alert.metrics, alert.name
        assert alert.metrics - known.keys() == set(), alert.name
        shown = set(re.findall(r"\$labels\.(\w+)", str(alert.annotations))) - ITS_OWN_LABELS
        assert shown <= set().union(*(known[name] for name in alert.metrics)), alert.name
    assert len(documented()) > 20
    assert documented().keys() - known.keys() == set()
