"""The rules of style: data in rules.toml, applied to texts."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.english.texts import Text

FILE = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Rule:
    """A pattern that is not written, what is written instead, and why."""

    pattern: str
    instead: str
    why: str
    kinds: tuple[str, ...] = ()

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """A blank of the pattern matches a line break too."""
        return re.compile(self.pattern.replace(" ", r"\s+"), re.IGNORECASE)

    def applies_to(self, text: Text) -> bool:
        """Whether the rule is for texts of this kind; without kinds it is for all."""
        return not self.kinds or text.kind in self.kinds


@dataclass(frozen=True)
class Finding:
    """A place where a rule is broken."""

    path: str
    line: int
    kind: str
    found: str
    rule: Rule

    def __str__(self) -> str:
        """One line, with the path and line that an editor can open."""
        return (
            f'{self.path}:{self.line}: {self.kind}: "{self.found}": '
            f"{self.rule.instead} ({self.rule.why})"
        )


@dataclass(frozen=True)
class Style:
    """All rules, and the paths that aren't held to them yet."""

    rules: tuple[Rule, ...]
    checked: tuple[str, ...]
    never: tuple[str, ...]
    unclean: tuple[str, ...]

    def findings(self, path: str, texts: list[Text]) -> Iterator[Finding]:
        """Every break of a rule in *texts*, the prose of the file *path*."""
        for text in texts:
            for rule in self.rules:
                if not rule.applies_to(text):
                    continue
                for match in rule.compiled.finditer(text.words):
                    line = text.line + text.words.count("\n", 0, match.start())
                    yield Finding(path, line, text.kind, " ".join(match.group().split()), rule)


def load(file: Path = FILE) -> Style:
    """The style in *file*."""
    data = tomllib.loads(file.read_text())
    return Style(
        rules=tuple(
            Rule(r["pattern"], r["instead"], r["why"], tuple(r.get("kinds", ())))
            for r in data["rule"]
        ),
        checked=tuple(data["checked"]),
        never=tuple(data["never"]),
        unclean=tuple(data["unclean"]),
    )
