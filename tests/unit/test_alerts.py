"""The alerts that no other tool checks: each says what to do, and where more of it stands.

`make check-alerts` tries the rules themselves.
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
def test_an_alert_says_what_is_wrong_and_what_to_do_first(alert: Alert) -> None:
    """In its summary and its description, and how urgent it is."""
    assert alert.severity in SEVERITIES
    assert set(alert.annotations) == {"summary", "description", "runbook"}
    assert len(alert.annotations["summary"]) < 120
    assert alert.annotations["description"].endswith((".", "?"))


@every_alert
def test_an_alert_has_its_section_in_the_documentation(alert: Alert) -> None:
    """Its link leads there, and the section calls it as urgent as the rule does."""
    section = sections()[alert.name].strip()
    assert section.startswith(f"{alert.severity.capitalize()}. ")
    assert alert.annotations["runbook"] == f"docs/operations.md#{alert.name.lower()}"


def test_the_documentation_has_no_alert_that_is_none() -> None:
    """What was renamed or dropped is gone there too."""
    assert len({alert.name for alert in ALERTS}) == len(ALERTS) > 15
    assert set(sections()) == {alert.name for alert in ALERTS}


@every_alert
def test_an_alert_is_tried(alert: Alert) -> None:
    """It fires in a test of its name, and has what it looks at in the healthy hour."""
    _, healthy, *others = re.split(
        r"^  - name: ", (MONITORING / "alerts_test.yml").read_text(), flags=re.MULTILINE
    )
    (own,) = [each for each in others if re.match(rf"{alert.name}\b", each)]
    assert f'ALERTS{{alertname="{alert.name}", alertstate="firing"' in own
    assert {name for name in alert.metrics if f"{name}{{" not in healthy} == set()


def test_prometheus_reads_the_services_where_compose_publishes_them() -> None:
    """Each under its own name, by which the alerts call it."""
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


def test_the_names_of_series_are_told_from_the_rest_of_an_expression() -> None:
    """Labels, functions, durations and words are none."""
    expression = 'sum by (job, instance) (increase(a_total{b="c or d"}[15m]) > 0 or max(e) / f) > 1'
    assert metric_names(expression) == {"a_total", "e", "f"}
    assert metric_names("a unless a offset 15m and on (b) c") == {"a", "c"}
