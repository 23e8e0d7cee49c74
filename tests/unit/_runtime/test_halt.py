"""The reason of a halt, whatever the switch holds."""

import pytest

from services._runtime.halt import MOST_SHOWN, halt_reason


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, None),
        (b"", "no reason given"),
        (b"prices look wrong", "prices look wrong"),
        (b"\xff", "\ufffd"),
        (b"x" * 10_000_000, "x" * MOST_SHOWN),
    ],
)
def test_the_reason_is_what_was_set(found: bytes | None, reason: str | None) -> None:
    """Any value halts, and a long one is told in part."""
    assert halt_reason(found) == reason
