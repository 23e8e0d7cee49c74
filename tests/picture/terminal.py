"""A terminal that nobody sits at: what a program draws on it, and that as a picture."""

import fcntl
import io
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

LOOK_EVERY = 0.2
CHUNK = 65_536
# Names of the terminal's colours that rich spells in another way.
COLOURS = {"brown": "yellow", "default": None}


class Terminal:
    """A pseudo-terminal of *columns* and *lines*; programs are given its `slave`."""

    def __init__(self, columns: int, lines: int) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen: Any = pyte.Screen(columns, lines)
        self._stream: Any = pyte.ByteStream(self._screen)

    def feed(self, drawn: bytes) -> None:
        """Draw *drawn*."""
        self._stream.feed(drawn)

    def read_for(self, seconds: float, while_: Callable[[], bool]) -> None:
        """Draw what programs write, for so long at most."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and while_():
            ready, _, _ = select.select([self._master], [], [], LOOK_EVERY)
            if ready:
                self.feed(os.read(self._master, CHUNK))

    def shown(self) -> Text:
        """What stands there now, with its colours; the empty lines at the end left out."""
        rows = []
        for number in range(self._screen.lines):
            cells = self._screen.buffer[number]
            row = Text()
            columns = (cells[column] for column in range(self._screen.columns))
            for style, alike in groupby(columns, key=_style):
                row.append("".join(cell.data for cell in alike), style)
            row.rstrip()
            rows.append(row)
        while rows and not rows[-1]:
            rows.pop()
        return Text("\n").join(rows)


def _style(cell: Any) -> Style:
    colour = COLOURS.get(cell.fg, cell.fg)
    if colour is not None and re.fullmatch("[0-9a-f]{6}", colour):
        colour = f"#{colour}"
    return Style(color=colour, bold=cell.bold)


def svg(text: Text, columns: int, title: str) -> str:
    """A picture of *text* that needs nothing from elsewhere: no font is fetched."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(text, no_wrap=True, crop=True)
    drawn = console.export_svg(title=title, theme=MONOKAI, unique_id="make-run")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    # Some programs drop the blanks at the beginning of a text, also those that don't break.
    drawn = drawn.replace("<text class", '<text xml:space="preserve" class')
    return drawn.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
