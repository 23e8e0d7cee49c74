"""Amounts as venues write them, read so that no arithmetic on them can fail later."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

# Neither more than a venue would name nor less than a float can hold.
LARGEST = Decimal("1e30")
SMALLEST = Decimal("1e-30")
# 2010 to 2100: a moment in seconds or microseconds would be far outside.
FIRST_MOMENT = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp() * 1000)
LAST_MOMENT = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)


def amount(value: object) -> Decimal:
    """A price or quantity of 0 or more, from its text.

    Raises:
        ValueError: it is none.
    """
    try:
        found = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or found < 0 or found > LARGEST:
        raise ValueError(f"{str(value)[:40]!r} is no amount; want text such as '0.25'")
    return found if found >= SMALLEST else Decimal(0)


def positive(value: object) -> Decimal:
    """The same, above 0.

    Raises:
        ValueError: it is none.
    """
    found = amount(value)
    if not found:
        raise ValueError(f"{str(value)[:40]!r} is no amount above 0")
    return found


def moment(value: object) -> int:
    """A time in epoch milliseconds.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not FIRST_MOMENT <= value < LAST_MOMENT:
        raise ValueError(f"{str(value)[:40]!r} is no time; want epoch milliseconds")
    return value
