"""One bug as data: a text of the product's code, and the text that stands there instead."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
KIT = "services/_connector_kit/orders"


class StaleMutantError(Exception):
    """The code has changed: the mutant no longer fits it."""


@dataclass(frozen=True)
class Mutant:
    """A named bug in one file: each of its *changes* replaces a text that occurs there once.

    `survives` says why no test notices it, where that is known and accepted.
    """

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    survives: str | None = None

    @property
    def path(self) -> str:
        """The file, from the root of the tree."""
        return self.file if self.file.startswith("services/") else f"{KIT}/{self.file}"

    def applied_to(self, source: str) -> str:
        """The file's text with the bug in it.

        Raises:
            StaleMutantError: an old text doesn't occur exactly once, or the result says the same
                as before, or isn't Python.
        """
        mutated = source
        for old, new in self.changes:
            if (found := mutated.count(old)) != 1:
                raise StaleMutantError(f"{self.path} holds {old!r} {found} times; want it once")
            mutated = mutated.replace(old, new)
        try:
            same = ast.dump(ast.parse(mutated)) == _meaning(source)
        except SyntaxError as e:
            raise StaleMutantError(f"{self.path}: the mutated file doesn't compile: {e}") from e
        if same:
            raise StaleMutantError(f"{self.path}: the mutated file says the same as before")
        return mutated


@cache
def _meaning(source: str) -> str:
    """What a file's text says, whatever its layout and comments."""
    return ast.dump(ast.parse(source))


def mutant(
    name: str, file: str, old: str, new: str, *more: tuple[str, str], survives: str | None = None
) -> Mutant:
    """A mutant of one change, or of several in the same file."""
    return Mutant(name, file, ((old, new), *more), survives)
