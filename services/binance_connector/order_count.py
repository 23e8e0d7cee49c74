"""Binance's limits of new orders: when one is reached, and until when. Pure.

https://developers.binance.com/docs/binance-spot-api-docs/faqs/order_count_decrement: the account's
unfilled orders are counted in intervals; a fill takes one off, a cancel doesn't. An answer to an
order carries the counts (`X-MBX-ORDER-COUNT-10S`, `-1D`), one of refusal may not; a refusal is 429
with code -1015, and has no `Retry-After`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

TOO_MANY_ORDERS = -1015
UNITS_MS = {"S": 1_000, "M": 60_000, "H": 3_600_000, "D": 86_400_000}
# What holds until the venue has said what its limits are, and where it doesn't: by interval in ms.
USUAL_LIMITS: Mapping[int, int] = {10_000: 50, 86_400_000: 160_000}
# Our clock is the venue's to a fraction of a second.
MARGIN_MS = 250

_HEADER = re.compile(r"X-MBX-ORDER-COUNT-(\d{1,4})([SMHD])", re.IGNORECASE)
_INTERVAL = re.compile(r"\bper (\d{1,4}) ?([SMHD])", re.IGNORECASE)


def limits_of(exchange_info: Any) -> dict[int, int]:
    """The limits of new orders that `exchangeInfo` names, by interval in ms; empty without any."""
    found = {}
    rows = exchange_info.get("rateLimits") if isinstance(exchange_info, dict) else None
    for row in rows if isinstance(rows, list) else ():
        try:
            if row["rateLimitType"] == "ORDERS":
                interval = int(row["intervalNum"]) * UNITS_MS[row["interval"][0]]
                if interval > 0:
                    found[interval] = int(row["limit"])
        except (LookupError, TypeError, ValueError):
            continue  # the next one may be readable
    return found


def refused_for(
    message: str, headers: Iterable[tuple[str, str]], limits: Mapping[int, int], now_ms: int
) -> float:
    """Seconds until new orders are taken again, after a refusal with code -1015.

    The message names the interval: "current limit is 50 orders per 10 SECOND". Where it doesn't,
    the counts in *headers* decide; without them it is the shortest interval.
    """
    named = _INTERVAL.search(message)
    if named:
        return _left(_milliseconds(named), now_ms)
    return reached_for(headers, limits, now_ms) or _left(min(limits), now_ms)


def reached_for(
    headers: Iterable[tuple[str, str]], limits: Mapping[int, int], now_ms: int
) -> float:
    """Seconds until the limits let another order pass that the counts in *headers* have reached.

    0 if no limit is reached.
    """
    wait = 0.0
    for name, count in headers:
        interval = _HEADER.fullmatch(name)
        if interval and count.isascii() and count.isdecimal():
            length = _milliseconds(interval)
            limit = limits.get(length)
            if limit is not None and int(count[:12]) >= limit:
                wait = max(wait, _left(length, now_ms))
    return wait


def _milliseconds(interval: re.Match[str]) -> int:
    return max(1, int(interval[1])) * UNITS_MS[interval[2].upper()]


def _left(length_ms: int, now_ms: int) -> float:
    """Seconds until the interval ends: intervals begin at multiples of their length."""
    return (length_ms - now_ms % length_ms + MARGIN_MS) / 1000
