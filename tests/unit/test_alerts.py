"""Properties of alerts that promtool does not check: texts, links, sections.

`make check-alerts` tests the rules.
"""

import re

import pytest

from services._runtime.exchanges import EXCHANGES
from tests.support.alerts import MONITORING, Alert, alerts, metric_names
from tests.support.processes import ROOT

ALERTS = alerts()
SEVERITIES = ("critical", "warning")

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def sections() -> dict[str, str]:
    """The text of each alert's section in docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text().partition("\n### Alerts\n")[2]
    text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    parts = re.split(r"^#### (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@every_alert
def test_an_alert_names_the_fault_and_the_first_step(alert: Alert) -> None:
    """In its summary and its description; it has a severity."""
    assert alert.severity in SEVERITIES
    assert set(alert.annotations) == {"summary", "description", "runbook"}
    assert len(alert.annotations["summary"]) < 120
    assert alert.annotations["description"].endswith((".", "?"))


@every_alert
def test_an_alert_has_its_section_in_the_documentation(alert: Alert) -> None:
    """Its link leads there, and the section has the severity of the rule."""
    section = sections()[alert.name].strip()
    assert section.startswith(f"{alert.severity.capitalize()}. ")
    assert alert.annotations["runbook"] == f"docs/operations.md#{alert.name.lower()}"


def test_the_documentation_names_existing_alerts_only() -> None:
    """A renamed or removed alert is removed there too."""
    assert len({alert.name for alert in ALERTS}) == len(ALERTS) > 15
    assert set(sections()) == {alert.name for alert in ALERTS}


@every_alert
def test_every_alert_is_tested(alert: Alert) -> None:
    """It fires in a test with its name, and the healthy hour contains its series."""
    _, healthy, *others = re.split(
        r"^  - name: ", (MONITORING / "alerts_test.yml").read_text(), flags=re.MULTILINE
    )
    (own,) = [each for each in others if re.match(rf"{alert.name}\b", each)]
    assert f'ALERTS{{alertname="{alert.name}", alertstate="firing"' in own
    assert {name for name in alert.metrics if f"{name}{{" not in healthy} == set()


def test_prometheus_reads_the_ports_that_compose_publishes() -> None:
    """Each service under the name that the alerts use."""
    compose = (ROOT / "docker-compose.yml").read_text()
    published = re.findall(
        r"^ {2}(\w+):\n(?: {4}.*\n)*? {4}ports: .*:-(\d+)}:80", compose, re.MULTILINE
    )
    assert len(published) == 2 + len(EXCHANGES)  # and the bot and the indicators
    config = (MONITORING / "prometheus.yml").read_text()
    read = re.findall(r'job_name: (\w+)\n.*targets: \["127.0.0.1:(\d+)"\]', config)
    assert sorted(read) == sorted(published)
    (down,) = [alert for alert in ALERTS if alert.name == "ServiceDown"]
    assert f'"{"|".join(job for job, _ in read)}"' in down.expression


def test_the_names_of_series_are_found_in_an_expression() -> None:
    """Labels, functions, durations and keywords are not names of series."""
    expression = 'sum by (job, instance) (increase(a_total{b="c or d"}[15m]) > 0 or max(e) / f) > 1'
    assert metric_names(expression) == {"a_total", "e", "f"}
    assert metric_names("a unless a offset 15m and on (b) c") == {"a", "c"}
