"""`python -m tests.audit` with a stub of pip-audit; each `make audit` runs the real one.

The real pip-audit is checked in every audit: it must find the canary's known vulnerability.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.audit import __main__ as audit
from tests.audit.judge import CANARY

LOCK = """\
aiohttp==3.14.5 \\
    --hash=sha256:00
    # via exchange-connector-suite (pyproject.toml)
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
redis[hiredis]==8.1.0 \\
    --hash=sha256:00
"""
HONEST: dict[str, Any] = {
    CANARY.name: {"vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": []}]}
}
# Writes a report of the packages that it was asked about, as pip-audit does; *KNOWN* by name.
STUB = """\
#!{python}
import json, sys
known = json.loads({known!r})
arguments = dict(zip(sys.argv[1:], sys.argv[2:]))
rows = []
for line in open(arguments["--requirement"]):
    name, _, version = line.strip().partition("==")
    row = {{"name": name, "version": version, "vulns": []}} | known.get(name, {{}})
    if "skip_reason" in row:
        del row["version"], row["vulns"]
    rows.append(row)
{end}
json.dump({{"dependencies": rows, "fixes": []}}, open(arguments["--output"], "w"))
"""


class Audit:
    """An audit of `LOCK` by a stub."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]
    ) -> None:
        self._folder, self._patch, self._output = folder, patch, output

    def run(self, known: dict[str, Any], end: str = "") -> tuple[int, str]:
        """The exit code and the output; *known* is reported by package, *end* runs before."""
        stub, lock = self._folder / "pip-audit", self._folder / "requirements.lock"
        stub.write_text(STUB.format(python=sys.executable, known=json.dumps(known), end=end))
        stub.chmod(0o755)
        lock.write_text(LOCK)
        self._patch.setattr(audit, "PIP_AUDIT", stub)
        self._patch.setattr(sys, "argv", ["audit", str(lock)])
        return audit.main(), self._output.readouterr().out


@pytest.fixture(name="trial")
def audit_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Audit:
    """An audit in a folder of its own."""
    return Audit(tmp_path, monkeypatch, capsys)


def test_an_audit_without_known_vulnerabilities_passes(trial: Audit) -> None:
    """The output has the number of packages, including the one for another platform."""
    code, output = trial.run(HONEST)
    assert code == 0
    assert output.endswith("all 3 packages were looked at; nothing is known against them\n")


def test_a_vulnerable_package_fails_the_audit(trial: Audit) -> None:
    """With its ids and the fixed version; also a package for another platform."""
    vulnerable = {"vulns": [{"id": "PYSEC-2026-3", "fix_versions": ["0.4.7"], "aliases": []}]}
    code, output = trial.run(HONEST | {"colorama": vulnerable})
    assert code == 1
    assert "colorama 0.4.6: PYSEC-2026-3, fixed in 0.4.7" in output
    assert "redis" not in output


def test_a_skipped_package_fails_the_audit(trial: Audit) -> None:
    """Pip-audit itself passes."""
    code, output = trial.run(HONEST | {"redis": {"skip_reason": "Dependency not found"}})
    assert code == 1
    assert "redis 8.1.0: it was skipped: Dependency not found" in output


def test_a_service_without_the_canarys_vulnerability_fails_the_audit(trial: Audit) -> None:
    """A package index that only imitates the vulnerability service knows none."""
    code, output = trial.run({})
    assert code == 1
    assert f"{CANARY} is known to be vulnerable" in output


def test_pip_audit_without_a_report_fails_the_audit(trial: Audit) -> None:
    """As after a failed request to the service; the output has the last error."""
    code, output = trial.run(HONEST, 'sys.exit("the service is unavailable")')
    assert code == 1
    assert "pip-audit ended with 1 and no report: the service is unavailable" in output


def test_a_missing_pip_audit_fails_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output says how to install it."""
    (tmp_path / "lock").write_text(LOCK)
    monkeypatch.setattr(audit, "PIP_AUDIT", tmp_path / "absent")
    monkeypatch.setattr(sys, "argv", ["audit", str(tmp_path / "lock")])
    assert audit.main() == 1
    assert "absent is missing; `make audit` installs it" in capsys.readouterr().out
