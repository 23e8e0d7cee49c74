"""The strategies that come with the bot: when they act, and when they don't."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import IndicatorValue
from services.bot.strategies import DoNothing, RsiReversion, SmaCrossover
from services.bot.strategy import Intent, Market, Refused
from tests.support.market_data.messages import WHEN, trade
from tests.unit.bot.fake_market import FakeMarket


def value(number: float, name: str = "rsi_14", minute: int = 0, **more: Any) -> IndicatorValue:
    """One value of one minute."""
    return IndicatorValue(
        timestamp=WHEN + timedelta(minutes=minute),
        value=number,
        indicator_name=name,
        symbol="BTC/USDT",
        exchange="binance",
        **more,
    )


def side(intent: Intent | None) -> str | None:
    """What is wanted."""
    return intent.side if intent else None


def test_rsi_buys_below_30_once_and_sells_what_it_holds_above_70() -> None:
    """It buys where the RSI enters the zone, and sells until nothing is left; not on the bound."""
    market = FakeMarket()
    strategy = RsiReversion(cast(Market, market))
    assert [side(strategy.on_indicator(value(n))) for n in (50, 30, 29.9, 20, 29)] == [
        *(None, None, "buy"),
        *(None, None),
    ]
    market.position = Decimal("0.001")
    assert [side(strategy.on_indicator(value(n))) for n in (35, 25, 70, 70.1, 90)] == [
        *(None, None, None),
        *("sell", "sell"),
    ]
    market.position = Decimal(0)
    assert [side(strategy.on_indicator(value(n))) for n in (90, 10, 5)] == [None, "buy", None]


# Whether a value is in the zone, whether an order is pending, and whether an intent is refused.
STEPS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=50)


def assert_each_edge_is_used_once(
    steps: list[tuple[bool, bool, bool]], wanted: list[str | None]
) -> None:
    """From its first value on an edge is open, until an intent isn't refused."""
    still_open = False
    before = False
    for (inside, pending, refused), intent in zip(steps, wanted, strict=True):
        if pending:
            assert intent is None
            continue
        still_open = inside and (still_open or not before)
        assert intent == ("buy" if still_open else None)
        still_open = still_open and refused
        before = inside


@given(STEPS)
def test_rsi_uses_each_edge_once_whatever_is_refused(steps: list[tuple[bool, bool, bool]]) -> None:
    """The first value in the zone that isn't refused buys, and none after it in the same zone."""
    market = FakeMarket()
    strategy = RsiReversion(cast(Market, market))
    wanted = []
    for inside, market.pending, refused in steps:
        intent = strategy.on_indicator(value(20 if inside else 50))
        wanted.append(side(intent))
        if intent and refused:
            strategy.on_refused(Refused(intent.side, market.quantity, "halted", "lunch"))
    assert_each_edge_is_used_once(steps, wanted)


@given(STEPS)
def test_crossover_uses_each_cross_once_whatever_is_refused(
    steps: list[tuple[bool, bool, bool]],
) -> None:
    """As above; the first comparison, here below, is no cross."""
    market = FakeMarket()
    strategy = SmaCrossover(cast(Market, market))
    wanted = []
    for minute, (above, market.pending, refused) in enumerate([(False, False, False), *steps]):
        for name, number in (("sma_20", 11 if above else 9), ("sma_50", 10)):
            market.values[name] = value(number, name, minute)
        intent = strategy.on_indicator(market.values["sma_50"])
        wanted.append(side(intent))
        if intent and refused:
            strategy.on_refused(Refused(intent.side, market.quantity, "halted", "lunch"))
    assert_each_edge_is_used_once(steps, wanted[1:])


@pytest.mark.parametrize("by", ["timestamp", "cause"])
def test_crossover_buys_at_the_golden_cross_and_sells_at_the_death_cross(by: str) -> None:
    """The first comparison is no cross, and what isn't of the same candle is none."""
    market = FakeMarket()
    strategy = SmaCrossover(cast(Market, market))
    acted = []
    for minute, (fast, slow) in enumerate([(9, 10), (11, 10), (12, 10), (10, 10), (9, 10)]):
        for name, number in (("sma_20", fast), ("sma_50", slow)):
            more = {"caused_by": f"t {minute}-0"} if by == "cause" else {}
            when = 0 if by == "cause" else minute
            new = value(number, name, when, **more)
            market.values[name] = new
            if len(market.values) == 2:
                acted.append(side(strategy.on_indicator(new)))
        if "buy" in acted:
            market.position = Decimal("0.001")
    assert [each for each in acted if each] == ["buy", "sell"]
    assert acted.index("buy") == 2  # not before the slower average is of the same candle
    assert side(strategy.on_indicator(new)) == "sell"  # as long as it is below


def test_do_nothing_counts_trades_and_never_trades() -> None:
    """The count is in its state."""
    strategy = DoNothing(cast(Market, FakeMarket()))
    assert [strategy.on_trade(trade()) for _ in range(3)] == [None] * 3
    assert strategy.state == {"trades": 3}


@pytest.mark.parametrize(
    ("given_", "fault"),
    [
        ({"side": "hold", "reason": "x"}, "side='hold'"),
        ({"side": "buy", "reason": ""}, "reason=''"),
        ({"side": "buy", "reason": "x", "quantity": 0.1}, "quantity=0.1: expected a Decimal"),
        ({"side": "buy", "reason": "x", "price": Decimal(0)}, "price=0: expected a number greater"),
        ({"side": "buy", "reason": "x", "price": Decimal("NaN")}, "price=NaN"),
    ],
)
def test_an_invalid_intent_cannot_be_made(given_: dict[str, Any], fault: str) -> None:
    """The message names the field."""
    with pytest.raises((TypeError, ValueError), match=fault):
        Intent(**given_)
