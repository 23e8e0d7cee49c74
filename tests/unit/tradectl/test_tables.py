"""Tables that fit: whatever is in them, on a terminal of whatever width."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from services.tradectl.tables import Column, Gain, Seconds, amount, table

Shown = Callable[..., list[str]]
NUMBERS = (
    st.integers(-(10**9), 10**9)
    | st.decimals("-1e6", "1e6", places=8)
    | st.floats(-1e6, 1e6, allow_nan=False).map(Seconds)
    | st.decimals("-1e6", "1e6", places=8).map(Gain)
)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A table's lines on a terminal so wide, without its title."""

    def lines(width: int, columns: list[Column | str], rows: list[tuple[object, ...]]) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        table("title", columns, rows)
        title, *rest = capsys.readouterr().out.splitlines()
        assert title.rstrip() == "title"
        return [line for line in rest if line.strip()]

    return lines


def test_numbers_stand_one_below_the_other_at_the_right(shown: Shown) -> None:
    """Whatever their length; words stand at the left, and "-" where there is nothing."""
    rows = [
        ("luno", Decimal("1234567.5"), Seconds(3.25), Gain(Decimal("-2.5"))),
        ("binance", 5, None, Gain(Decimal(10))),
    ]
    head, *lines = [line.rstrip() for line in shown(80, ["a", "b", "c", "d"], rows)]
    assert lines == [
        "luno     1234567.5  3.2 s  -2.5",
        "binance          5      -   +10",
    ]
    assert head == "a                b      c     d"


def test_what_needs_room_is_left_out_or_folded_on_a_narrow_terminal(shown: Shown) -> None:
    """Numbers are never cut; the words of the widest column go on in the next line."""
    columns = ["name", Column("more", wide=True), "number"]
    rows: list[tuple[object, ...]] = [
        ("one two three four five " * 4, "m" * 30, Decimal("0.00000001"))
    ]
    wide = shown(200, columns, rows)
    assert len(wide) == 2
    assert "m" * 30 in wide[1]
    narrow = shown(60, columns, rows)
    assert len(narrow) > 2
    assert "more" not in narrow[0]
    assert narrow[1].endswith(" 0.00000001")
    assert " ".join(" ".join(narrow[1:]).split()).count("three") == 4


def test_where_it_is_too_narrow_for_a_table_each_row_is_shown_below_the_other(
    shown: Shown,
) -> None:
    """A name and a value on each line; all of it is there."""
    rows = [tuple(f"value{i}{j}" for j in range(12)) for i in range(2)]
    lines = shown(60, [f"name{j}" for j in range(12)], rows)
    assert [line.split() for line in lines] == [
        [f"name{j}", f"value{i}{j}"] for i in range(2) for j in range(12)
    ]


def test_numbers_are_not_cut_however_many_there_are(shown: Shown) -> None:
    """Each on a line of its own, then."""
    rows = [tuple(Decimal(f"1234567.{j:05}") for j in range(10, 16))]
    lines = shown(60, list("abcdef"), rows)
    assert [line.split() for line in lines] == [
        [name, f"1234567.{j:05}".rstrip("0")]
        for name, j in zip("abcdef", range(10, 16), strict=True)
    ]


@given(
    width=st.integers(40, 250),
    rows=st.lists(
        st.tuples(st.text(max_size=200), NUMBERS, st.text(max_size=60), NUMBERS | st.none()),
        max_size=5,
    ),
)
def test_no_line_is_longer_than_the_terminal_is_wide(
    width: int, rows: list[tuple[object, ...]]
) -> None:
    """Whatever letters are in it, those that take two columns too."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setenv("COLUMNS", str(width))
        table("title", ["words", "a number", "more words", "another number"], rows)
    assert [line for line in out.getvalue().split("\n") if cell_len(line) > width] == []


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("91234.5678", "91234.57"), ("1.000049", "1.0000"), ("0.000012345", "0.00001234")],
)
def test_an_amount_has_as_many_decimals_as_a_person_reads(value: str, wanted: str) -> None:
    """Of a bitcoin's price two, of a share of a coin eight."""
    assert amount(Decimal(value)) == Decimal(wanted)
