"""What was won today is what the limits go by."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from common_models import StrategyPosition
from services._connector_kit.orders.risk.position_limits import PositionLimits
from services._runtime.position import Position
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import Holding
from services.tradectl.pnl import Result, by_market, of_market, of_strategy, today
from services.tradectl.positions import HeldPosition

DAY = "2026-11-28"
NUMBERS = st.decimals("-1000", "1000", places=6)
PRICES = st.decimals("0.01", "100000", places=2)
SYMBOLS = ("BTC/USDT", "ETH/USDT", "ETH/BTC", "XBT/ZAR")
POSITIONS = st.builds(
    dict[str, Any], quantity=NUMBERS, cash=NUMBERS, price=PRICES, profit_at_midnight=NUMBERS
)


@given(st.dictionaries(st.sampled_from(SYMBOLS), POSITIONS), st.sampled_from(["USDT", "ZAR"]))
def test_of_all_orders_it_is_what_the_connector_limits(
    kept: Mapping[str, Mapping[str, Any]], quote: str
) -> None:
    """Its own sum, at the same prices: less than nothing is lost."""
    positions = {symbol: Position(day=DAY, **fields) for symbol, fields in kept.items()}
    results = [
        of_market(HeldPosition("binance", symbol, position, None, None, today=True))
        for symbol, position in positions.items()
    ]
    found = today(results, lambda each: ("binance", each.currency))
    limits = PositionLimits(cast("Any", None), lambda _: None)
    lost = limits._lost(positions, quote)
    assert found.get(("binance", quote), 0) == -lost


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["binance", "luno"]),
            st.sampled_from(SYMBOLS),
            POSITIONS,
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_of_the_bot_it_is_what_the_bot_limits(
    held: list[tuple[str, str, dict[str, Any], bool]],
) -> None:
    """By the asset that is paid in, on all exchanges; a market without a price isn't counted."""
    portfolio, results, rounding = Portfolio(), [], Decimal(0)
    for number, (exchange, symbol, fields, priced) in enumerate(held):
        given_fields = fields if priced else {**fields, "price": None}
        holding = Holding(exchange=exchange, symbol=symbol, day=DAY, **given_fields)
        portfolio.state.holdings[str(number)] = holding
        won = holding.profit_today
        # The event has binary fractions of 53 bits: each value is rounded by less than this share.
        rounding += abs(won or Decimal(0)) * Decimal("1.2e-16")
        position = StrategyPosition(
            strategy=str(number),
            exchange=exchange,
            symbol=symbol,
            quantity=float(holding.quantity),
            profit_today=None if won is None else float(won),
        )
        results.append(of_strategy(position, today=True))
    found = today(results, lambda each: ("", each.currency))
    for quote in ("USDT", "BTC", "ZAR"):
        published = found.get(("", quote), Decimal(0))
        assert abs(published + portfolio.lost_today(quote)) <= rounding


def result(strategy: str, symbol: str, realised: str | None, won: str | None) -> Result:
    """What came of a strategy."""
    first = None if realised is None else Decimal(realised)
    last = None if won is None else Decimal(won)
    return Result(strategy, "binance", symbol, first, Decimal(2), first, Decimal("0.1"), last)


def test_a_market_is_the_sum_of_its_strategies() -> None:
    """What isn't known of one isn't known of both; 0.1 and 0.2 are 0.3."""
    first, second = by_market(
        [
            result("a", "BTC/USDT", "0.1", "1"),
            result("b", "ETH/USDT", "5", None),
            result("c", "BTC/USDT", "0.2", "-3"),
            result("d", "ETH/USDT", None, "7"),
        ]
    )
    assert first.row == {
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "currency": "USDT",
        "realised": Decimal("0.3"),
        "unrealised": 4,
        "profit": Decimal("0.3"),
        "fees": Decimal("0.2"),
        "profit_today": -2,
    }
    assert (second.realised, second.unrealised, second.today) == (None, Decimal(4), None)
