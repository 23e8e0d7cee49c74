"""Run the tests on one mutant: first those that mirror its file, then the others, then worlds."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutant import ROOT, Mutant

COPIED = ("common_models", "services", "tests", "pyproject.toml")
UNIT = (
    "tests/unit/_connector_kit/orders",
    "tests/unit/binance_connector",
    "tests/unit/luno_connector",
)
SERVER = ("tests/integration/_connector_kit/orders",)
WORLDS = ("tests/simulation/test_worlds.py",)
# A run of one tier that takes longer than this many seconds hangs, and so does a test.
TIER_WITHIN = 400.0
TEST_WITHIN = 30

FAILED, NO_TESTS = 1, 5


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the tier and the test that noticed it; None where it survived."""

    mutant: Mutant | None
    killed_in: str | None
    by: str
    took: float


class BrokenRunError(Exception):
    """The tests couldn't be run: that says nothing about the mutant."""


def tiers(path: str) -> list[tuple[str, Sequence[str]]]:
    """What is run on a mutant of that file, in order: names, and paths of tests."""
    folder, _, name = path.removeprefix("services/").rpartition("/")
    mirrors = [f"tests/{kind}/{folder}/test_{name}" for kind in ("unit", "integration")]
    unit, server = ([mirror] if (ROOT / mirror).exists() else [] for mirror in mirrors)
    return [
        *([("unit, its mirror", unit)] if unit else []),
        *([("server, its mirror", server)] if server else []),
        ("unit", UNIT),
        ("server", SERVER),
        ("worlds", WORLDS),
    ]


class Copy:
    """A copy of the tree, for one mutant after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        skipped = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=skipped)
            else:
                shutil.copy(ROOT / name, folder / name)

    def try_unchanged(self, path: str) -> Verdict:
        """The tests on the code as it is: they must pass, else a failure proves nothing."""
        return self._first_failure(None, path)

    def try_on(self, mutant: Mutant) -> Verdict:
        """The first test that fails on that mutant."""
        file = self._folder / mutant.path
        source = file.read_text()
        self._write(file, mutant.applied_to(source))
        try:
            return self._first_failure(mutant, mutant.path)
        finally:
            self._write(file, source)

    def _first_failure(self, mutant: Mutant | None, path: str) -> Verdict:
        started = time.monotonic()
        for tier, paths in tiers(path):
            if (by := self._failing(paths)) is not None:
                return Verdict(mutant, tier, by, time.monotonic() - started)
        return Verdict(mutant, None, "", time.monotonic() - started)

    def _failing(self, paths: Sequence[str]) -> str | None:
        """The first test of *paths* that fails; None where all pass."""
        command = [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--tb=no", "--no-header"),
            *("-p", "no:randomly", "--hypothesis-seed=0", f"--timeout={TEST_WITHIN}", *paths),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(self._folder)},
                capture_output=True,
                text=True,
                check=False,
                timeout=TIER_WITHIN,
            )
        except subprocess.TimeoutExpired:
            return "hangs"
        if done.returncode == 0:
            return None
        failures = re.findall(r"^(?:FAILED|ERROR) (\S+::\S+)", done.stdout, flags=re.MULTILINE)
        if done.returncode != FAILED or not failures:
            raise BrokenRunError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}")
        return str(failures[0])

    @staticmethod
    def _write(file: Path, text: str) -> None:
        """Write, and let nothing of the old text's byte code be found."""
        file.write_text(text)
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()
