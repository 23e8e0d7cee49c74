"""Entry ids sort as Redis sorts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime.entry_ids import entry_milliseconds, is_entry_id, parse_entry_id


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_an_id_is_parsed_from_text_and_from_bytes(milliseconds: int, sequence: int) -> None:
    """Redis replies with bytes; saved positions are text."""
    text = f"{milliseconds}-{sequence}"
    assert parse_entry_id(text) == parse_entry_id(text.encode()) == (milliseconds, sequence)
    assert entry_milliseconds(text) == milliseconds
    assert is_entry_id(text)


def test_ids_sort_by_number_and_not_by_text() -> None:
    """As text, 9-0 would come after 10-0."""
    ids = ["10-0", "9-10", "9-9"]
    assert sorted(ids, key=parse_entry_id) == ["9-9", "9-10", "10-0"]


@pytest.mark.parametrize("text", ["", "-", "1", "1-", "-1", "a-1", "1-b", "1-2-3", " 1-2"])
def test_other_text_is_not_an_entry_id(text: str) -> None:
    """A complete id has two numbers."""
    assert not is_entry_id(text)


@pytest.mark.parametrize("text", ["", "-", "1-", "a-1", "1-b", "1-2-3"])
def test_parsing_refuses_what_is_not_an_entry_id(text: str) -> None:
    """A saved position may be damaged."""
    with pytest.raises(ValueError, match="invalid literal"):
        parse_entry_id(text)
