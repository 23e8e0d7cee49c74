"""The rows under "Tried" in SECURITY.md: read them, count attempts, write them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.support.processes import ROOT

SECURITY = ROOT / "SECURITY.md"
TRIED, ACCEPTED = "## Tried", "## Accepted"
HEAD = "| actor | attempt | tries | succeeded | test |\n|---|---|---|---|---|\n"


class Attempt(NamedTuple):
    """An attempt of an actor in one test, in the words of the table."""

    actor: str
    what: str
    test: str


class Row(NamedTuple):
    """One attempt, with the number of tries and of successes."""

    attempt: Attempt
    tries: int
    succeeded: int

    def __str__(self) -> str:
        actor, what, test = self.attempt
        return f"| {actor} | {what} | {self.tries} | {self.succeeded} | `{test}` |"


def counted(outcomes: Iterable[tuple[Attempt, bool]]) -> list[Row]:
    """A row for each attempt among *outcomes*, sorted."""
    tries: Counter[Attempt] = Counter()
    succeeded: Counter[Attempt] = Counter()
    for attempt, success in outcomes:
        tries[attempt] += 1
        succeeded[attempt] += success
    return [Row(attempt, tries[attempt], succeeded[attempt]) for attempt in sorted(tries)]


def rows(text: str) -> list[Row]:
    """The rows under "Tried".

    Raises:
        ValueError: a line isn't a row, or an attempt has two rows.
    """
    found = []
    for cells in _cells(text, TRIED):
        if len(cells) != 5 or not (cells[2].isdecimal() and cells[3].isdecimal()):
            raise ValueError(f"this is no row of the table: {' | '.join(cells)}")
        actor, what, tries, succeeded, test = cells
        found.append(Row(Attempt(actor, what, test.strip("`")), int(tries), int(succeeded)))
    twice = [each for each, n in Counter(row.attempt for row in found).items() if n > 1]
    if twice:
        raise ValueError(f"more than one row says what became of {twice}")
    return found


def accepted(text: str) -> list[tuple[str, str]]:
    """The (actor, attempt) pairs under "Accepted", each with a reason.

    Raises:
        ValueError: a reason is missing.
    """
    found = _cells(text, ACCEPTED)
    without = [cells for cells in found if len(cells) != 3 or not cells[2]]
    if without:
        raise ValueError(f"why is this accepted? {without}")
    return [(cells[0], cells[1]) for cells in found]


def renewed(text: str, seen: Sequence[Row]) -> str:
    """*text* with the rows *seen* in its table.

    All rows of a test in *seen* are replaced; rows of other tests are unchanged.
    """
    ran = {row.attempt.test for row in seen}
    kept = [row for row in rows(text) if row.attempt.test not in ran]
    table = HEAD + "".join(f"{row}\n" for row in sorted([*kept, *seen]))
    start, end = _section(text, TRIED)
    if not start:
        raise ValueError(f"there is no heading {TRIED!r}")
    prose = "".join(line for line in text[start:end].splitlines(True) if line[:1] != "|").strip()
    said = f"{prose}\n\n" if prose else ""
    apart = "\n" if end < len(text) else ""
    return f"{text[:start]}\n{said}{table}{apart}{text[end:]}"


def _cells(text: str, heading: str) -> list[list[str]]:
    start, end = _section(text, heading)
    lines = [line.strip() for line in text[start:end].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def _section(text: str, heading: str) -> tuple[int, int]:
    """The first and last line index below *heading*; (0, 0) if it is missing."""
    found = f"\n{text}".find(f"\n{heading}\n")
    if found < 0:
        return 0, 0
    start = found + len(heading) + 1
    following = text.find("\n## ", start - 1)
    return start, len(text) if following < 0 else following + 1
