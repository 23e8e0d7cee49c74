"""The table of SECURITY.md: reading it, updating it, and comparing a run with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.security.table import (
    HEAD,
    SECURITY,
    Attempt,
    Row,
    accepted,
    counted,
    renewed,
    rows,
)
from tests.support.attempts import collected
from tests.support.processes import ROOT

TEXT = f"""# Title

## Tried

{HEAD}| bot | lift a halt | 3 | 0 | `tests/a.py::test_a` |
| bot | trim a stream | 2 | 1 | `tests/b.py::test_b` |

## Accepted

| actor | attempt | why |
|---|---|---|
| bot | trim a stream | Redis has no right for it |

## Not promised

* nothing
"""
LIFT = Attempt("bot", "lift a halt", "tests/a.py::test_a")
TRIM = Attempt("bot", "trim a stream", "tests/b.py::test_b")

words = st.text("abc `'/:", min_size=1).map(lambda text: f"x{text}x")
attempts = st.builds(Attempt, words, words, words.map(lambda text: text.replace("`", "'")))


def test_each_row_is_read_as_it_is_written() -> None:
    """With its numbers and its test."""
    assert rows(TEXT) == [Row(LIFT, 3, 0), Row(TRIM, 2, 1)]
    assert accepted(TEXT) == [("bot", "trim a stream")]
    assert str(Row(LIFT, 3, 0)) in TEXT.splitlines()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("| bot | lift a halt | many | 0 | `tests/c.py::test_c` |", "many"),
        ("| bot | lift a halt | 3 | -1 | `tests/c.py::test_c` |", "-1"),
        ("| bot | lift a halt | 3 | 0 |", "no row"),
        ("| bot | lift a halt | 9 | 0 | `tests/a.py::test_a` |", "more than one row"),
    ],
)
def test_an_invalid_row_is_refused(row: str, why: str) -> None:
    """A row that can't be checked must not stand in the table."""
    with pytest.raises(ValueError, match=why):
        rows(TEXT.replace("\n\n## Accepted", f"\n{row}\n\n## Accepted"))


def test_an_accepted_risk_requires_a_reason() -> None:
    """A risk without a reason is refused."""
    with pytest.raises(ValueError, match="why"):
        accepted(TEXT.replace("Redis has no right for it", ""))


def test_tries_and_successes_are_counted_for_each_attempt() -> None:
    """Rows are sorted, so that the order of the tests has no effect."""
    outcomes = [(TRIM, True), (LIFT, False), (TRIM, False)]
    assert counted(outcomes) == [Row(LIFT, 1, 0), Row(TRIM, 2, 1)]


def test_a_run_replaces_the_rows_of_its_own_tests_only() -> None:
    """An attempt that such a test no longer makes is removed; the rest of the file is unchanged."""
    other = Attempt("operator", "write a fill", "tests/a.py::test_a")
    text = renewed(TEXT, [Row(other, 4, 0)])
    assert rows(text) == [Row(TRIM, 2, 1), Row(other, 4, 0)]
    assert text.partition("## Accepted")[2] == TEXT.partition("## Accepted")[2]
    assert text.partition("## Tried")[0] == TEXT.partition("## Tried")[0]


def test_the_text_above_the_table_is_unchanged() -> None:
    """A second update changes nothing."""
    text = renewed(TEXT.replace("## Tried\n", "## Tried\n\nSome words.\n"), [])
    assert "## Tried\n\nSome words.\n\n| actor" in text
    assert renewed(text, []) == text


def test_a_file_without_the_heading_is_refused() -> None:
    """There is no place for the table."""
    with pytest.raises(ValueError, match="heading"):
        renewed("# Title\n", [Row(LIFT, 3, 0)])


@given(st.lists(st.tuples(attempts, st.booleans())))
def test_every_written_row_can_be_read(
    outcomes: list[tuple[Attempt, bool]],
) -> None:
    """Also if nothing follows the table."""
    seen = counted(outcomes)
    text = renewed("## Tried\n", seen)
    assert rows(text) == seen
    assert renewed(text, seen) == text
    assert sum(row.tries for row in seen) == len(outcomes)
    assert sum(row.succeeded for row in seen) == sum(success for _, success in outcomes)


TRIAL = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_harm(attempt, number):
    for _ in range(number):
        attempt("somebody", "do harm", succeeded=False)

def test_without_attempts():
    pass
"""


def pytest_in(folder: Path, *options: str) -> tuple[int, str]:
    """The exit code and output of pytest for `TRIAL`, with the fixture, in two processes."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_trial.py").write_text(TRIAL)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"),
            *("--rootdir", str(folder), "-c", str(ROOT / "pyproject.toml")),
            *(*options, str(folder / "test_trial.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return done.returncode, done.stdout


def test_attempts_of_all_processes_are_collected(tmp_path: Path) -> None:
    """Only tests that make attempts run."""
    code, said = pytest_in(tmp_path, "--attempts", str(tmp_path / "attempts"))
    assert (code, "2 passed" in said) == (0, True), said
    one, two = (f"test_trial.py::test_harm[{number}]" for number in (1, 2))
    assert collected(tmp_path / "attempts") == [
        Row(Attempt("somebody", "do harm", one), 1, 0),
        Row(Attempt("somebody", "do harm", two), 2, 0),
    ]


def test_a_test_fails_if_its_attempt_is_not_in_the_table(tmp_path: Path) -> None:
    """In every run; the other tests pass."""
    code, said = pytest_in(tmp_path)
    assert (code, "2 failed, 1 passed" in said) == (1, True), said
    assert "SECURITY.md says something else: make security-table" in said


def test_every_row_belongs_to_an_existing_test_with_attempts() -> None:
    """In the file that the row names."""
    for row in rows(SECURITY.read_text()):
        path, _, name = row.attempt.test.partition("::")
        _, defined, source = (ROOT / path).read_text().partition(f"def {name.partition('[')[0]}(")
        assert defined, row
        assert "attempt" in re.split(r"[(,\s:]+", source.partition(") ->")[0]), row


def test_only_accepted_attempts_succeed() -> None:
    """Every accepted attempt succeeds."""
    text = SECURITY.read_text()
    succeeded = {(row.attempt.actor, row.attempt.what) for row in rows(text) if row.succeeded}
    assert succeeded == set(accepted(text))
