"""STRATEGIES: what is understood, and what is said of what isn't."""

from decimal import Decimal

import pytest

from services.bot.strategies import RsiReversion, SmaCrossover
from services.bot.strategy_config import StrategyError, read
from tests.support.bot.strategies import Restless

DIFFERENCE = "price_difference:binance:BTC/USDT:1"
MARKETS = {"binance": ("BTC/USDT", "ETH/USDT"), "luno": ("XBT/ZAR",)}


def test_ours_are_named_shortly_and_yours_by_their_path() -> None:
    """Each with its market, its quantity and the indicators' streams that it wants."""
    first, second, third = read(
        [
            "rsi_reversion:binance:BTC/USDT:0.001",
            "sma_crossover:luno:xbt/zar:0.5",
            "tests.support.bot.strategies.Restless:binance:BTC/USDT:1",
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
        ("rsi_reversion", "expected <strategy>:<exchange>:<SYMBOL>:<quantity>"),
        (
            "rsi:binance:BTC/USDT:1",
            "expected one of do_nothing, price_difference, rsi_reversion, sma_",
        ),
        ("rsi_reversion:kraken:BTC/USDT:1", "no exchange 'kraken': expected one of binance, luno"),
        (
            "rsi_reversion:luno:BTC/USDT:1",
            "isn't watched on luno: expected one of XBT/ZAR (LUNO_SYM",
        ),
        ("rsi_reversion:luno:XBT/ZAR:0", "quantity '0': expected a number greater than 0"),
        ("rsi_reversion:luno:XBT/ZAR:NaN", "quantity 'NaN': expected a number greater than 0"),
        ("no.such.Module:luno:XBT/ZAR:1", "'no.such.Module' can't be loaded: No module named"),
        ("tests.support.bot.process.Bot:luno:XBT/ZAR:1", "expected a class that inherits Strategy"),
        ("tests.support.bot.process.x:luno:XBT/ZAR:1", "has no attribute 'x'"),
        (
            "sma_crossover:luno:XBT/ZAR:1?fast=x",
            "sma_crossover: fast='x': expected a whole number, a",
        ),
        (
            "sma_crossover:luno:XBT/ZAR:1?fast=0",
            "sma_crossover: fast='0': expected a whole number, a",
        ),
        (
            "sma_crossover:luno:XBT/ZAR:1?fats=5",
            "sma_crossover: no parameter 'fats': expected fast:",
        ),
        (
            "do_nothing:luno:XBT/ZAR:1?fast=5",
            "no parameter 'fast': expected none, it has no parameter",
        ),
        (
            "sma_crossover:luno:XBT/ZAR:1?fast",
            "'fast': expected each parameter once, as <parameter>=",
        ),
        ("sma_crossover:luno:XBT/ZAR:1?fast=1&fast=2", "'fast=2': expected each parameter once"),
        (
            f"{DIFFERENCE}?rate=luno:ETH/ZAR",
            "'ETH/ZAR' isn't watched on luno: expected one of XBT/ZAR",
        ),
        (
            f"{DIFFERENCE}?other=kraken:XBT/ZAR",
            "no exchange 'kraken': expected one of binance, luno",
        ),
        (
            f"{DIFFERENCE}?other=XBT/ZAR",
            "market 'XBT/ZAR': expected <exchange>:<SYMBOL>, e.g. luno:",
        ),
        ("do_nothing:luno:XBT/ZAR:1?as=", "as='': expected a name of 1 to 20 letters"),
        ("do_nothing:luno:XBT/ZAR:1?as=a:b", "as='a:b': expected a name of 1 to 20 letters"),
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
    assert "appears twice" in twice
    assert "?as=second" in twice


def test_parameters_stand_behind_the_quantity() -> None:
    """Those that aren't given are as the class says; they are in the indicators' names."""
    (spec,) = read(["sma_crossover:binance:BTC/USDT:0.001?fast=5&suffix=_1m"], MARKETS)
    assert spec.parameters == {"fast": 5, "slow": 50, "suffix": "_1m"}
    assert spec.quantity == Decimal("0.001")
    assert list(spec.indicator_streams) == ["sma_5_1m", "sma_50_1m"]


def test_a_name_does_not_depend_on_parameters_and_is_that_of_earlier_releases() -> None:
    """What is kept of a strategy is kept under it: nothing is lost where parameters change."""
    entry = "sma_crossover:binance:BTC/USDT:0.001"
    plain, other = (read([each], MARKETS)[0] for each in (entry, f"{entry}?fast=7&slow=9"))
    assert plain.key == other.key == "sma_crossover:binance:BTC/USDT"


def test_instances_of_one_strategy_differ_by_market_or_name() -> None:
    """As many as one likes; parameters alone are no name, since they may change."""
    entry = "sma_crossover:binance:BTC/USDT:1"
    entries = [entry, f"{entry}?as=quick&fast=5", "sma_crossover:binance:ETH/USDT:1"]
    assert [each.key for each in read(entries, MARKETS)] == [
        "sma_crossover:binance:BTC/USDT",
        "sma_crossover:binance:BTC/USDT:quick",
        "sma_crossover:binance:ETH/USDT",
    ]
    with pytest.raises(StrategyError, match="appears twice"):
        read([entry, f"{entry}?fast=5"], MARKETS)


def test_a_value_may_hold_what_would_end_it() -> None:
    """Written as in a URL: %2C is a comma, which stands between entries."""
    with pytest.raises(StrategyError, match="fast='1,2&': expected a whole number"):
        read(["sma_crossover:binance:BTC/USDT:1?fast=1%2C2%26"], MARKETS)


def test_a_strategy_looks_at_the_markets_that_its_parameters_name() -> None:
    """Beside its own; the rate's second market is left out where it has none."""
    markets = {"binance": ("BTC/USDT",), "luno": ("XBT/ZAR", "USDT/ZAR", "ETH/ZAR")}
    (spec,) = read([DIFFERENCE], markets)
    assert spec.other_markets == {
        "luno:XBT/ZAR": ("luno", "XBT/ZAR"),
        "luno:USDT/ZAR": ("luno", "USDT/ZAR"),
    }
    heard = [spec.watches("luno", symbol) for symbol in markets["luno"]]
    assert heard == [True, True, False]
    assert spec.watches("binance", "BTC/USDT")
    assert not spec.watches("binance", "XBT/ZAR")
