"""Output: lines for people, JSON for programs. Control characters from Redis are escaped."""

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from services._runtime.text_sanitizing import escape_control_characters

# The width without a terminal: wide enough for any table.
PIPED_WIDTH = 240
INDENT = "    "


def screen_width() -> int:
    """The width in columns: COLUMNS, else the terminal's."""
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def number(value: object) -> str:
    """A number in plain notation: 0.00001, not 1e-05; "-" for None; other values as text."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return escape_control_characters(str(value))
    plain = f"{Decimal(str(value)):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def clock_time(at: datetime) -> str:
    """The time of day in UTC, to the millisecond."""
    return at.strftime("%H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """A duration in seconds as text, in a unit that suits its size."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def line(text: str) -> None:
    """Print one line and flush; on a terminal, wrap long lines with an indent."""
    shown = escape_control_characters(text)
    if sys.stdout.isatty():
        folded = textwrap.wrap(
            shown, screen_width(), subsequent_indent=INDENT, break_on_hyphens=False
        )
        shown = "\n".join(folded)
    sys.stdout.write(shown + "\n")
    sys.stdout.flush()


def as_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON document, on one line if *indent* is `None`. A Decimal becomes a number."""
    # ASCII only, so that content from Redis can't send control sequences to a terminal.
    sys.stdout.write(json.dumps(value, indent=indent, default=_json_number) + "\n")
    sys.stdout.flush()


def _json_number(value: object) -> int | float:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} can't be written as JSON")
    return int(value) if value == value.to_integral_value() else float(value)


def summary(fields: Mapping[str, Any]) -> str:
    """The fields of a message on one line, without empty ones."""
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
        return ",".join(
            f"{escape_control_characters(str(key))}:{number(each)}" for key, each in value.items()
        )
    if isinstance(value, str | int | float):
        return number(value)
    return escape_control_characters(json.dumps(value, ensure_ascii=False))


def _is_level(value: Any) -> bool:
    """Whether *value* has a price and a quantity: a level of a book, or a fill."""
    return isinstance(value, dict) and {"price", "quantity"} <= value.keys()
