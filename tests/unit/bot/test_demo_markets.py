"""What `make run` shows: its strategies on candles of a second, on its simulated markets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest

from common_models import IndicatorValue
from services._local.settings import PHASE
from services.bot.strategies import RsiReversion, SmaCrossover
from services.bot.strategy import Market, Strategy
from services.exchange_simulator import market as simulated
from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.traders import Traders
from services.indicators.candles import Candle
from services.indicators.maths import Rsi, Sma
from tests.unit.bot.fake_market import FakeMarket

RATE = 40  # actions a second, as `make run` has them
MINUTES = 15
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FEE = 0.001  # of what is bought or sold


def seconds(symbol: str, seed: int) -> Iterator[tuple[float, float, float]]:
    """The last price, the best bid and the best ask at the end of each second."""
    instrument = next(i for i in INSTRUMENTS if i.symbol == symbol)
    market = simulated.SimulatedMarket(instrument, lambda: 1_790_000_000_000)
    traders = Traders(market, seed, 300, int(PHASE) * RATE)
    traders.open_market()
    for _ in range(MINUTES * 60):
        for _ in range(RATE):
            traders.act()
        last = market.trades.row(market.trades.next_id - 1)[1]
        bid, ask = market.engine.best()
        assert bid is not None
        assert ask is not None
        yield last, bid[0], ask[0]


def gains(kind: type[Strategy], symbol: str, seed: int) -> list[float]:
    """What each round trip of a strategy gained, after fees, as a share of what it bought for."""
    account = FakeMarket()
    strategy = kind(cast("Market", account))
    makers: dict[str, Rsi | Sma] = {"rsi_14": Rsi(14), "sma_20": Sma(20), "sma_50": Sma(50)}
    found, paid = [], 0.0
    for number, (last, bid, ask) in enumerate(seconds(symbol, seed)):
        when = BEGAN + timedelta(seconds=number)
        candle = Candle(when, last, last, last, last, Decimal(1))
        made = {name: makers[name].add(candle) for name in strategy.indicators}
        account.values |= {
            name: IndicatorValue(
                timestamp=when,
                value=values[0],
                indicator_name=name,
                symbol=symbol,
                exchange="simulated",
            )
            for name, values in made.items()
            if values is not None
        }
        if len(account.values) < len(strategy.indicators):
            continue
        intent = strategy.on_indicator(account.values[strategy.indicators[-1]])
        match getattr(intent, "side", None):
            case "buy":
                account.position, paid = account.quantity, ask * (1 + FEE)
            case "sell":
                account.position = Decimal(0)
                found.append(bid * (1 - FEE) / paid - 1)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "symbol"), [(RsiReversion, "BTC/USDT"), (SmaCrossover, "XBT/ZAR")]
)
def test_the_demos_strategies_gain_more_than_their_fees(kind: type[Strategy], symbol: str) -> None:
    """Not with each round trip, but on the whole; and there is one within minutes."""
    trips = [gain for seed in range(4) for gain in gains(kind, symbol, seed)]
    assert len(trips) > 4 * MINUTES / 5
    assert sum(gain > 0 for gain in trips) > len(trips) / 3
    assert sum(trips) > 0
