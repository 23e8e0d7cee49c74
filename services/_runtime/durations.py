"""Durations as text: `90s`, `5m`, `2h`, `1d`, `1w`. Pure."""

import re

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")


def parse_duration(text: str, units: str = "smhdw") -> int | None:
    """The duration in seconds; None if *text* is not a whole number and one of *units*."""
    found = _DURATION.fullmatch(text)
    if found is None or found[2] not in units:
        return None
    return int(found[1]) * UNIT_SECONDS[found[2]]
