"""The id of a Redis stream entry: `<milliseconds>-<sequence>`, by Redis's clock. Pure."""

import re

# A pair that sorts as Redis sorts ids.
EntryId = tuple[int, int]
START = "0-0"  # before every entry

_ENTRY_ID = re.compile(r"[0-9]+-[0-9]+")


def parse_entry_id(text: str | bytes) -> EntryId:
    """`"1700000000000-3"` as `(1700000000000, 3)`.

    Raises:
        ValueError: *text* is not an entry id.
    """
    spelled = text.decode() if isinstance(text, bytes) else text
    milliseconds, _, sequence = spelled.partition("-")
    return int(milliseconds), int(sequence)


def entry_milliseconds(text: str | bytes) -> int:
    """When Redis received the entry, in Unix milliseconds.

    Raises:
        ValueError: *text* is not an entry id.
    """
    return parse_entry_id(text)[0]


def is_entry_id(text: str) -> bool:
    """Whether *text* is a complete entry id: milliseconds and sequence."""
    return _ENTRY_ID.fullmatch(text) is not None
