"""More than one open order of a strategy: each is counted, and none makes room for another."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bot.decision_maker import decision_id
from services.bot.dispatcher import cause_of
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import BotOrder
from services.bot.rejections import Rejections
from services.bot.strategy import Actions, Cancel, Intent, Strategy
from services.bot.strategy_config import StrategyError, StrategySpec, read
from services.bot.strategy_host import MAX_ACTIONS, StrategyRunner
from tests.support.bot.strategies import Ladder
from tests.unit.bot.test_portfolio import status
from tests.unit.bot.test_risk import NOW, holding, judged, order, proposal, verdict

LADDER = "tests.support.bot.strategies.Ladder:binance:BTC/USDT:1"
MARKETS = {"binance": ("BTC/USDT",)}
LIMIT: dict[str, Any] = {"risk_max_position": {"USDT": Decimal(300)}}


def resting(number: int, side: str, price: str = "90", quantity: str = "1") -> BotOrder:
    """An open order of the strategy."""
    found = order(number, side)
    found.price, found.quantity = Decimal(price), Decimal(quantity)
    return found


def test_what_is_open_the_other_way_makes_no_room() -> None:
    """A bid and an ask: either may be the only one that trades."""
    portfolio = holding("2")
    portfolio.add(resting(1, "sell", "110", "2"))
    assert verdict(proposal("buy", "1", "90"), portfolio, **LIMIT) is None
    assert verdict(proposal("buy", "2", "90"), portfolio, **LIMIT) == "max_position"


def test_a_buy_that_may_never_trade_is_nothing_to_sell() -> None:
    """Selling what isn't there makes no position smaller."""
    portfolio = Portfolio()
    portfolio.add(resting(1, "buy", "90", "1"))
    assert (
        verdict(proposal("sell", "1", "110"), portfolio, risk_max_open_orders=1)
        == "max_open_orders"
    )
    held = holding("1")
    held.add(resting(1, "buy", "90", "1"))
    assert verdict(proposal("sell", "1", "110"), held, risk_max_open_orders=1) is None


def test_each_open_sell_is_taken_off_what_may_still_be_sold() -> None:
    """Two halves make a whole, and a third is one too many."""
    portfolio = holding("1")
    portfolio.add(resting(1, "sell", "110", "0.5"))
    assert portfolio.unsold("x") == Decimal("0.5")
    portfolio.add(resting(2, "sell", "111", "0.5"))
    assert portfolio.unsold("x") == 0
    assert verdict(proposal("sell", "0.5", "112"), portfolio, risk_max_open_orders=2) == (
        "max_open_orders"
    )
    assert Portfolio().unsold("x") is None


SIDES = st.sampled_from(["buy", "sell"])
QUANTITIES = st.decimals("0.1", "3", places=1)
START = st.decimals("-3", "3", places=1)


@given(START, st.lists(st.tuples(SIDES, QUANTITIES), max_size=12))
def test_whichever_of_the_open_orders_trade_the_largest_position_is_kept(
    held: Decimal, wanted: list[tuple[str, Decimal]]
) -> None:
    """All buys and no sells, all sells and no buys: never beyond it, nor beyond what was held."""
    portfolio = holding(str(held))
    for number, (side, quantity) in enumerate(wanted):
        price = "100" if side == "buy" else "101"
        if verdict(
            proposal(side, str(quantity), price), portfolio, risk_max_open_orders=99, **LIMIT
        ):
            continue
        portfolio.add(resting(number, side, price, str(quantity)))
    open_ = {
        side: sum((each.open_quantity for each in portfolio.open if each.side == side), Decimal(0))
        for side in ("buy", "sell")
    }
    assert held + open_["buy"] <= max(Decimal(3), held)
    assert held + open_["sell"] >= min(Decimal(-300) / 101, held)


@pytest.mark.parametrize(
    ("side", "price", "reason"),
    [
        ("buy", "103.9", None),
        ("buy", "104", "own_order"),
        ("buy", None, None),  # it reaches 101
        ("sell", "98.1", None),
        ("sell", "98", "own_order"),
    ],
)
def test_an_order_that_would_trade_with_its_own_strategys_is_refused(
    side: str, price: str | None, reason: str | None
) -> None:
    """An ask of it at 104, and a bid at 98; another strategy's are another's."""
    portfolio = Portfolio()
    portfolio.add(resting(1, "sell", "104"))
    portfolio.add(resting(2, "buy", "98"))
    assert verdict(proposal(side, "1", price), portfolio) == reason
    for each in portfolio.open:
        each.strategy = "y"
    assert verdict(proposal(side, "1", price), portfolio) is None


