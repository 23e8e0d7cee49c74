"""What of a file is prose."""

from pathlib import Path

import pytest

from tests.english.texts import of_file, without_code

PYTHON = '''"""The module `told`."""

# One comment
# on two lines
log.info("order_placed", order=1)  # at the end


def f(x: int) -> str:
    """A docstring."""
    raise ValueError(f"{x!r} is bad")
    return "key"
'''


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A module with prose of every kind."""
    path = tmp_path / "a.py"
    path.write_text(PYTHON)
    return path


def test_python_has_docstrings_comments_log_events_and_messages(python: Path) -> None:
    """A string without a blank is a name, not a message."""
    texts = {(text.line, text.kind, text.words) for text in of_file(python, "services/a.py")}
    assert texts == {
        (1, "docstring", "The module ||||||."),
        (3, "comment", "One comment\non two lines"),
        (5, "comment", "at the end"),
        (5, "log event", "order placed"),
        (9, "docstring", "A docstring."),
        (10, "message", "| is bad"),
    }


def test_of_a_test_module_the_names_of_its_tests_are_checked(tmp_path: Path) -> None:
    """As sentences."""
    path = tmp_path / "test_a.py"
    path.write_text("async def test_it_works() -> None: ...\ndef helper() -> None: ...\n")
    (text,) = of_file(path, "tests/unit/test_a.py")
    assert (text.line, text.words) == (1, "test it works")


def test_of_other_files_the_comments_are_checked(tmp_path: Path) -> None:
    """A setting's value is not prose."""
    path = tmp_path / ".env.example"
    path.write_text("# A comment\nTOLD=told\n")
    (text,) = of_file(path, ".env.example")
    assert text.words == " A comment\n"


@pytest.mark.parametrize(
    "code", ["`told`", "``told``", "<!-- told -->", "[x](told.md)", "```sh\ntold\n```"]
)
def test_code_and_addresses_in_markdown_are_not_prose(code: str) -> None:
    """They are blanked, so that what stands around them keeps its place."""
    blanked = without_code(f"one\n{code}\ntwo")
    assert "told" not in blanked
    assert blanked.count("\n") == code.count("\n") + 2
    assert blanked.index("two") == len(code) + 5
