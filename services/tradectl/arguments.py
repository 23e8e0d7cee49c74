"""Arguments that look like something else: bytes that are no text, numbers like options."""

import itertools
import re
from typing import Any

import typer
from typer.core import TyperGroup

from services._runtime.text import is_text, spelled
from services.tradectl.ending import Ending, tell


class Commands(TyperGroup):
    """The commands; none takes an argument that is no text, but for `halt`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spell such bytes out in what `halt` is given: it holds however its reason is spelled."""
        if ctx.resilient_parsing:  # a shell asks what may come next
            return super().parse_args(ctx, args)
        if args[:1] == ["halt"]:
            args = [spelled(each) for each in args]
        for each in args:
            if not is_text(each):
                tell(f"tradectl: argument '{spelled(each)}': isn't text in UTF-8")
                raise typer.Exit(Ending.USAGE)
        for before, each in itertools.pairwise(args):
            # "-1" reads as an option, unless it is the value of one.
            if args[0] == "place" and re.match(r"-\.?\d", each) and not before.startswith("-"):
                tell(f"tradectl: quantity={each}: want a number above 0; SIDE says buy or sell")
                raise typer.Exit(Ending.USAGE)
        return super().parse_args(ctx, args)
