"""Arguments that hold bytes of another encoding than UTF-8."""

from typing import Any

import typer
from typer.core import TyperGroup

from services._runtime.text import is_text, spelled
from services.tradectl.ending import Ending, tell


class Commands(TyperGroup):
    """The commands; none begins with an argument that is no text, but for `halt`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spell such bytes out in what `halt` is given: it holds however its reason is spelled."""
        if args[:1] == ["halt"]:
            args = [spelled(each) for each in args]
        for each in args:
            if not is_text(each):
                tell(f"tradectl: argument '{spelled(each)}': isn't text in UTF-8")
                raise typer.Exit(Ending.USAGE)
        return super().parse_args(ctx, args)
