"""Run the tests that make attempts, and write their table into SECURITY.md."""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.security.table import SECURITY, renewed
from tests.support.attempts import OPTION, collected
from tests.support.processes import ROOT


def main() -> int:
    """0 if the tests passed and the table is written."""
    parser = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    parser.add_argument(
        "tests", nargs="*", help="which tests; where none are named, all of `make test`"
    )
    parser.add_argument("--jobs", default="4", help="how many processes")
    given = parser.parse_args()
    everything = ("--ignore", "tests/recorded", "--ignore", "tests/compose", "tests")
    with TemporaryDirectory() as folder:
        command = (
            *(sys.executable, "-m", "pytest", "-n", given.jobs, "--maxschedchunk", "2"),
            *(OPTION, folder, *(given.tests or everything)),
        )
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            return code
        seen = collected(Path(folder))
    text = SECURITY.read_text(encoding="utf-8")
    SECURITY.write_text(renewed(text, seen), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
