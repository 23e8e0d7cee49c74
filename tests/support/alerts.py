"""The alert rules and their tests, as far as tests of ours look at them.

There is no YAML reader here; the files are ours, and keep to one shape.
"""

import re
from dataclasses import dataclass

from tests.support.processes import ROOT

MONITORING = ROOT / "monitoring"
# What isn't a metric's name in an expression: functions (before a bracket) and these words.
_WORDS = frozenset({"and", "or", "unless", "by", "without", "on", "ignoring", "offset", "bool"})


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule; what it says is raw, with its templates."""

    name: str
    expression: str
    severity: str
    annotations: dict[str, str]

    @property
    def metrics(self) -> set[str]:
        """The names of the series it is made of."""
        return metric_names(self.expression)


def alerts() -> list[Alert]:
    """All rules of monitoring/alerts.yml."""
    _, *blocks = re.split(
        r"^ +- alert: ", (MONITORING / "alerts.yml").read_text(), flags=re.MULTILINE
    )
    return [_alert(block) for block in blocks]


def _alert(block: str) -> Alert:
    expression = re.search(
        r"^ +expr: (?:>-\n)?(.+?)\n +(?:for|labels):", block, flags=re.MULTILINE | re.DOTALL
    )
    severity = re.search(r"severity: (\w+)", block)
    assert expression is not None, block
    return Alert(
        block.partition("\n")[0],
        expression[1],
        severity[1] if severity else "",
        dict(re.findall(r"^ {10}(\w+): \"?(.+?)\"?$", block, flags=re.MULTILINE)),
    )


def metric_names(expression: str) -> set[str]:
    """The names of the series in a PromQL expression."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring) *\([^)]*\)", " ", bare)
    names = re.findall(r"\b([a-z_][a-z0-9_]*)\b(?! *\()", bare)
    return set(names) - _WORDS
