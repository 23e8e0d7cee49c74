"""Tables that fit the terminal: numbers are right-aligned and never cut, text is wrapped."""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.tradectl.show import number, screen_width, span

# In terminal columns. Narrower terminals leave out the columns marked `wide`.
WIDE = 120
# The minimum width of a text column. If that does not fit, each row is shown as a list of values.
MIN_COLUMN_WIDTH = 8
GREEN_WORDS = frozenset({"ok", "ready", "live", "polled", "trading", "done", "accepted", "filled"})
RED_WORDS = frozenset({"fail", "not ready", "stale", "rejected", "no answer", "gone"})
YELLOW_WORDS = frozenset({"warn", "unknown", "syncing", "partially_filled"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title; *wide*: leave it out on a terminal narrower than `WIDE`."""

    title: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration in seconds, shown in a unit that suits its size."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Gain:
    """A profit, shown with its sign; negative is a loss."""

    money: Decimal


def amount(value: Decimal) -> Decimal:
    """*value* rounded for reading: 2 decimals from 1000 up, 4 from 1 up, else 8."""
    places = 2 if abs(value) >= 1000 else 4 if abs(value) >= 1 else 8
    return round(value, places)


def table(title: str, columns: Sequence[Column | str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; on a terminal, states are coloured.

    Columns of numbers, durations or gains are right-aligned. Text that does not fit is wrapped. If
    the terminal is too narrow even for that, each row is printed as lines of title and value.
    """
    console = Console(file=sys.stdout, width=screen_width())
    console.print(Text(title, style="bold"))
    named = [Column(each) if isinstance(each, str) else each for each in columns]
    kept = [i for i, each in enumerate(named) if console.width >= WIDE or not each.wide]
    values = [[row[i] for i in kept] for row in rows]
    if values:
        console.print(_fitted_table([named[i].title for i in kept], values, console.width))
    console.print()


def _fitted_table(titles: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> Table:
    numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(titles))]
    cells = [[_cell(value) for value in row] for row in rows]
    widest = [max(_width(row[i].plain) for row in cells) for i in range(len(titles))]
    # The title of a number column is wrapped to the width of the numbers, or of its longest word.
    heads = [
        _folded(title, width) if right else title
        for title, right, width in zip(titles, numeric, widest, strict=True)
    ]
    natural = [max(_width(head), full) for head, full in zip(heads, widest, strict=True)]
    least = [
        full if right else min(full, max([MIN_COLUMN_WIDTH, *map(cell_len, title.split())]))
        for full, right, title in zip(natural, numeric, titles, strict=True)
    ]
    between = len(titles) - 1
    if sum(least) + between > width:
        return _records(titles, cells)
    gap = 2 if sum(natural) + 2 * between <= width else 1
    found = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for head, right, wide in zip(
        heads, numeric, _widths(natural, least, width - gap * between), strict=True
    ):
        justify: Literal["left", "right"] = "right" if right else "left"
        found.add_column(Text(head), width=wide, justify=justify, overflow="fold")
    for row in cells:
        found.add_row(*row)
    return found


def _folded(title: str, width: int) -> str:
    return "\n".join(textwrap.wrap(title, max([width, *map(cell_len, title.split())])))


def _widths(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The width of each column: the widest shrink first, none below its *least*."""
    found = list(natural)
    while sum(found) > width:
        widest = max((i for i in range(len(found)) if found[i] > least[i]), key=lambda i: found[i])
        found[widest] -= 1
    return found


def _records(titles: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    """Each row as lines of title and value, separated by empty lines."""
    found = Table(box=None, pad_edge=False, show_header=False)
    found.add_column(no_wrap=True)
    found.add_column(overflow="fold")
    for number_of, row in enumerate(rows):
        if number_of:
            found.add_row("", "")
        for title, cell in zip(titles, row, strict=True):
            found.add_row(Text(title, style="dim"), cell)
    return found


def _is_numeric(values: Sequence[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, int | float | Decimal | Seconds | Gain) and not isinstance(value, bool)
        for value in known
    )


def _width(text: str) -> int:
    return max((cell_len(line) for line in text.split("\n")), default=0)


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, Seconds):
        return Text(span(value.seconds))
    if isinstance(value, Gain):
        sign = "+" if value.money > 0 else ""
        style = "green" if value.money > 0 else "red" if value.money < 0 else ""
        return Text(sign + number(amount(value.money)), style=style)
    text = number(value)
    style = (
        "green"
        if text in GREEN_WORDS
        else "red"
        if text in RED_WORDS
        else "yellow"
        if text in YELLOW_WORDS
        else ""
    )
    return Text(text, style=style)
