"""The strategies that come with the bot: when they act, and when they don't."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import IndicatorValue
from services.bot.strategies import DoNothing, RsiReversion, SmaCrossover
from services.bot.strategy import Intent, Market
from tests.support.market_data import WHEN, trade


@dataclass
class FakeMarket:
    """A market of which a test says what is held, and what the indicators are."""

    position: Decimal = Decimal(0)
    quantity: Decimal = Decimal("0.001")
    values: dict[str, IndicatorValue] = field(default_factory=dict)

    def indicator(self, name: str) -> IndicatorValue:
        """What was set."""
        return self.values[name]


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
    """It acts where the RSI enters a zone; on the bound it hasn't."""
    market = FakeMarket()
    strategy = RsiReversion(cast(Market, market))
    assert [side(strategy.on_indicator(value(n))) for n in (50, 30, 29.9, 20, 29)] == [
        *(None, None, "buy"),
        *(None, None),
    ]
    market.position = Decimal("0.001")
    assert [side(strategy.on_indicator(value(n))) for n in (35, 25, 70, 70.1, 90)] == [
        *(None, None, None),
        *("sell", None),
    ]
    market.position = Decimal(0)
    assert side(strategy.on_indicator(value(10))) == "buy"
    assert strategy.state == {"zone": "oversold"}


@given(st.lists(st.floats(0, 100), max_size=50))
def test_rsi_never_buys_twice_without_leaving_the_zone(numbers: list[float]) -> None:
    """However the values jump, between two buys there was one that isn't below 30."""
    strategy = RsiReversion(cast(Market, FakeMarket()))
    acted = [side(strategy.on_indicator(value(number))) for number in numbers]
    assert "sell" not in acted  # nothing is held
    buys = [i for i, each in enumerate(acted) if each]
    for one, other in pairwise(buys):
        assert any(number >= 30 for number in numbers[one:other])


@pytest.mark.parametrize("by", ["timestamp", "cause"])
def test_crossover_buys_at_the_golden_cross_and_sells_at_the_death_cross(by: str) -> None:
    """Once a cross; the first comparison is none, and what isn't of the same candle is none."""
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
    assert strategy.state == {"above": False}


def test_doing_nothing_counts_and_wants_nothing() -> None:
    """The count is in its state."""
    strategy = DoNothing(cast(Market, FakeMarket()))
    assert [strategy.on_trade(trade()) for _ in range(3)] == [None] * 3
    assert strategy.state == {"trades": 3}


@pytest.mark.parametrize(
    ("given_", "fault"),
    [
        ({"side": "hold", "reason": "x"}, "side='hold'"),
        ({"side": "buy", "reason": ""}, "reason=''"),
        ({"side": "buy", "reason": "x", "quantity": 0.1}, "quantity=0.1: want a Decimal"),
        ({"side": "buy", "reason": "x", "price": Decimal(0)}, "price=0: want a number greater"),
        ({"side": "buy", "reason": "x", "price": Decimal("NaN")}, "price=NaN"),
    ],
)
def test_an_intent_that_is_no_order_cannot_be_made(given_: dict[str, Any], fault: str) -> None:
    """The message names the field."""
    with pytest.raises((TypeError, ValueError), match=fault):
        Intent(**given_)
