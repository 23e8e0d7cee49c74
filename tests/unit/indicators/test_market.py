"""A market: the same entries give the same values, however they are cut and wherever it stopped."""

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common_models import IndicatorValue
from services._runtime.stream_position import StreamPosition
from services.indicators.candles import Candle
from services.indicators.market import IndicatorMarket, IndicatorOutput, SavedLine, SavedMarket
from tests.support.market_data.messages import trade, wire
from tests.unit.indicators.configured import wanted

NAMES = ("rsi_5@trade", "ema_5_10s@10s", "sma_3@1m", "macd_2_4_3_10s@10s")
ENTRIES = [
    (
        f"{number}-0",
        wire(
            trade(price=100 + (number * 7919) % 64 / 8, number=number).model_copy(
                update={
                    "timestamp": datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=2.5 * number)
                }
            )
        ),
    )
    for number in range(1, 620)
]


def market(*names: str) -> IndicatorMarket:
    """BTC/USDT with these indicators."""
    return IndicatorMarket(wanted(*(f"binance:BTC/USDT:{name}" for name in names or NAMES)))


def decoded(outputs: list[IndicatorOutput], name: str) -> list[IndicatorValue]:
    """The values of one indicator."""
    stream = f"indicators:{name}:binance:BTCUSDT"
    return [IndicatorValue.model_validate_json(o.data) for o in outputs if o.stream == stream]


def saved(one: IndicatorMarket, kept: dict[str, list[Candle]], at: str) -> SavedMarket:
    """What a store would have of it: encoded and decoded, its candles added to what is *kept*."""
    lines = {}
    for name, line in one.lines.items():
        kept[name] = ([] if line.cleared else kept.get(name, [])) + line.new
        kept[name] = kept[name][-line.series.keep :]
        candles = [msgspec.json.decode(msgspec.json.encode(c), type=Candle) for c in kept[name]]
        fields = msgspec.json.encode(line.saved(at))
        lines[name] = (msgspec.json.decode(fields, type=SavedLine), candles)
    one.saved()
    return SavedMarket(StreamPosition(at), one.trade_id, lines)


WHOLE = market().handle(ENTRIES)


@settings(max_examples=25)  # each runs through hundreds of trades
@given(st.lists(st.integers(0, len(ENTRIES)), max_size=8).map(sorted), st.booleans())
def test_however_it_is_cut_and_restarted_the_values_are_the_same(
    cuts: list[int], restarts: bool
) -> None:
    """Byte for byte."""
    one, outputs, kept = market(), [], dict[str, list[Candle]]()
    for start, end in itertools.pairwise((0, *cuts, len(ENTRIES))):
        outputs += one.handle(ENTRIES[start:end])
        if restarts and end:
            state = saved(one, kept, ENTRIES[end - 1][0])
            one = market()
            one.restore(state)
    assert outputs == WHOLE


def test_a_line_that_missed_entries_starts_again() -> None:
    """It was saved at another position than the market."""
    one, kept = market(), dict[str, list[Candle]]()
    one.handle(ENTRIES[:600])
    state = saved(one, kept, "600-0")
    state.lines["10s"][0].at = "500-0"
    other = market()
    other.restore(state)
    assert other.lines["10s"].series.count == 0
    assert other.lines["10s"].cleared
    assert other.lines["trade"].series.count == 600


def test_a_value_says_what_it_is() -> None:
    """Name, market, the candle's end and length, and the trade that closed the candle."""
    value = decoded(WHOLE, "sma_3")[0]
    assert (value.indicator_name, value.symbol, value.exchange) == ("sma_3", "BTC/USDT", "binance")
    assert (value.timestamp, value.timeframe) == (datetime(2026, 1, 2, 0, 4, tzinfo=UTC), "1m")
    assert value.caused_by == "binance:BTCUSDT:trades 96-0"
    assert {each.timeframe for each in decoded(WHOLE, "rsi_5")} == {None}


def test_a_jump_in_the_ids_is_a_hole_for_every_line() -> None:
    """All begin anew with the trade behind it."""
    one = market()
    one.handle(ENTRIES[:500])
    assert one.handle(ENTRIES[501:505]) == []
    assert one.holes == 1
    assert {name: line.series.count for name, line in one.lines.items()} == {
        "trade": 4,
        "10s": 0,
        "1m": 0,
    }


def test_a_hole_that_is_known_already_is_not_found_again_by_the_ids() -> None:
    """The first trade behind it begins anew, as any first trade does."""
    one = market()
    one.handle(ENTRIES[:500])
    one.hole("trimmed")
    one.handle(ENTRIES[510:520])
    assert one.holes == 1
    assert one.lines["trade"].series.count == 10


@pytest.mark.parametrize("trade_id", ["9" * 5000, "x" * 5000, "-1", "1e3", "\u00b2"])
def test_an_id_that_is_not_a_number_is_a_gap(trade_id: str) -> None:
    """Anybody may have written it; what it says is short."""
    one = market()
    one.handle(ENTRIES[:1])
    odd = trade().model_copy(update={"trade_id": trade_id})
    one.handle([("2-0", wire(odd)), ("3-0", wire(odd)), *ENTRIES[3:5]])
    assert one.holes == 3


def test_a_jump_of_ids_is_not_a_gap_on_an_exchange_that_skips_numbers() -> None:
    """Luno numbers all that happens in a market, not its trades alone."""
    one = IndicatorMarket(wanted("luno:XBT/ZAR:sma_2@trade"))
    entries = [
        (f"{n}-0", wire(trade("XBT/ZAR", "luno", number=number)))
        for n, number in enumerate((5, 9, 31), 1)
    ]
    assert len(one.handle(entries)) == 2
    assert one.holes == 0


def test_late_trades_are_counted_and_saved() -> None:
    """They are left out of candles, and no less a trade for an indicator of trades."""
    one = market("sma_1@10s", "sma_1_trade@trade")
    one.handle(ENTRIES[:20])
    late = trade(number=21).model_copy(update={"timestamp": datetime(2026, 1, 2, tzinfo=UTC)})
    (value,) = decoded(one.handle([("21-0", wire(late))]), "sma_1_trade")
    assert value.value == late.price
    state = saved(one, {}, "21-0")
    assert state.lines["10s"][0].late == 1
    other = market("sma_1@10s", "sma_1_trade@trade")
    other.restore(state)
    builder = other.lines["10s"].builder
    assert builder is not None
    assert builder.late == 1
