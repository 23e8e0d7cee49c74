"""Run the tests on one mutant: first those that mirror its file, then the others, then worlds."""

import multiprocessing
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.mutant import ROOT, Mutant

COPIED = ("common_models", "services", "tests", "pyproject.toml", "SECURITY.md")
ORDERS = "_connector_kit/orders"
UNIT = (
    "tests/unit/_connector_kit/orders",
    "tests/unit/binance_connector",
    "tests/unit/luno_connector",
)
SERVER = ("tests/integration/_connector_kit/orders",)
WORLDS = ("tests/simulation/test_worlds.py",)
# Files that have no tests of their name, or not all of them: the names of those that try them.
TRIED_BY = {
    "account_health": ["reconciler"],
    "balance_publisher": ["reconciler"],
    "dead_man_switch": ["heartbeat"],
    "evidence": ["order_executor"],
    "keys": ["ledger", "book_of_record"],
    "ledger": ["positions"],
    "missing_fills": ["reconciler"],
    "open_orders": ["order_limits", "position_limits"],
    "order_limits": ["position_limits"],
    "order_state": ["ledger", "book_of_record"],
    "published_balances": ["balances"],
    "venue": ["reconciler", "order_status"],
    "redis_command_queue": ["book_of_record"],
    "redis_journal": ["book_of_record"],
}
# A run of one tier that takes longer than this many seconds hangs, and so does a test.
TIER_WITHIN = 600.0
TEST_WITHIN = 60

HANGS = "hangs"
# A test that fails on a mutant and then doesn't is no proof, and so many times are enough.
TRIES = 3

FAILED = 1  # of pytest: tests ran, and some failed

# What takes long to import is imported once: each run begins as a copy of a process that has it.
OTHERS = ("aiohttp", "msgspec", "prometheus_client", "pydantic", "pytest", "redis.asyncio")
_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload([*OTHERS, "structlog", "uvloop", "websockets"])


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the tier and the test that noticed it; None where it survived."""

    mutant: Mutant | None
    killed_in: str | None
    by: str
    took: float


OPTIONS = (
    *(
        "-x",
        "-q",
        "-rfE",
        "--tb=no",
        "--no-header",
        "-p",
        "no:randomly",
        "-p",
        "no:benchmark",
        "--hypothesis-seed=0",
    ),
    f"--timeout={TEST_WITHIN}",
)


class BrokenRunError(Exception):
    """The tests couldn't be run: that says nothing about the mutant."""


def tiers(path: str) -> list[tuple[str, Sequence[str]]]:
    """What is run on a mutant of that file, in order: names, and paths of tests."""
    folder, _, file = path.removeprefix("services/").rpartition("/")
    stem = file.removesuffix(".py")
    part = ORDERS if folder.startswith(ORDERS) else folder
    unit, server = (
        sorted(
            str(test.relative_to(ROOT))
            for name in (stem, *TRIED_BY.get(stem, ()))
            for pattern in (f"test_{name}.py", f"test_{name}_*.py")
            for test in (ROOT / "tests" / kind / part).rglob(pattern)
        )
        for kind in ("unit", "integration")
    )
    return [
        *([("unit, its own", unit)] if unit else []),
        *([("server, its own", server)] if server else []),
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
        except BrokenRunError as e:
            raise BrokenRunError(f"{mutant.path}: {mutant.name}: {e}") from e
        finally:
            self._write(file, source)

    def _first_failure(self, mutant: Mutant | None, path: str) -> Verdict:
        started = time.monotonic()
        for tier, paths in tiers(path):
            if (by := self._noticed(paths)) is not None:
                return Verdict(mutant, tier, by, time.monotonic() - started)
        return Verdict(mutant, None, "", time.monotonic() - started)

    def _noticed(self, paths: Sequence[str]) -> str | None:
        """The first test of *paths* that fails, and fails again by itself; None where all pass."""
        for _ in range(TRIES):
            by = self._failing(paths)
            if by is None or by.endswith(HANGS) or self._failing([by.partition("[")[0]]):
                return by
        raise BrokenRunError(f"{by} fails now and then")

    def _failing(self, paths: Sequence[str]) -> str | None:
        """The first test of *paths* that fails; None where all pass."""
        output = self._folder / "output.txt"
        output.unlink(missing_ok=True)
        run = _fork.Process(target=_pytest, args=(str(self._folder), str(output), list(paths)))
        run.start()
        run.join(TIER_WITHIN)
        if run.is_alive():
            run.kill()
            run.join()
            return HANGS
        said = output.read_text() if output.exists() else ""
        if run.exitcode == 0:
            return None
        failures = re.findall(r"^(?:FAILED|ERROR) (\S+::\S+)", said, flags=re.MULTILINE)
        if run.exitcode != FAILED or not failures:
            raise BrokenRunError(f"pytest ended with {run.exitcode}: {said[-2000:]}")
        timed_out = f"{failures[0]} - Failed: Timeout" in said
        return f"{failures[0]} {HANGS}" if timed_out else str(failures[0])

    @staticmethod
    def _write(file: Path, text: str) -> None:
        """Write, and let nothing of the old text's byte code be found."""
        file.write_text(text)
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()


def _pytest(folder: str, output: str, paths: list[str]) -> None:
    """Run the tests in *folder*, in a process of its own that imports nothing of ours elsewhere."""
    for name in [n for n in sys.modules if n.partition(".")[0] in COPIED]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = folder
    sys.dont_write_bytecode = False  # what one run has compiled is there for the next
    with Path(output).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(pytest.main([*OPTIONS, *paths]))
