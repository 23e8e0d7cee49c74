"""What a person sees, or a program: tables and lines, or JSON. Redis's content is never trusted."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services._runtime.text import clean

# Wide enough for any table where no terminal says how wide it is.
PIPED_WIDTH = 240
GOOD = frozenset({"ok", "ready", "live", "polled", "trading", "done", "accepted", "filled"})
BAD = frozenset({"fail", "not ready", "stale", "rejected", "no answer", "gone"})
DOUBTFUL = frozenset({"warn", "unknown", "syncing", "partially_filled"})


def number(value: object) -> str:
    """A number as people write it: 0.00001, not 1e-05; "-" where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return clean(str(value))
    plain = f"{Decimal(str(value)):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def clock_time(at: datetime) -> str:
    """Hours to milliseconds, in UTC."""
    return at.strftime("%H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """A duration in the unit that fits it."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def line(text: str) -> None:
    """One line of result, at once."""
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


def as_json(value: object, *, indent: int | None = 2) -> None:
    """One JSON document; with `indent=None` on one line."""
    # ASCII only: what is in a message can't steer a terminal from here either.
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; words that mean good or bad are coloured where there are colours."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(Text(title, style="bold"))
    shown = Table(box=None, pad_edge=False)
    for column in columns:
        shown.add_column(Text(column), overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
    if shown.row_count:
        console.print(shown)
    console.print()


def _cell(value: object) -> Text:
    text = number(value)
    style = (
        "green" if text in GOOD else "red" if text in BAD else "yellow" if text in DOUBTFUL else ""
    )
    return Text(text, style=style)


def summary(fields: Mapping[str, Any]) -> str:
    """A message on one line: what it says, without what it leaves empty."""
    return " ".join(
        f"{name}={_short(name, value)}"
        for name, value in fields.items()
        if not (value is None or value is False or value in ([], {}))
    )


def _short(name: str, value: Any) -> str:
    if isinstance(value, list) and all(_is_level(each) for each in value):
        shown = value[:1] if name in ("bids", "asks") else value[:3]
        levels = [f"{number(each['quantity'])}@{number(each['price'])}" for each in shown]
        more = len(value) - len(shown)
        return ",".join(levels) + (f"(+{more})" if more else "")
    if isinstance(value, dict) and not any(
        isinstance(each, dict | list) for each in value.values()
    ):
        return ",".join(f"{clean(str(key))}:{number(each)}" for key, each in value.items())
    if isinstance(value, str | int | float):
        return number(value)
    return clean(json.dumps(value, ensure_ascii=False))


def _is_level(value: Any) -> bool:
    """A book's level or a fill: so much, at that price."""
    return isinstance(value, dict) and {"price", "quantity"} <= value.keys()


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list)
