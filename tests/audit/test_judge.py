"""The judgement of pip-audit's reports: a package passes only if it was checked."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audit.accepted import Accepted
from tests.audit.judge import CANARY, Pin, Report, faults, pins
from tests.support.processes import ROOT

TODAY = date(2026, 11, 22)
REDIS, IDNA = Pin("redis", "8.1.0"), Pin("idna", "3.6")
# As pip-audit 2.10 writes them.
CLEAN = {"name": "redis", "version": "8.1.0", "vulns": []}
SKIPPED = {
    "name": "redis",
    "skip_reason": "Dependency not found on PyPI and could not be audited: redis (8.1.0)",
}
VULNERABLE = {
    "name": "idna",
    "version": "3.6",
    "vulns": [
        {
            "id": "PYSEC-2024-60",
            "fix_versions": ["3.7"],
            "aliases": ["CVE-2024-3651", "GHSA-jjg7-2v4v-x38h"],
            "description": "A specially crafted argument consumes significant resources.",
        }
    ],
}
KNOWN = {
    "name": "jinja2",
    "version": "2.4.1",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": []}],
}


def report(*packages: dict[str, Any]) -> Report:
    """A report of a service that knows the canary."""
    return Report.model_validate_json(json.dumps({"dependencies": [*packages, KNOWN], "fixes": []}))


def accepted(until: date, vulnerability: str = "PYSEC-2024-60", package: str = "idna") -> Accepted:
    """An exception for idna's vulnerability."""
    return Accepted(package, vulnerability, "we resolve no names that others give us", until)


def judged(told: Report, *wanted: Pin, but: tuple[Accepted, ...] = ()) -> list[str]:
    """The faults as of `TODAY`."""
    return list(faults(wanted, told, but, TODAY))


def test_a_package_without_known_vulnerabilities_passes() -> None:
    """In the requested version, independent of the spelling of its name."""
    assert judged(report(CLEAN), REDIS) == []
    dotted = {"name": "Python_SOCKS", "version": "3.2.1", "vulns": []}
    assert judged(report(dotted), Pin("python-socks", "3.2.1")) == []


def test_a_skipped_package_is_a_fault() -> None:
    """With the reason that pip-audit gives."""
    (fault,) = judged(report(SKIPPED), REDIS)
    assert fault.startswith("redis 8.1.0: it was skipped: Dependency not found on PyPI")


def test_a_package_that_is_not_in_the_report_is_a_fault() -> None:
    """For example a package for another platform."""
    assert judged(report(CLEAN), REDIS, IDNA) == ["idna 3.6: it isn't in the report"]


def test_another_version_than_the_locked_one_is_a_fault() -> None:
    """The result of one version is not valid for another."""
    (fault,) = judged(report(CLEAN), Pin("redis", "8.0.0"))
    assert fault == "redis 8.0.0: 8.1.0 was looked at instead"


def test_a_package_that_was_neither_judged_nor_skipped_is_a_fault() -> None:
    """A missing list of vulnerabilities is not an empty one."""
    (fault,) = judged(report({"name": "redis", "version": "8.1.0"}), REDIS)
    assert fault == "redis 8.1.0: it was skipped: no reason is given"


def test_a_vulnerability_is_reported_with_all_its_names_and_the_fixed_version() -> None:
    """One line has all that a reader needs."""
    (fault,) = judged(report(VULNERABLE), IDNA)
    assert fault == (
        "idna 3.6: PYSEC-2024-60 = CVE-2024-3651 = GHSA-jjg7-2v4v-x38h, fixed in 3.7: "
        "A specially crafted argument consumes significant resources."
    )


@pytest.mark.parametrize("canary", [[], [{**KNOWN, "vulns": []}]], ids=["missing", "clean"])
def test_a_service_that_knows_nothing_is_a_fault(canary: list[dict[str, Any]]) -> None:
    """Its reports can't be trusted."""
    told = Report.model_validate({"dependencies": [CLEAN, *canary]})
    (fault,) = judged(told, REDIS)
    assert fault.startswith(f"{CANARY} is known to be vulnerable, and the service doesn't say so")


@pytest.mark.parametrize("name", ["PYSEC-2024-60", "CVE-2024-3651"])
def test_an_accepted_vulnerability_passes_to_the_end_of_its_last_day(name: str) -> None:
    """By any of its names; the day after, the fault includes the reason."""
    assert judged(report(VULNERABLE), IDNA, but=(accepted(TODAY, name),)) == []
    over = accepted(TODAY - timedelta(days=1), name)
    (fault,) = judged(report(VULNERABLE), IDNA, but=(over,))
    assert fault.startswith("idna 3.6: PYSEC-2024-60 = ")
    assert fault.endswith("(accepted until 2026-11-21: we resolve no names that others give us)")


@pytest.mark.parametrize(
    "other",
    [accepted(TODAY, "PYSEC-2024-61"), accepted(TODAY, package="redis")],
    ids=["vulnerability", "package"],
)
def test_an_exception_for_another_vulnerability_or_package_does_not_apply(other: Accepted) -> None:
    """An unused exception is a fault too."""
    found = judged(report(VULNERABLE, CLEAN), IDNA, REDIS, but=(other,))
    assert len(found) == 2
    assert found[0].startswith("idna 3.6: PYSEC-2024-60")
    assert found[1].endswith("is accepted, but not found: strike it out")


HOW = st.sampled_from(["clean", "skipped", "vulnerable", "missing", "older"])


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), HOW, min_size=1))
def test_exactly_the_packages_that_were_not_found_clean_are_faults(how: dict[str, str]) -> None:
    """One fault for each of them, in any mixture."""
    how.pop(CANARY.name, None)
    vulns = VULNERABLE["vulns"]
    rows: dict[str, dict[str, Any]] = {
        "clean": {"version": "1.0", "vulns": []},
        "skipped": {"skip_reason": "because"},
        "vulnerable": {"version": "1.0", "vulns": vulns},
        "older": {"version": "0.9", "vulns": []},
    }
    told = report(*({"name": n, **rows[h]} for n, h in how.items() if h != "missing"))
    found = judged(told, *(Pin(name, "1.0") for name in how))
    assert [line.split()[0] for line in found] == [n for n, h in how.items() if h != "clean"]


def test_every_package_of_the_lock_file_is_audited() -> None:
    """Including packages for another platform or another Python."""
    lock = (ROOT / "requirements.lock").read_text()
    found = pins(lock)
    assert len(found) == sum("==" in line for line in lock.splitlines() if line[:1].isalnum())
    assert Pin("aiohttp", "") in {Pin(pin.name, "") for pin in found}
    assert "colorama" in {pin.name for pin in found}  # Windows'


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        ("redis>=8.1\n", "'redis>=8.1'"),
        ("redis==8.1.0\n-e .\n", "'-e .'"),
        ("git+https://example.org/redis.git\n", "git"),
        ("# nothing\n", "there is no package in it"),
    ],
)
def test_a_lock_file_that_pins_no_version_is_refused(lock: str, why: str) -> None:
    """A package that can't be audited must not be ignored."""
    with pytest.raises(ValueError, match=why):
        pins(lock)
