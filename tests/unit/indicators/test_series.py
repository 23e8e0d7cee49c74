"""A series: what it says after a restart is what it would have said, however long it has run."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.indicators.candles import Candle
from services.indicators.configuration import IndicatorSpec
from services.indicators.maths import Ema, Rsi
from services.indicators.plugins import Plugins
from services.indicators.series import FRESH_EVERY, LEAST_KEPT, Series
from tests.unit.indicators.configured import BUILT_IN, wanted
from tests.unit.indicators.test_maths import closes, walk

NAMES = ("rsi_14", "sma_50", "ema_20", "macd_12_26_9", "bb_20_2", "atr_14")
CANDLES = walk(11, 2600)


def series(*names: str, plugins: Plugins = BUILT_IN) -> Series:
    """A series with these indicators."""
    found = wanted(*(f"binance:BTC/USDT:{name}@trade" for name in names), plugins=plugins)
    return Series(found[0].source, found)


def said(one: Series, candles: Iterable[Candle]) -> list[list[tuple[str, tuple[float, ...]]]]:
    """What it says of each candle: the indicator and its numbers."""
    return [[(each.names[0], values) for each, _, values in one.add(candle)] for candle in candles]


UNINTERRUPTED = said(series(*NAMES), CANDLES)


@settings(max_examples=40)
@given(st.integers(0, len(CANDLES) - 30))
def test_a_restored_series_goes_on_as_if_it_had_not_stopped(stopped_at: int) -> None:
    """To the last bit, wherever it was stopped."""
    one = series(*NAMES)
    before = CANDLES[:stopped_at][-one.keep :]
    one.restore(before, stopped_at)
    until = min(len(CANDLES), stopped_at + 30)
    assert said(one, CANDLES[stopped_at:until]) == UNINTERRUPTED[stopped_at:until]


@pytest.mark.parametrize("at", [499, 500, 501, 999, 1000, 1499, 1500])
def test_that_holds_if_the_indicators_are_recomputed(at: int) -> None:
    """Just before, and just after."""
    one = series(*NAMES)
    one.restore(CANDLES[:at][-one.keep :], at)
    assert said(one, CANDLES[at : at + 600]) == UNINTERRUPTED[at : at + 600]


def test_recomputing_changes_no_value() -> None:
    """An average of 200 that never forgot says the same to 1e-12 after thousands of candles."""
    candles = walk(12, 6000)
    never_anew = Ema(200)
    expected = [never_anew.add(candle) for candle in candles]
    found = said(series("ema_200"), candles)
    for values, reference in zip(found[199:], expected[199:], strict=True):
        assert reference is not None
        assert values[0][1] == pytest.approx(reference, rel=1e-12)


STILL = ("sma_20", "sma_50", "ema_12", "ema_26", "bb_20_2", "rsi_14", "macd_12_26_9")


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(60, 700), st.sampled_from([0.01, 0.5, 10.0]))
def test_a_market_that_stands_still_gives_no_signal(seed: int, moving: int, step: float) -> None:
    """Not by rounding, and not where the indicators are made anew from a part of what was."""
    rng = random.Random(seed)
    price, prices = 64250.33, []
    for _ in range(moving):
        price = round(price + rng.choice((-3, -1, 0, 1, 3)) * step, 2)
        prices.append(price)
    one, never_anew = series(*STILL), Rsi(14)
    before: dict[str, float] = {}
    for n, candle in enumerate(closes(prices + [price] * 1300)):
        told = [dict(zip(w.names, v, strict=True)) for w, _, v in one.add(candle)]
        values = {name: value for each in told for name, value in each.items()}
        expected = never_anew.add(candle)
        if n >= moving + 50:
            assert values["sma_20"] == values["sma_50"] == price
            assert values["bb_20_2_lower"] == values["bb_20_2_upper"] == price
            assert expected is not None
            assert values["rsi_14"] == pytest.approx(expected[0], abs=1e-6)
            assert abs(values["rsi_14"] - before["rsi_14"]) < 1.0
        if n >= moving + 100:  # what lags has crossed by now
            for fast, slow in (("ema_12", "ema_26"), ("macd_12_26_9", "macd_12_26_9_signal")):
                was, now = before[fast] - before[slow], values[fast] - values[slow]
                assert was * now >= 0
                assert was or not now
        before = values
    assert values["rsi_14"] == pytest.approx(50.0, abs=1e-3)


def test_at_least_a_thousand_candles_are_kept() -> None:
    """And more where an indicator remembers longer."""
    assert series("sma_50").keep == LEAST_KEPT == 1000
    assert series("ema_200").keep == FRESH_EVERY + Ema(200).memory > 4000
    one = series("sma_50")
    said(one, CANDLES)
    assert list(one.candles) == CANDLES[-LEAST_KEPT:]


def test_after_a_gap_it_starts_again() -> None:
    """What it says then is what a new one says."""
    one = series(*NAMES)
    said(one, CANDLES[:700])
    assert all(each.warm for each in one.running)
    one.clear()
    assert not any(each.warm for each in one.running)
    assert said(one, CANDLES[700:1400]) == said(series(*NAMES), CANDLES[700:1400])


class Fussy:
    """Says what it is told to say, or raises it."""

    name = "fussy"
    outputs = ("", "twice")
    memory = 1
    says: object = (1.0, 2.0)

    def add(self, _: Candle) -> object:
        """Whatever was chosen."""
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (5.0, "TypeError: object of type 'float' has no len()"),
        ((1.0,), "ValueError: add returned (1.0,): expected 2 finite numbers, or None"),
        ((1.0, float("nan")), "ValueError: add returned (1.0, nan): expected 2 finite numbers, or"),
        ((1.0, "2"), "TypeError: must be real number, not str"),
    ],
)
def test_a_plugin_that_fails_is_stopped_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, says: object, reason: str
) -> None:
    """It says nothing more, even if it could."""
    plugins = Plugins([f"{Fussy.__module__}.Fussy"])
    one = series("fussy", "sma_1", plugins=plugins)
    assert said(one, CANDLES[:1]) == [[("fussy", (1.0, 2.0)), ("sma_1", (CANDLES[0].close,))]]
    monkeypatch.setattr(Fussy, "says", says)
    assert said(one, CANDLES[1:2]) == [[("sma_1", (CANDLES[1].close,))]]
    monkeypatch.setattr(Fussy, "says", (1.0, 2.0))
    assert said(one, CANDLES[2:3]) == [[("sma_1", (CANDLES[2].close,))]]
    stopped = one.running[0].stopped
    assert stopped is not None
    assert stopped.startswith(reason)


def names_of(found: Iterable[IndicatorSpec]) -> list[str]:
    """The first stream's name of each."""
    return [each.names[0] for each in found]


def test_each_value_comes_with_what_it_is_a_value_of() -> None:
    """And with the time of its candle."""
    one = series("sma_1", "sma_2")
    said(one, CANDLES[:1])
    found = one.add(CANDLES[1])
    assert names_of(each for each, _, _ in found) == ["sma_1", "sma_2"]
    assert {time for _, time, _ in found} == {CANDLES[1].time}
