"""The runner: what it says of a bug, and that nothing of one is left for the next."""

from pathlib import Path

import pytest

from tests.mutation import run
from tests.mutation.mutant import mutant
from tests.mutation.run import BrokenRunError, Copy

CODE = "def larger(a, b):\n    return a if a > b else b\n"
TESTS = """from pathlib import Path
from services._connector_kit.orders.larger import larger

def test_the_larger_one():
    assert larger(2, 1) == 2

def test_of_the_same(tmp_path):
    seen = Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert larger(1, 1) == 1 and not (FLAKY and first)
"""
SMALLER = mutant("the smaller one", "larger.py", "a > b", "a < b")
THE_SAME = mutant("the same", "larger.py", "a > b", "a >= b")


def copy_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, flaky: bool = False) -> Copy:
    """A copy of a tree with one function and its tests."""
    tree = tmp_path / "tree"
    files = {
        "common_models/__init__.py": "",
        "services/__init__.py": "",
        "services/_connector_kit/__init__.py": "",
        "services/_connector_kit/orders/__init__.py": "",
        "services/_connector_kit/orders/larger.py": CODE,
        "tests/unit/_connector_kit/orders/test_larger.py": f"FLAKY = {flaky}\n{TESTS}",
        "SECURITY.md": "",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
    }
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    monkeypatch.setattr(run, "ROOT", tree)
    only = [("unit", ["tests/unit/_connector_kit/orders"])]
    monkeypatch.setattr(run, "tiers", lambda path: only)
    (tmp_path / "copy").mkdir()
    return Copy(tmp_path / "copy")


def test_a_bug_is_noticed_and_nothing_of_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first test that fails."""
    copy = copy_of(tmp_path, monkeypatch)
    verdict = copy.try_on(SMALLER)
    assert (verdict.killed_in, verdict.by.rpartition("::")[2]) == (
        "unit",
        "test_the_larger_one",
    )
    assert copy.try_on(THE_SAME).killed_in is None
    assert copy.try_unchanged(SMALLER.path).killed_in is None


def test_a_test_that_fails_once_does_not_find_the_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have failed without the bug, too."""
    assert copy_of(tmp_path, monkeypatch, flaky=True).try_on(THE_SAME).killed_in is None


def test_a_mutant_that_no_test_can_run_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be imported: that says nothing about the tests."""
    broken = mutant(
        "no such module", "larger.py", "def larger", "import nothing_of_that_name\ndef larger"
    )
    with pytest.raises(BrokenRunError, match="no such module"):
        copy_of(tmp_path, monkeypatch).try_on(broken)
