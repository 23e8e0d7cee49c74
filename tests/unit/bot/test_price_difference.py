"""The strategy over several markets: what it compares, when it acts, and what it refuses to be."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderBook
from services.bot.parameters import ParameterError
from services.bot.strategies import PriceDifference
from services.bot.strategy import Intent, Market, Refused, StaleDataError
from tests.support.market_data.messages import order_book

# The half spread of every book here.
HALF = 0.5


@dataclass
class FakeMarket:
    """One market, and the others that it knows, of which a test says what they cost."""

    exchange: str = "binance"
    symbol: str = "BTC/USDT"
    middle: float = 50_000.0
    position: Decimal = Decimal(0)
    pending: bool = False
    quantity: Decimal = Decimal("0.001")
    others: dict[str, "FakeMarket"] = field(default_factory=dict)

    def order_book(self) -> OrderBook:
        """One level a side."""
        return order_book(self.symbol, self.exchange, self.middle)

    def other(self, name: str) -> "FakeMarket":
        """As a test says."""
        return self.others[name]


def markets(rate: float = 20.0, there: float = 1_000_000.0) -> FakeMarket:
    """Bitcoin here in USDT, there in rand, and what a USDT costs in rand."""
    others = {
        "luno:XBT/ZAR": FakeMarket("luno", "XBT/ZAR", there),
        "luno:USDT/ZAR": FakeMarket("luno", "USDT/ZAR", rate),
    }
    return FakeMarket(others=others)


def made(market: FakeMarket, **given_: Any) -> PriceDifference:
    """The strategy on it."""
    return PriceDifference(cast(Market, market), **given_)


def decided(strategy: PriceDifference) -> Intent | None:
    """What it wants at a book, whichever."""
    return strategy.on_order_book(order_book())


def test_it_buys_where_the_other_exchange_pays_more_and_sells_once_it_does_not() -> None:
    """Once for each time that the difference becomes large; the reason has both prices."""
    market = markets()
    strategy = made(market)
    other = market.others["luno:XBT/ZAR"]
    assert decided(strategy) is None
    other.middle = 1_060_000.0
    bought = decided(strategy)
    assert bought is not None
    assert bought.side == "buy"
    there = (1_060_000 - HALF) / (20 + HALF)
    assert bought.reason.startswith(f"luno:XBT/ZAR pays {there:.8g}, +3.41% of 50000.5 here")
    assert decided(strategy) is None
    market.position = Decimal("0.001")
    assert decided(strategy) is None
    other.middle = 1_000_000.0
    sold = decided(strategy)
    assert sold is not None
    assert (sold.side, sold.quantity) == ("sell", market.position)


def test_a_refused_buy_is_wanted_again_at_the_next_book() -> None:
    """The difference is as large as before."""
    market = markets(there=1_060_000.0)
    strategy = made(market)
    assert decided(strategy) is not None
    assert decided(strategy) is None
    strategy.on_refused(Refused("buy", market.quantity, "halted", "lunch"))
    assert decided(strategy) is not None


def test_nothing_is_wanted_while_an_order_is_pending() -> None:
    """Nor is the difference used up."""
    market = markets(there=1_060_000.0)
    strategy = made(market)
    market.pending = True
    assert decided(strategy) is None
    market.pending = False
    assert decided(strategy) is not None


def test_without_a_market_of_both_currencies_a_third_asset_gives_the_rate() -> None:
    """Ether in rand over ether in USDT."""
    market = markets()
    market.others |= {
        "luno:ETH/ZAR": FakeMarket("luno", "ETH/ZAR", 60_000.0),
        "binance:ETH/USDT": FakeMarket("binance", "ETH/USDT", 3_000.0),
    }
    strategy = made(market, rate="luno:ETH/ZAR", rate_over="binance:ETH/USDT")
    market.others["luno:XBT/ZAR"].middle = 1_050_000.0
    bought = decided(strategy)
    assert bought is not None
    there = (1_050_000 - HALF) / ((60_000 + HALF) / (3_000 - HALF))
    assert f"pays {there:.8g}" in bought.reason


@given(
    st.floats(1_000, 200_000),
    st.floats(10.0, 40.0),
    st.floats(-0.3, 0.3),
)
def test_it_buys_only_what_a_sale_there_would_bring_back(
    here: float, rate: float, share: float
) -> None:
    """At the prices that one pays and gets: from either side."""
    usdt, rand = markets(rate, here * rate * (1 + share)), here * rate * (1 + share)
    usdt.middle = here
    gain = (rand - HALF) / (rate + HALF) / (here + HALF) - 1
    assert (decided(made(usdt, enter=0.02)) is not None) is (gain >= 0.02)
    other = {
        "binance:BTC/USDT": FakeMarket("binance", "BTC/USDT", here),
        "luno:USDT/ZAR": FakeMarket("luno", "USDT/ZAR", rate),
    }
    luno = FakeMarket("luno", "XBT/ZAR", rand, others=other)
    gain = (here - HALF) * (rate - HALF) / (rand + HALF) - 1
    strategy = made(luno, other="binance:BTC/USDT", enter=0.02)
    assert (decided(strategy) is not None) is (gain >= 0.02)


def test_a_book_with_one_side_is_not_relied_on() -> None:
    """Whichever market's it is."""
    market = markets()
    empty = order_book("USDT/ZAR", "luno").model_copy(update={"asks": []})
    market.others["luno:USDT/ZAR"].order_book = lambda: empty  # type: ignore[method-assign]
    with pytest.raises(StaleDataError, match="the book of luno USDT/ZAR has one side only"):
        decided(made(market))


@pytest.mark.parametrize(
    ("given_", "fault"),
    [
        ({"enter": 0.01, "leave": 0.01}, "enter=0.01: expected more than leave=0.01"),
        (
            {"rate": "luno:ETH/ZAR"},
            "rate='luno:ETH/ZAR': gives ETH in ZAR; expected USDT in ZAR, or",
        ),
        (
            {"rate_over": "binance:BTC/USDT"},
            "rate_over='binance:BTC/USDT': expected a market of USDT",
        ),
    ],
)
def test_markets_that_give_no_rate_are_refused(given_: dict[str, Any], fault: str) -> None:
    """As it is made."""
    with pytest.raises(ParameterError) as e:
        made(markets(), **given_)
    assert fault in str(e.value)
