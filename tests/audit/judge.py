"""Judges a report of pip-audit: which packages are vulnerable, and which were not checked.

pip-audit exits with 0 and "No known vulnerabilities found" even if it skipped packages, or if a
package is for another platform. Here each package of the lock file must have been checked.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel

from tests.audit.accepted import Accepted

PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^]]*\])?==(?P<version>[^\s;\\]+)")


class Vulnerability(BaseModel):
    """One known vulnerability, as pip-audit reports it."""

    id: str
    aliases: list[str] = []
    fix_versions: list[str] = []
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All its ids."""
        return (self.id, *self.aliases)

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fix_versions)}" if self.fix_versions else "not fixed yet"
        return f"{' = '.join(self.names)}, {fixed}: {self.description[:200]}"


class Package(BaseModel):
    """The report of one package: its vulnerabilities, or why it was skipped."""

    name: str
    version: str | None = None
    vulns: list[Vulnerability] | None = None
    skip_reason: str | None = None


class Report(BaseModel):
    """The JSON that pip-audit writes."""

    dependencies: list[Package]


@dataclass(frozen=True, slots=True)
class Pin:
    """A package in a fixed version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


# A package with a known vulnerability: a service that doesn't report it can't be trusted.
CANARY = Pin("jinja2", "2.4.1")


def pins(lock: str) -> tuple[Pin, ...]:
    """Each package of a lock file, those for other platforms and versions of Python too.

    Raises:
        ValueError: a line that pins no package, or no package at all.
    """
    found = []
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "--hash=")):
            continue
        pinned = PINNED.match(line)
        if pinned is None:
            raise ValueError(f"invalid line {line!r}; expected a line like name==1.2.3")
        found.append(Pin(_canonical(pinned["name"]), pinned["version"]))
    if not found:
        raise ValueError("there is no package in it")
    return tuple(found)


def faults(
    wanted: Iterable[Pin], report: Report, accepted: Sequence[Accepted], today: date
) -> Iterator[str]:
    """The reasons why the audit fails, one sentence each; none if it passes.

    *report* covers the packages *wanted* and `CANARY`.
    """
    reported = {_canonical(package.name): package for package in report.dependencies}
    canary = reported.get(CANARY.name)
    if canary is None or not canary.vulns:
        yield (
            f"{CANARY} is known to be vulnerable, and the service doesn't say so: "
            "what it says of other packages is worth nothing"
        )
    for pin in wanted:
        yield from _of_package(pin, reported.get(pin.name), accepted, today)
    for each in accepted:
        package = reported.get(_canonical(each.package))
        known = [name for vuln in (package and package.vulns) or () for name in vuln.names]
        if each.vulnerability not in known:
            yield f"{each.package}: {each.vulnerability} is accepted, but not found: strike it out"


def _of_package(
    pin: Pin, package: Package | None, accepted: Sequence[Accepted], today: date
) -> Iterator[str]:
    if package is None:
        yield f"{pin}: it isn't in the report"
        return
    if package.skip_reason is not None or package.vulns is None:
        yield f"{pin}: it was skipped: {package.skip_reason or 'no reason is given'}"
        return
    if package.version != pin.version:
        yield f"{pin}: {package.version} was looked at instead"
    for vuln in package.vulns:
        lets_pass = next((each for each in accepted if _is_for(each, pin, vuln)), None)
        if lets_pass is None:
            yield f"{pin}: {vuln}"
        elif lets_pass.until < today:
            yield f"{pin}: {vuln} (accepted until {lets_pass.until}: {lets_pass.reason})"


def _is_for(each: Accepted, pin: Pin, vuln: Vulnerability) -> bool:
    return _canonical(each.package) == pin.name and each.vulnerability in vuln.names


def _canonical(name: str) -> str:
    """A package's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
