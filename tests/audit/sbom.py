"""The bill of materials of the image, as CycloneDX JSON from the lock file: `make sbom`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services import __version__
from tests.audit.judge import Pin, pins
from tests.support.processes import ROOT

# The environment of `make audit`: its packages are not the project's.
TOOLS = Path(sys.prefix) / "audit" / "bin"
SPEC_VERSION = "1.6"
ENDS_WITHIN = 120.0
VALIDATE = f"""
import sys
from collections.abc import Sequence
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V{SPEC_VERSION.replace(".", "_")})
fault = validator.validate_str(open(sys.argv[1], encoding="utf-8").read())
sys.exit(str(fault)[:2000] if fault else 0)
"""


class SbomError(Exception):
    """There is no bill of materials; the message has the reason."""


def main() -> int:
    """0 if the bill names every package of the lock file and is valid."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit.sbom", description=__doc__)
    parser.add_argument("lock", type=Path, help="the lock file, e.g. requirements.lock")
    parser.add_argument("output", type=Path, help="where the JSON goes")
    given = parser.parse_args()
    try:
        wanted = pins(given.lock.read_text(encoding="utf-8"))
        with TemporaryDirectory() as folder:
            made = Path(folder) / "sbom.json"
            made.write_text(json.dumps(bill(given.lock, wanted), indent=2) + "\n", encoding="utf-8")
            validate(made)
            given.output.write_bytes(made.read_bytes())
    except (SbomError, OSError, ValueError) as e:
        sys.stderr.write(f"no bill of materials of {given.lock}: {e}\n")
        return 1
    sys.stdout.write(f"{given.output}: CycloneDX {SPEC_VERSION}, {len(wanted)} packages\n")
    return 0


def bill(lock: Path, wanted: Sequence[Pin]) -> dict[str, Any]:
    """The bill of materials of *lock*, which pins *wanted*.

    Raises:
        SbomError: cyclonedx-py failed, or names other packages than the lock file.
    """
    made: dict[str, Any] = json.loads(
        _tool(
            *(str(TOOLS / "cyclonedx-py"), "requirements", "--output-reproducible"),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
            *("--spec-version", SPEC_VERSION, "--output-format", "JSON", str(lock)),
        )
    )
    named = {Pin(each["name"], each.get("version", "")) for each in made.get("components", [])}
    if named != set(wanted):
        differ = ", ".join(sorted(map(str, named.symmetric_difference(wanted))))
        raise SbomError(f"bill and lock file differ in {differ}")
    made["metadata"]["component"]["version"] = __version__  # dynamic in pyproject.toml
    return made


def validate(path: Path) -> None:
    """Compare a bill with CycloneDX's own JSON schema.

    Raises:
        SbomError: the bill is invalid.
    """
    _tool(str(TOOLS / "python"), "-c", VALIDATE, str(path))


def _tool(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ENDS_WITHIN
        )
    except FileNotFoundError as e:
        raise SbomError(f"{command[0]} is missing; `make sbom` installs it") from e
    except subprocess.TimeoutExpired as e:
        raise SbomError(f"{command[0]} took more than {ENDS_WITHIN:.0f} s") from e
    if done.returncode:
        raise SbomError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
