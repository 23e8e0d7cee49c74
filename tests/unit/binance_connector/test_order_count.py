"""Binance's limits of new orders: read where it names them, and waited for to their ends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.binance_connector.order_count import (
    MARGIN_MS,
    USUAL_LIMITS,
    limits_of,
    reached_for,
    refused_for,
)
from services.exchange_simulator.binance.exchange_info import RATE_LIMITS

SECONDS, DAY = 10_000, 86_400_000
LIMITS = {SECONDS: 50, DAY: 1000}
NOON = 19_700 * DAY + DAY // 2
MARGIN = MARGIN_MS / 1000


def row(**fields: Any) -> dict[str, Any]:
    """One of `rateLimits`."""
    return {
        "rateLimitType": "ORDERS",
        "interval": "SECOND",
        "intervalNum": 10,
        "limit": 50,
    } | fields


def test_the_limits_are_those_of_exchange_info() -> None:
    """Orders' only, by interval in ms."""
    assert limits_of({"rateLimits": RATE_LIMITS}) == {SECONDS: 100, DAY: 200_000}
    hour = row(interval="HOUR", intervalNum=2, limit=7)
    minute = row(interval="MINUTE", intervalNum=1, limit=3)
    assert limits_of({"rateLimits": [hour, minute]}) == {7_200_000: 7, 60_000: 3}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        {"rateLimits": None},
        {"rateLimits": {}},
        {"rateLimits": [None, 7, {}]},
        {"rateLimits": [row(interval="FORTNIGHT"), row(interval=""), row(interval=None)]},
        {"rateLimits": [row(intervalNum=0), row(intervalNum="x"), row(limit="many")]},
        {"rateLimits": [row(rateLimitType="REQUEST_WEIGHT")]},
    ],
)
def test_limits_that_cant_be_read_are_ignored(answer: Any) -> None:
    """Whoever asked keeps those it has; none of them hides one that can be read."""
    assert limits_of(answer) == {}
    if isinstance(answer, dict) and isinstance(answer.get("rateLimits"), list):
        assert limits_of({"rateLimits": [*answer["rateLimits"], row()]}) == {SECONDS: 50}


def counts(seconds: object, day: object) -> list[tuple[str, str]]:
    """Headers of an answer to an order."""
    return [
        ("Date", "x"),
        ("x-mbx-order-count-10s", str(seconds)),
        ("X-MBX-ORDER-COUNT-1D", str(day)),
    ]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (counts(49, 999), 0.0),
        (counts(50, 999), 7.0 + MARGIN),
        (counts(51, 1), 7.0 + MARGIN),
        (counts(1, 1000), DAY / 2000 - 3.0 + MARGIN),
        (counts(50, 1000), DAY / 2000 - 3.0 + MARGIN),
        (counts("many", "-1"), 0.0),
        (counts("\uff15\uff10", ""), 0.0),
        ([("X-MBX-ORDER-COUNT-1H", "99999")], 0.0),
        ([("X-MBX-ORDER-COUNT-10SECONDS", "99999")], 0.0),
        ([("X-MBX-USED-WEIGHT-1M", "99999")], 0.0),
        ([], 0.0),
    ],
)
def test_a_count_that_reached_its_limit_is_waited_for(
    headers: list[tuple[str, str]], seconds: float
) -> None:
    """To the end of its interval, which begins at a multiple of its length."""
    assert reached_for(headers, LIMITS, NOON + 3000) == pytest.approx(seconds)


SAID = "Too many new orders; current limit is {} orders per {}."


@pytest.mark.parametrize(
    ("message", "headers", "seconds"),
    [
        (SAID.format(50, "10 SECOND"), [], 7.0 + MARGIN),
        (SAID.format(50, "10 seconds"), counts(1, 1000), 7.0 + MARGIN),
        (SAID.format(50, "10s"), [], 7.0 + MARGIN),
        (SAID.format(1000, "1 DAY"), [], DAY / 2000 - 3.0 + MARGIN),
        (SAID.format(1000, "1 DAY"), counts(50, 1), DAY / 2000 - 3.0 + MARGIN),
        (SAID.format(9, "2 HOUR"), [], 7200 - 3.0 + MARGIN),
        (SAID.format(9, "5 MINUTE"), [], 300 - 3.0 + MARGIN),
        ("Too many new orders.", counts(1, 1000), DAY / 2000 - 3.0 + MARGIN),
        ("Too many new orders.", [], 7.0 + MARGIN),
        ("", counts(1, 1), 7.0 + MARGIN),
    ],
)
def test_a_refusal_is_waited_for_to_the_end_of_its_interval(
    message: str, headers: list[tuple[str, str]], seconds: float
) -> None:
    """The message names it; else the counts tell; else it is the shortest."""
    assert refused_for(message, headers, LIMITS, NOON + 3000) == pytest.approx(seconds)


@given(
    now=st.integers(0, 2**42),
    message=st.text() | st.from_regex(r"per \d{1,5} ?[SMHDsmhd]"),
    headers=st.lists(
        st.tuples(st.from_regex(r"X-MBX-ORDER-COUNT-\d{1,5}[SMHD]", fullmatch=True), st.text())
    ),
)
def test_a_refusal_always_has_new_orders_wait(
    now: int, message: str, headers: list[tuple[str, str]]
) -> None:
    """Whatever it says: for longer than the margin, and not for ever."""
    wait = refused_for(message, headers, USUAL_LIMITS, now)
    assert MARGIN < wait <= 9999 * 86_400 + MARGIN
