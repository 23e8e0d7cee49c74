"""Checks arguments before typer does: invalid UTF-8, and numbers that look like options."""

import itertools
import re
from typing import Any

import typer
from typer.core import TyperGroup

from services._runtime.text_sanitizing import escape_invalid_bytes, is_utf8
from services.tradectl.exit_codes import ExitCode, print_message

# The commands that accept `--watch`, and its default interval in seconds.
WATCHABLE_COMMANDS = frozenset({"status", "orders", "balances", "positions", "pnl"})
WATCH_OPTIONS = ("--watch", "-w")
WATCH_INTERVAL = "2"


class Commands(TyperGroup):
    """All commands. Arguments must be UTF-8; only `halt` accepts any bytes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Escape invalid bytes in the reason of `halt`: the reason must not prevent a halt."""
        if args and args[0] in WATCHABLE_COMMANDS:
            args = with_watch_interval(args)
        if ctx.resilient_parsing:  # shell completion
            return super().parse_args(ctx, args)
        if args[:1] == ["halt"]:
            args = [escape_invalid_bytes(each) for each in args]
        for each in args:
            if not is_utf8(each):
                print_message(f"tradectl: argument '{escape_invalid_bytes(each)}': not valid UTF-8")
                raise typer.Exit(ExitCode.USAGE)
        for before, each in itertools.pairwise(args):
            # "-1" is parsed as an option, unless it is an option's value.
            if args[0] == "place" and re.match(r"-\.?\d", each) and not before.startswith("-"):
                print_message(
                    f"tradectl: quantity={each}: expected a number above 0; SIDE says buy or sell"
                )
                raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)


def with_watch_interval(args: list[str]) -> list[str]:
    """*args* with the default interval after each `--watch` that has none. Pure."""
    found: list[str] = []
    for each, after in itertools.zip_longest(args, args[1:], fillvalue=""):
        found.append(each)
        if each in WATCH_OPTIONS and re.match(r"$|-+[^\d.]", after):
            found.append(WATCH_INTERVAL)
    return found
