"""Texts that may hold bytes of another encoding."""

import os

from hypothesis import given
from hypothesis import strategies as st

from services._runtime.text import is_text, spelled


@given(st.binary())
def test_any_bytes_can_be_written_once_they_are_spelled_out(content: bytes) -> None:
    """As an argument or a variable brings them; what is UTF-8 stays as it is."""
    text = os.fsdecode(content)
    found = spelled(text)
    assert is_text(found)
    assert found.encode() == content.decode("utf-8", "backslashreplace").encode()


@given(st.text(st.characters()))
def test_any_string_can_be_written_once_it_is_spelled_out(text: str) -> None:
    """Surrogates that stand for no byte too."""
    assert is_text(text) == (spelled(text) == text)
    spelled(text).encode()
