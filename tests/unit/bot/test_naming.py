"""STRATEGIES: what is understood, and what is said of what isn't."""

from decimal import Decimal

import pytest

from services.bot.naming import StrategyError, read
from services.bot.strategies import RsiReversion, SmaCrossover
from tests.support.bot_strategies import Restless

MARKETS = {"binance": ("BTC/USDT", "ETH/USDT"), "luno": ("XBT/ZAR",)}


def test_ours_are_named_shortly_and_yours_by_their_path() -> None:
    """Each with its market, its quantity and the indicators' streams that it wants."""
    first, second, third = read(
        [
            "rsi_reversion:binance:BTC/USDT:0.001",
            "sma_crossover:luno:xbt/zar:0.5",
            "tests.support.bot_strategies.Restless:binance:BTC/USDT:1",
        ],
        MARKETS,
    )
    assert (first.cls, first.quantity) == (RsiReversion, Decimal("0.001"))
    assert first.key == "rsi_reversion:binance:BTC/USDT"
    assert first.indicator_streams == {"rsi_14": "indicators:rsi_14:binance:BTCUSDT"}
    assert (second.cls, second.symbol) == (SmaCrossover, "XBT/ZAR")
    assert list(second.indicator_streams.values()) == [
        "indicators:sma_20:luno:XBTZAR",
        "indicators:sma_50:luno:XBTZAR",
    ]
    assert third.cls is Restless


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("rsi_reversion", "want <strategy>:<exchange>:<SYMBOL>:<quantity>"),
        ("rsi:binance:BTC/USDT:1", "want one of do_nothing, rsi_reversion, sma_crossover, or the"),
        ("rsi_reversion:kraken:BTC/USDT:1", "no exchange 'kraken': want one of binance, luno"),
        ("rsi_reversion:luno:BTC/USDT:1", "isn't watched on luno: want one of XBT/ZAR (LUNO_SYM"),
        ("rsi_reversion:luno:XBT/ZAR:0", "quantity '0': want a number greater than 0"),
        ("rsi_reversion:luno:XBT/ZAR:NaN", "quantity 'NaN': want a number greater than 0"),
        ("no.such.Module:luno:XBT/ZAR:1", "'no.such.Module' can't be loaded: No module named"),
        ("tests.support.bot.Bot:luno:XBT/ZAR:1", "want a class that inherits Strategy"),
        ("tests.support.bot.x:luno:XBT/ZAR:1", "has no attribute 'x'"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_would_be_right(entry: str, fault: str) -> None:
    """The entry stands in the message, so that it can be found."""
    with pytest.raises(StrategyError) as e:
        read([entry], MARKETS)
    assert repr(entry) in str(e.value)
    assert fault in str(e.value)


def test_all_faults_are_said_at_once() -> None:
    """One line for each; the same strategy twice on a market is one."""
    good = "do_nothing:luno:XBT/ZAR:1"
    with pytest.raises(StrategyError) as e:
        read(["x:luno:XBT/ZAR:1", good, "do_nothing:luno:XBT/ZAR:2"], MARKETS)
    unknown, twice = str(e.value).splitlines()
    assert "no strategy 'x'" in unknown
    assert "stands there twice" in twice
