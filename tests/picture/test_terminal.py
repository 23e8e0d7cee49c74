"""What a program draws on a terminal becomes a picture."""

import os
import xml.etree.ElementTree as ET

from tests.picture.__main__ import COLUMNS, PICTURE, ROOT
from tests.picture.terminal import Terminal, svg

SVG = "{http://www.w3.org/2000/svg}"


def words(drawn: str) -> str:
    """The text in a picture."""
    texts = ET.fromstring(drawn).iter(f"{SVG}text")
    return " ".join("".join(text.itertext()) for text in texts).replace("\N{NO-BREAK SPACE}", " ")


def test_what_is_overwritten_is_gone_and_colours_stay() -> None:
    """As on a terminal: a program moves up and draws anew."""
    terminal = Terminal(30, 4)
    os.write(terminal.slave, b"old line\nkept\x1b[1A\r\x1b[2Knew \x1b[1;32mlive\x1b[0m & <b>")
    terminal.read_for(5, while_=lambda: "live" not in terminal.shown().plain)
    shown = terminal.shown()
    assert shown.plain == "new live & <b>\nkept"
    drawn = svg(shown, 30, "a title")
    assert "a title" in words(drawn)
    assert "live" in words(drawn)
    assert "& <b>" in words(drawn)
    assert "font-weight: bold" in drawn
    assert "old" not in words(drawn)


def test_a_picture_needs_nothing_from_elsewhere() -> None:
    """A page that shows it fetches no font."""
    assert "url(http" not in svg(Terminal(30, 4).shown(), 30, "empty")


def test_the_readme_shows_the_picture_and_it_shows_all_of_make_run() -> None:
    """Markets, strategies, and what was decided."""
    readme = (ROOT / "README.md").read_text()
    assert f"]({PICTURE.relative_to(ROOT)})" in readme[: readme.index("## Watch it")]
    drawn = PICTURE.read_text()
    assert len(drawn) < 200_000
    shown = words(drawn)
    for part in ("binance BTC/USDT", "luno XBT/ZAR", "rsi_reversion", "sma_crossover", "decided"):
        assert part in shown, f"{part} isn't in {PICTURE.name}: make picture"
    assert COLUMNS == 100
