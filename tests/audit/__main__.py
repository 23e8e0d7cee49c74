"""Fail if a locked package has a known vulnerability or was not checked: `make audit`."""

import argparse
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from tests.audit.accepted import ACCEPTED
from tests.audit.judge import CANARY, Pin, Report, faults, pins

# In its own environment, which `make audit` creates: its packages are not the project's.
PIP_AUDIT = Path(sys.prefix) / "audit" / "bin" / "pip-audit"
ANSWERS_WITHIN = 900.0


class AuditError(Exception):
    """There is no report to judge; the message has the reason."""


def main() -> int:
    """0 if every package of the lock file was checked and none is known to be vulnerable."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__)
    parser.add_argument("lock", type=Path, help="the lock file, e.g. requirements.lock")
    lock: Path = parser.parse_args().lock
    try:
        wanted = pins(lock.read_text(encoding="utf-8"))
        report = ask([*wanted, CANARY])
    except (AuditError, OSError, ValueError) as e:
        _say(f"the audit of {lock} has failed: {e}")
        return 1
    found = list(faults(wanted, report, ACCEPTED, datetime.now(UTC).date()))
    for line in found:
        _say(line)
    if found:
        _say(f"the audit of {lock} has failed: {len(found)} faults in {len(wanted)} packages")
        return 1
    _say(f"{lock}: all {len(wanted)} packages were looked at; nothing is known against them")
    for each in ACCEPTED:
        _say(f"accepted until {each.until}: {each.package}, {each.vulnerability}: {each.reason}")
    return 0


def ask(packages: Iterable[Pin]) -> Report:
    """The current report of PyPI's vulnerability service on *packages*, by pip-audit.

    Raises:
        AuditError: pip-audit failed.
    """
    with TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "requirements.txt", Path(folder) / "report.json"
        asked.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in packages))
        command = (
            *(str(PIP_AUDIT), "--requirement", str(asked), "--no-deps", "--disable-pip"),
            *("--format", "json", "--output", str(answered), "--progress-spinner", "off"),
            *("--cache-dir", str(Path(folder) / "cache")),  # never a cached answer
        )
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=ANSWERS_WITHIN
            )
        except FileNotFoundError as e:
            raise AuditError(f"{PIP_AUDIT} is missing; `make audit` installs it") from e
        except subprocess.TimeoutExpired as e:
            raise AuditError(f"pip-audit took more than {ANSWERS_WITHIN:.0f} s") from e
        try:
            return Report.model_validate_json(answered.read_bytes())
        except (FileNotFoundError, ValidationError) as e:
            last = done.stderr.strip()[-1000:]
            raise AuditError(f"pip-audit ended with {done.returncode} and no report: {last}") from e


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
