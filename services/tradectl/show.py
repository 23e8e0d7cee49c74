"""What a person sees, or a program: lines, or JSON. Redis's content is never trusted."""

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from services._runtime.text_sanitizing import escape_control_characters

# Where no terminal says how wide it is: wide enough for any table.
PIPED_WIDTH = 240
INDENT = "    "


def screen_width() -> int:
    """How many columns there are: COLUMNS, else the terminal's."""
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def number(value: object) -> str:
    """A number as people write it: 0.00001, not 1e-05; "-" where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return escape_control_characters(str(value))
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
    """One line of result, at once; on a terminal one that is too long goes on below, indented."""
    shown = escape_control_characters(text)
    if sys.stdout.isatty():
        folded = textwrap.wrap(
            shown, screen_width(), subsequent_indent=INDENT, break_on_hyphens=False
        )
        shown = "\n".join(folded)
    sys.stdout.write(shown + "\n")
    sys.stdout.flush()


def as_json(value: object, *, indent: int | None = 2) -> None:
    """One JSON document; with `indent=None` on one line. A Decimal is a number in it."""
    # ASCII only: what is in a message can't steer a terminal from here either.
    sys.stdout.write(json.dumps(value, indent=indent, default=_json_number) + "\n")
    sys.stdout.flush()


def _json_number(value: object) -> int | float:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is no JSON")
    return int(value) if value == value.to_integral_value() else float(value)


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
        return ",".join(
            f"{escape_control_characters(str(key))}:{number(each)}" for key, each in value.items()
        )
    if isinstance(value, str | int | float):
        return number(value)
    return escape_control_characters(json.dumps(value, ensure_ascii=False))


def _is_level(value: Any) -> bool:
    """A book's level or a fill: so much, at that price."""
    return isinstance(value, dict) and {"price", "quantity"} <= value.keys()
