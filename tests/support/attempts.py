"""The fixture `attempt`: a test says what an actor tried, and whether it succeeded.

In any run, what a test that has passed tried must stand in the table of SECURITY.md, as often and
with the same outcome. `make security-table` writes it from what `--attempts FOLDER` collects.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.security.table import SECURITY, Attempt, Row, counted, rows

OPTION = "--attempts"


class Attempts:
    """What one test has tried so far."""

    def __init__(self, test: str) -> None:
        self.test = test
        self.outcomes: list[tuple[Attempt, bool]] = []

    def __call__(self, actor: str, what: str, succeeded: bool) -> None:
        """Count one try of *actor*; it *succeeded* if it did the harm that it was meant to do."""
        self.outcomes.append((Attempt(actor, what, self.test), succeeded))

    @property
    def rows(self) -> list[Row]:
        """As they stand in the table."""
        return counted(self.outcomes)


@cache
def written() -> list[Row]:
    """The table as it is."""
    return rows(SECURITY.read_text(encoding="utf-8"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Collect attempts instead of comparing them."""
    parser.addoption(OPTION, type=Path, help="run what makes attempts; write them to this folder")


def makes_attempts(item: pytest.Item) -> bool:
    """Whether a test asks for the fixture."""
    return "attempt" in getattr(item, "fixturenames", ())


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> Attempts:
    """Count a try: `attempt(actor, what, succeeded)`."""
    return Attempts(request.node.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """What a test that has passed tried is collected, or is what the table says of it."""
    yield
    if not makes_attempts(item):
        return
    made: Attempts = item.funcargs["attempt"]  # type: ignore[attr-defined]
    folder: Path | None = item.config.getoption(OPTION)
    if folder is None:
        assert made.rows == sorted(row for row in written() if row.attempt.test == made.test), (
            "SECURITY.md says something else: make security-table"
        )
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A file for each process: workers write at the same time.
    with (folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        for (actor, what, test), succeeded in made.outcomes:
            file.write(json.dumps([actor, what, test, succeeded]) + "\n")


def collected(folder: Path) -> list[Row]:
    """What all processes of a run wrote to *folder*."""
    lines = [
        line
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    found = [json.loads(line) for line in lines]
    return counted((Attempt(actor, what, test), ok) for actor, what, test, ok in found)
