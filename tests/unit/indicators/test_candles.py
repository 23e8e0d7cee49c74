"""Candles: UTC boundaries, whole ones only, and no trade counted twice or dropped unseen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.indicators.candles import (
    DAY,
    EPOCH,
    MOST_CARRIED,
    Candle,
    CandleBuilder,
    parse_timeframe,
)

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

Traded = tuple[datetime, float, Decimal]


def at(seconds: float, price: float = 100.0, quantity: str = "1") -> Traded:
    """A trade so many seconds after noon."""
    return NOON + timedelta(seconds=seconds), price, Decimal(quantity)


def fed(builder: CandleBuilder, *trades: Traded) -> list[Candle]:
    """All candles that these trades close."""
    return [candle for trade in trades for candle in builder.add(*trade) or []]


quantities = st.decimals("0.00000001", "1000", places=8)
prices = st.integers(1, 10**6).map(lambda n: n / 8)


@st.composite
def trades_in_order(draw: st.DrawFn) -> list[Traded]:
    """Trades whose times never go back, some minutes long."""
    steps = draw(st.lists(st.integers(0, 150_000_000), min_size=1, max_size=60))
    time, trades = NOON, []
    for step in steps:
        time += timedelta(microseconds=step)
        trades.append((time, draw(prices), draw(quantities)))
    return trades


@pytest.mark.parametrize(
    ("text", "length"),
    [("1s", 1), ("10s", 10), ("1m", 60), ("15m", 900), ("4h", 14_400), ("1d", 86_400)],
)
def test_a_timeframe_is_a_number_and_a_unit(text: str, length: int) -> None:
    """Seconds, minutes, hours, or the day."""
    assert parse_timeframe(text) == timedelta(seconds=length)


@pytest.mark.parametrize(
    "text", ["", "m", "0m", "7m", "5h", "2d", "1w", "1M", "-1m", "01m", "1.5m", "1٢m"]
)
def test_a_period_that_does_not_divide_a_day_is_not_a_timeframe(text: str) -> None:
    """The error says what one looks like."""
    with pytest.raises(
        ValueError, match=r"expected a number and s, m, h or d that divides a day.* 5m"
    ):
        parse_timeframe(text)


def test_a_candle_is_closed_by_the_first_trade_behind_it() -> None:
    """With the first, highest, lowest and last price, and its end for a time."""
    builder = CandleBuilder(MINUTE)
    assert fed(builder, at(-1), at(0, 10, "1"), at(1, 30, "0.5"), at(2, 5), at(59.999, 20)) == []
    assert fed(builder, at(60)) == [Candle(NOON + MINUTE, 10, 30, 5, 20, Decimal("3.5"))]


def test_the_first_candle_is_not_whole() -> None:
    """Nobody knows what was traded in it before the first trade that was seen."""
    assert fed(CandleBuilder(MINUTE), at(30), at(60), at(119)) == []


def test_empty_candles_carry_the_last_price() -> None:
    """Three minutes without trades are three candles without volume."""
    builder = CandleBuilder(MINUTE)
    candles = fed(builder, at(-1), at(0, 10), at(240, 50))
    assert [candle.time for candle in candles] == [NOON + n * MINUTE for n in (1, 2, 3, 4)]
    assert candles[1:] == [Candle(NOON + n * MINUTE, 10, 10, 10, 10, Decimal(0)) for n in (2, 3, 4)]


def test_a_trade_of_a_closed_candle_is_counted_and_left_out() -> None:
    """It changes neither the closed candle nor the open one."""
    builder = CandleBuilder(MINUTE)
    fed(builder, at(-1), at(0), at(60, 10))
    assert fed(builder, at(59.9, 99, "7")) == []
    assert builder.late == 1
    assert fed(builder, at(120)) == [Candle(NOON + 2 * MINUTE, 10, 10, 10, 10, Decimal(1))]


def test_after_a_hole_neither_the_open_candle_nor_the_next_is_whole() -> None:
    """Whether the next trade falls into the same minute or a later one."""
    for seconds in (31, 90, 180):
        builder = CandleBuilder(MINUTE)
        fed(builder, at(-1), at(0), at(30))
        builder.hole()
        later = at(seconds)[0].replace(second=0) + MINUTE
        assert builder.add(*at(seconds)) == []
        assert fed(builder, (later, 7.0, Decimal(2))) == []
        assert fed(builder, (later + MINUTE, 8.0, Decimal(1))) == [
            Candle(later + MINUTE, 7, 7, 7, 7, Decimal(2))
        ]


@pytest.mark.parametrize("direction", [1, -1])
def test_a_clock_that_jumped_is_a_hole(direction: int) -> None:
    """As many candles are carried as are ever needed, not a year of them."""
    builder = CandleBuilder(MINUTE)
    fed(builder, at(-1), at(0))
    jump = direction * (MOST_CARRIED + 1) * 60
    assert builder.add(*at(jump)) is None
    assert builder.late == 0
    assert fed(builder, at(jump + 60)) == []
    assert len(fed(builder, at(jump + 120))) == 1


@given(trades_in_order(), st.sampled_from(["1s", "10s", "1m", "5m", "1h"]))
def test_every_trade_is_in_exactly_one_candle(trades: list[Traded], text: str) -> None:
    """Volumes add up to the last digit: closed candles, the open one, and the first one's."""
    length = parse_timeframe(text)
    builder = CandleBuilder(length)
    candles = fed(builder, *trades)
    first = (trades[0][0] - EPOCH) // length
    unseen = sum((q for time, _, q in trades if (time - EPOCH) // length == first), Decimal(0))
    assert builder.current is not None
    still_open = builder.current.volume if builder.current.whole else Decimal(0)
    total = sum((quantity for _, _, quantity in trades), Decimal(0))
    assert sum((candle.volume for candle in candles), still_open) + unseen == total
    assert builder.late == 0


@given(trades_in_order(), st.sampled_from(["1s", "10s", "1m", "5m", "1h"]))
def test_candles_follow_each_other_without_a_gap(trades: list[Traded], text: str) -> None:
    """Each ends on a UTC boundary, one length after the one before, and holds its own trades."""
    length = parse_timeframe(text)
    candles = fed(CandleBuilder(length), *trades)
    for candle in candles:
        midnight = candle.time.replace(hour=0, minute=0, second=0, microsecond=0)
        assert (candle.time - midnight) % length == timedelta()
        within = [p for time, p, _ in trades if candle.time - length <= time < candle.time]
        if within:
            assert (candle.open, candle.close) == (within[0], within[-1])
            assert (candle.high, candle.low) == (max(within), min(within))
        else:
            assert candle.volume == 0
            assert candle.open == candle.high == candle.low == candle.close
    for before, after in pairwise(candles):
        assert after.time - before.time == length


@given(st.lists(st.tuples(prices, quantities), min_size=2, max_size=20), st.randoms())
def test_high_low_and_volume_do_not_depend_on_the_order_within_a_candle(
    traded: list[tuple[float, Decimal]], random: object
) -> None:
    """Open and close do: they are the first and the last of the stream."""

    def candle(trades: list[tuple[float, Decimal]]) -> Candle:
        builder = CandleBuilder(MINUTE)
        inside = [(NOON + timedelta(seconds=1), price, quantity) for price, quantity in trades]
        (found,) = fed(builder, at(-1), *inside, at(60))
        return found

    shuffled = traded.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = candle(traded), candle(shuffled)
    assert (one.high, one.low, one.volume) == (other.high, other.low, other.volume)
    assert (other.open, other.close) == (shuffled[0][0], shuffled[-1][0])


def test_a_day_is_whole() -> None:
    """All boundaries are those of UTC days, whatever the length."""
    assert DAY % parse_timeframe("1d") == timedelta()
