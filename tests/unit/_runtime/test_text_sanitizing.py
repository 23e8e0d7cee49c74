"""Texts that may hold bytes of another encoding."""

import os

from hypothesis import given
from hypothesis import strategies as st

from services._runtime.text_sanitizing import escape_invalid_bytes, is_utf8


@given(st.binary())
def test_any_bytes_can_be_written_once_they_are_spelled_out(content: bytes) -> None:
    """As an argument or a variable brings them; what is UTF-8 stays as it is."""
    text = os.fsdecode(content)
    found = escape_invalid_bytes(text)
    assert is_utf8(found)
    assert found.encode() == content.decode("utf-8", "backslashreplace").encode()


@given(st.text(st.characters()))
def test_any_string_can_be_written_once_it_is_spelled_out(text: str) -> None:
    """Surrogates that stand for no byte too."""
    assert is_utf8(text) == (escape_invalid_bytes(text) == text)
    escape_invalid_bytes(text).encode()
