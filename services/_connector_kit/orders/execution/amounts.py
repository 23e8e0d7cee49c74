"""Prices, quantities and times from venue JSON, validated so that later arithmetic cannot fail."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

# A larger value is invalid; a smaller one counts as 0. A float can hold everything between.
LARGEST = Decimal("1e30")
SMALLEST = Decimal("1e-30")
# 2010 to 2100: a time in seconds or microseconds would be far outside.
FIRST_MOMENT = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp() * 1000)
LAST_MOMENT = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)


def amount(value: object) -> Decimal:
    """Parse a price or quantity of 0 or more from its decimal string.

    Raises:
        ValueError: *value* is not a string, not a finite number, negative, or above `LARGEST`.
    """
    try:
        found = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or found < 0 or found > LARGEST:
        raise ValueError(
            f"{str(value)[:40]!r} is an invalid amount; expected a decimal string like '0.25'"
        )
    return found if found >= SMALLEST else Decimal(0)


def positive(value: object) -> Decimal:
    """Parse a price or quantity above 0 from its decimal string.

    Raises:
        ValueError: *value* is invalid for `amount`, or is 0.
    """
    found = amount(value)
    if not found:
        raise ValueError(f"{str(value)[:40]!r} is an invalid amount; expected one above 0")
    return found


def moment(value: object) -> int:
    """Check a time in epoch milliseconds.

    Raises:
        ValueError: *value* is not an integer between 2010 and 2100.
    """
    if type(value) is not int or not FIRST_MOMENT <= value < LAST_MOMENT:
        raise ValueError(f"{str(value)[:40]!r} is an invalid time; expected epoch milliseconds")
    return value
