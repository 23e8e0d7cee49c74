"""`make audit` as it is typed, with the real pip-audit, on answers that are known."""

import os
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

from tests.audit.__main__ import PIP_AUDIT
from tests.audit.judge import CANARY
from tests.audit.vulnerability_service import Answer, vulnerability_service, vulnerable, way_out
from tests.support.ports import quiet_port
from tests.support.processes import ROOT

ENDS_WITHIN = 50.0
LOCK = """\
aiohttp==3.14.5 \\
    --hash=sha256:00
    # via exchange-connector-suite (pyproject.toml)
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
redis[hiredis]==8.1.0 \\
    --hash=sha256:00
"""
HONEST = {CANARY.name: vulnerable("PYSEC-2019-217", "CVE-2019-10906", fixed_in="2.10.1")}


def audit(folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """How an audit of `LOCK` ends, and what it says."""
    lock = folder / "requirements.lock"
    lock.write_text(LOCK)
    return run(environment, sys.executable, "-m", "tests.audit", str(lock))


def run(environment: dict[str, str], *command: str) -> tuple[int, str]:
    """How *command* ends, and what it prints."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=ENDS_WITHIN,
    )
    return done.returncode, done.stdout


def test_nothing_is_known_against_any_package(tmp_path: Path) -> None:
    """It passes, and says how many were looked at: the one for another platform too."""
    with vulnerability_service(tmp_path, HONEST) as environment:
        code, said = audit(tmp_path, environment)
    assert (code, said.split(": ", 1)[1]) == (
        0,
        "all 3 packages were looked at; nothing is known against them\n",
    )


def test_a_vulnerable_package_fails_it(tmp_path: Path) -> None:
    """By name, with all its ids and the version that is right; for another platform too."""
    known = {
        **HONEST,
        "aiohttp": vulnerable("PYSEC-2026-1", "CVE-2026-2", fixed_in="3.14.6"),
        "colorama": vulnerable("PYSEC-2026-3", fixed_in="0.4.7"),
    }
    with vulnerability_service(tmp_path, known) as environment:
        code, said = audit(tmp_path, environment)
    assert code == 1
    assert "aiohttp 3.14.5: PYSEC-2026-1 = CVE-2026-2, fixed in 3.14.6: It can be" in said
    assert "colorama 0.4.6: PYSEC-2026-3, fixed in 0.4.7" in said
    assert "redis" not in said


def test_a_skipped_package_fails_it_though_pip_audit_passes(tmp_path: Path) -> None:
    """What the service doesn't know, pip-audit skips, and ends well all the same."""
    known: dict[str, Answer] = {**HONEST, "redis": HTTPStatus.NOT_FOUND}
    (tmp_path / "plain.txt").write_text("redis==8.1.0\n")
    with vulnerability_service(tmp_path, known) as environment:
        plain = run(
            environment,
            *(str(PIP_AUDIT), "--no-deps", "--disable-pip", "--cache-dir", str(tmp_path / "cache")),
            *("--requirement", str(tmp_path / "plain.txt")),
        )
        code, said = audit(tmp_path, environment)
    assert plain[0] == 0
    assert "No known vulnerabilities found" in plain[1]
    assert code == 1
    assert "redis 8.1.0: it was skipped: Dependency not found" in said
    assert "aiohttp" not in said


def test_a_service_that_knows_of_no_vulnerability_at_all_fails_it(tmp_path: Path) -> None:
    """As an index does that only looks like the service."""
    with vulnerability_service(tmp_path, {}) as environment:
        code, said = audit(tmp_path, environment)
    assert code == 1
    assert f"{CANARY} is known to be vulnerable, and the service doesn't say so" in said


def test_a_service_in_trouble_fails_it(tmp_path: Path) -> None:
    """One answer that isn't any is enough."""
    known: dict[str, Answer] = {**HONEST, "redis": HTTPStatus.SERVICE_UNAVAILABLE}
    with vulnerability_service(tmp_path, known) as environment:
        code, said = audit(tmp_path, environment)
    assert code == 1
    assert "has failed: pip-audit ended with 1 and no report" in said


def test_a_service_that_cannot_be_reached_fails_it(tmp_path: Path) -> None:
    """Nobody listens there."""
    code, said = audit(tmp_path, way_out(quiet_port(), tmp_path / "none.pem"))
    assert code == 1
    assert "has failed: pip-audit ended with 1 and no report" in said
