"""Each rule finds what it is for, and lets plain English pass."""

from pathlib import Path

import pytest

from tests.english.__main__ import ROOT, check, chosen, files_of
from tests.english.rules import Rule, load
from tests.english.texts import Text

STYLE = load()


def found(words: str, kind: str = "comment") -> list[str]:
    """What the rules find in a text."""
    return [finding.found for finding in STYLE.findings("a.py", [Text(1, kind, words)])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("The fill is told once.", "told"),
        ("It hears of the loss.", "hears"),
        ("A Redis that forgot.", "forgot"),
        ("Nobody reads it.", "Nobody"),
        ("Redis wants a password.", "wants"),
        ("7 is no price", "is no price"),
        ("7: an integer; want a decimal", "; want"),
        ("messages that are none by the contract", "are none"),
        ("orders of which nothing is known", "of which nothing"),
        ("late no more", "no more"),
        ("an order waits so long", "so long"),
        ("where there is no key", "where there is"),
        ("Read anew.", "anew"),
        ("before the next look", "next look"),
        ("A second later …", "…"),
    ],
)
def test_a_banned_phrase_is_found(words: str, expected: str) -> None:
    """Whatever the case of its letters."""
    assert found(words) == [expected]
    assert found(words.upper()) == [expected.upper()]


@pytest.mark.parametrize(
    "words",
    [
        "There is no key.",
        "It is no longer valid.",
        "It sends no more than one order.",
        "There are none.",
        "The folder where the services start.",
        "It looks up the order.",
        "Not so long ago.",
        "If you want a longer history, raise it.",
    ],
)
def test_plain_english_passes(words: str) -> None:
    """Neighbours of the banned phrases are no finding."""
    assert found(words) == []


def test_a_rule_applies_to_its_kinds_of_text_only() -> None:
    """A message on a terminal may end with dots."""
    assert found("connecting …", "message") == []
    assert Rule("x", "", "", ("prose",)).applies_to(Text(1, "prose", ""))


def test_a_phrase_is_found_across_a_line_break_at_its_own_line() -> None:
    """The line of the phrase, not of the text."""
    (finding,) = STYLE.findings("a.py", [Text(10, "comment", "first\nof which\nnothing is known")])
    assert (finding.line, finding.found) == (11, "of which nothing")
    assert str(finding).startswith('a.py:11: comment: "of which nothing": write a clause')


def test_every_finding_of_a_file_is_reported(tmp_path: Path) -> None:
    """With the path that was given."""
    (tmp_path / "a.md").write_text("It is told.\n\nNobody `told` it.\n")
    lines = [(f.path, f.line, f.found) for f in check(STYLE, ["a.md"], tmp_path)]
    assert lines == [("a.md", 1, "told"), ("a.md", 3, "Nobody")]


def test_files_listed_as_unclean_are_checked_only_when_named() -> None:
    """By default the list decides; a path or --all overrides it."""
    clean, everything = chosen(STYLE, [], False), chosen(STYLE, [], True)
    assert everything - clean == files_of(STYLE.unclean) & everything
    assert chosen(STYLE, [str(ROOT / "tests/english")], False) == {
        "tests/english/test_rules.py",
        "tests/english/test_texts.py",
    }


def test_records_of_decisions_are_never_checked() -> None:
    """They keep the words of their day."""
    assert not [path for path in chosen(STYLE, [], True) if path.startswith("docs/adr/")]


@pytest.mark.parametrize(
    "path",
    ["services/bot/service.py", "README.md", "Makefile", ".env.example", "monitoring/alerts.yml"],
)
def test_every_kind_of_file_is_checked(path: str) -> None:
    """Code, documentation, and the comments of configuration."""
    assert path in chosen(STYLE, [], True)