def test_the_refusal_names_the_order_that_is_in_the_way() -> None:
    """And both prices."""
    portfolio = Portfolio()
    portfolio.add(resting(1, "sell", "104"))
    refusal = judged(proposal("buy", "1", "105"), portfolio)
    assert refusal is not None
    assert refusal.message == "a buy at 105 would trade with this strategy's own sell bot-1 at 104"


def test_a_fill_of_one_order_does_not_make_up_for_the_rejection_of_another() -> None:
    """Only an order that is taken after it says that the next may be."""
    portfolio = Portfolio()
    portfolio.add(resting(1, "buy"))
    portfolio.state.rejections["x buy"] = Rejections(NOW, "-2010", "insufficient balance", 3)
    portfolio.handle_status("binance", status("partially_filled", 0.5))
    assert portfolio.state.rejections
    second = resting(2, "buy")
    second.state = "sent"
    portfolio.add(second)
    portfolio.handle_status("binance", status("open", number=2))
    assert not portfolio.state.rejections


def test_of_several_intents_each_has_an_id_of_its_own_and_the_first_that_of_earlier_releases() -> (
    None
):
    """By its place: the same again after a restart."""
    cause = cause_of("binance:BTCUSDT:ticker", "1700000000000-0")
    ids = [decision_id("dip:binance:BTC/USDT", cause, number) for number in range(3)]
    assert ids[0] == "bot-" + FIRST
    assert len(set(ids)) == 3
    assert ids == [decision_id("dip:binance:BTC/USDT", cause, number) for number in range(3)]


# sha256 of "dip:binance:BTC/USDT|binance:BTCUSDT:ticker|1700000000000-0", its first 28 digits.
FIRST = "225db7f99f8c76ad609dc1fd0e70"


class Returning(Strategy):
    """Returns what it is told to."""

    returned: Any = None

    def on_ticker(self, ticker: Any) -> Actions:
        """Whatever that is."""
        return cast(Actions, self.returned)


def told(returned: Any) -> tuple[list[Any], str | None]:
    """What is understood of it, and why the strategy was stopped."""
    (wanted,) = read([f"{__name__}.Returning:binance:BTC/USDT:1"], MARKETS)
    running = StrategyRunner(wanted, cast(Any, SimpleNamespace()))
    cast(Returning, running.strategy).returned = returned
    return running.notify("on_ticker", None), running.stopped


def test_a_method_may_return_several_wishes() -> None:
    """A list or a tuple of them, one, or none."""
    buy, cancel = Intent("buy", "so"), Cancel("so", "bot-1")
    assert told([buy, cancel]) == ([buy, cancel], None)
    assert told((buy,)) == ([buy], None)
    assert told(buy) == ([buy], None)
    assert told([]) == ([], None)
    assert told(None) == ([], None)


@pytest.mark.parametrize("wrong", ["buy", [None], [Intent("buy", "so"), "sell"], {"a": 1}, 0])
def test_anything_else_stops_the_strategy(wrong: object) -> None:
    """Nothing of it is done."""
    actions, stopped = told(wrong)
    assert actions == []
    assert "expected an Intent, a Cancel, a list of them, or None" in str(stopped)


def test_more_wishes_than_could_come_true_stop_it_too() -> None:
    """Whoever returns thousands has a bug."""
    actions, stopped = told([Cancel("so")] * (MAX_ACTIONS + 1))
    assert actions == []
    assert f"expected at most {MAX_ACTIONS}" in str(stopped)


def test_how_many_may_be_open_is_one_unless_the_class_or_a_parameter_says_more() -> None:
    """Bounded."""
    (ladder,) = read([f"{LADDER}?max_orders=7"], MARKETS)
    (usual,) = read(["do_nothing:binance:BTC/USDT:1"], MARKETS)
    assert (ladder.max_orders, usual.max_orders) == (7, 1)
    assert ladder.cls is Ladder
    assert isinstance(usual, StrategySpec)


class Greedy(Strategy):
    """Wants to have too many orders open."""

    max_orders = 21


def test_too_many_open_orders_are_refused_at_the_start() -> None:
    """One error, which says how many may be."""
    with pytest.raises(StrategyError, match="max_orders=21: expected a whole number from 1 to 20"):
        read([f"{__name__}.Greedy:binance:BTC/USDT:1"], MARKETS)
