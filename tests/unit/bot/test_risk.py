"""The limits: each refuses what is beyond it, by its name, and nothing within it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import OrderBook, OrderBookLevel
from services.bot.lots import Lots
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import BotOrder
from services.bot.rejections import Rejections
from services.bot.risk import Proposal, Refusal, Risk, limits_against
from services.bot.settings import BotSettings
from tests.support.market_data.messages import order_book

NOW = 1_000_000.0
BOOK = order_book(middle=100.5)  # bid 100 for 1, ask 101 for 2
ANYTHING = Lots()
# Lots of 0.1, at least 0.2 of them, worth at least 30; a fee of 1 %.
COARSE = Lots(Decimal("0.1"), Decimal("0.2"), Decimal(30), Decimal("0.01"))


def settings(**limits: Any) -> BotSettings:
    """Generous limits but for those given."""
    generous = {
        "risk_max_quantity": {"BTC": Decimal(1000)},
        "risk_max_notional": {"USDT": Decimal(10**6)},
        "risk_max_position": {"USDT": Decimal(10**6)},
        "risk_max_daily_loss": {"USDT": Decimal(100)},
    }
    return BotSettings(**{**generous, **limits})


def proposal(side: str = "buy", quantity: str = "1", price: str | None = None) -> Proposal:
    """An order that is to be judged."""
    return Proposal(
        "x",
        "binance",
        "BTC/USDT",
        "buy" if side == "buy" else "sell",
        Decimal(quantity),
        None if price is None else Decimal(price),
    )


def order(number: int, side: str = "buy", state: str = "open", sent_at: float = NOW) -> BotOrder:
    """One of the bot's, of 1 BTC."""
    return BotOrder(
        id=f"bot-{number}",
        strategy="x",
        exchange="binance",
        symbol="BTC/USDT",
        side="buy" if side == "buy" else "sell",
        type="limit",
        quantity=Decimal(1),
        price=Decimal(90),
        reason="so",
        caused_by=[],
        sent_at=sent_at,
        state=state,
    )


def judged(
    what: Proposal,
    portfolio: Portfolio | None = None,
    book: OrderBook = BOOK,
    lots: Lots = ANYTHING,
    **limits: Any,
) -> Refusal | None:
    """What refuses it."""
    risk = Risk(settings(**limits), portfolio or Portfolio(), lambda *_: lots)
    return risk.check(what, book, NOW)


def verdict(
    what: Proposal, portfolio: Portfolio | None = None, book: OrderBook = BOOK, **limits: Any
) -> str | None:
    """The name of the limit that refuses it."""
    refusal = judged(what, portfolio, book, **limits)
    return refusal.reason_code if refusal else None


def holding(quantity: str, price: str = "100", cash: str = "0") -> Portfolio:
    """A portfolio that holds so much."""
    found = Portfolio()
    held = found.holding("x", "binance", "BTC/USDT")
    held.quantity, held.price, held.cash = Decimal(quantity), Decimal(price), Decimal(cash)
    return found


@pytest.mark.parametrize(
    ("what", "limits", "reason"),
    [
        (proposal(), {}, None),
        (proposal(quantity="3"), {}, "no_liquidity"),
        (proposal("sell", "1.5"), {}, "no_liquidity"),
        (proposal(), {"risk_max_quantity": {"BTC": Decimal("0.9")}}, "max_quantity"),
        (proposal(), {"risk_max_quantity": {"BTC": Decimal(1)}}, None),
        (proposal(), {"risk_max_quantity": {"ETH": Decimal(1)}}, "max_quantity"),
        (proposal(), {"risk_max_notional": {"USDT": Decimal("100.9")}}, "max_notional"),
        (proposal(), {"risk_max_notional": {"USDT": Decimal(101)}}, None),
        (proposal("sell"), {"risk_max_notional": {"USDT": Decimal(100)}}, None),
        (proposal(price="106.06"), {}, "price_collar"),
        (proposal(price="106.05"), {}, None),
        (proposal("sell", price="94.9"), {}, "price_collar"),
        (proposal("sell", price="95"), {}, None),
        (proposal(price="50"), {}, None),
        (proposal(), {"risk_max_position": {"USDT": Decimal(100)}}, "max_position"),
        (proposal("sell"), {"risk_max_position": {"USDT": Decimal(99)}}, "max_position"),
    ],
)
def test_each_limit_refuses_beyond_it_and_not_on_it(
    what: Proposal, limits: dict[str, Any], reason: str | None
) -> None:
    """Quantities, money and prices; an asset that isn't named can't be traded."""
    assert verdict(what, **limits) == reason


def test_a_refusal_names_the_variable() -> None:
    """So that a person knows what to change."""
    refusal = judged(proposal(), risk_max_notional={"ZAR": Decimal(1)})
    assert refusal is not None
    assert refusal.message == "RISK_MAX_NOTIONAL has no limit for USDT; name one"


def test_open_orders_and_orders_a_minute_are_counted() -> None:
    """Those that ended aren't open; those of more than a minute ago aren't lately."""
    portfolio = Portfolio()
    for number in range(3):
        portfolio.add(order(number))
    assert verdict(proposal(), portfolio, risk_max_open_orders=3) == "max_open_orders"
    assert verdict(proposal(), portfolio, risk_max_open_orders=4) is None
    # One was sent before the clock was set back.
    portfolio.state.sent = [NOW - 61, NOW - 59, NOW - 1, NOW + 3600]
    portfolio.add(order(9, state="deciding"))
    assert verdict(proposal(), portfolio, risk_orders_per_minute=3) == "orders_per_minute"
    assert verdict(proposal(), portfolio, risk_orders_per_minute=4) is None


def test_what_makes_a_position_smaller_passes_the_pace_and_the_open_orders() -> None:
    """Whoever has used them up: the way out is open."""
    held = holding("2")
    held.add(order(0, "sell"))
    assert verdict(proposal("sell"), held, risk_max_open_orders=1) is None
    assert verdict(proposal("buy"), held, risk_max_open_orders=1) == "max_open_orders"
    assert (
        verdict(proposal("sell", "1.001", "100"), held, risk_max_open_orders=1) == "max_open_orders"
    )
    held.state.sent = [NOW - 1]
    assert verdict(proposal("sell"), held, risk_orders_per_minute=1) is None
    assert verdict(proposal("buy"), held, risk_orders_per_minute=1) == "orders_per_minute"
    short = holding("-1")
    short.state.sent = [NOW - 1]
    assert verdict(proposal("buy"), short, risk_orders_per_minute=1) is None


def test_after_a_rejection_the_next_order_of_its_kind_waits() -> None:
    """Of that strategy and side; what was said and how long is told."""
    portfolio = holding("5")
    portfolio.state.rejections["x buy"] = Rejections(NOW - 1, "-2010", "insufficient balance", 3)
    refusal = judged(proposal("buy"), portfolio)
    assert refusal == Refusal(
        "backing_off",
        "the last buy was rejected (-2010: insufficient balance); the next may be sent in 19 s",
    )
    assert verdict(proposal("sell"), portfolio) is None
    another = proposal("buy")
    assert verdict(replace(another, strategy="y"), portfolio) is None
    portfolio.state.rejections["x buy"] = Rejections(NOW - 20, "-2010", "insufficient balance", 3)
    assert verdict(proposal("buy"), portfolio) is None


def test_what_is_on_its_way_counts_as_held() -> None:
    """Two open buys of 1 and a third make a position of 3."""
    portfolio = Portfolio()
    for number in range(2):
        portfolio.add(order(number))
    limit: dict[str, Any] = {"risk_max_position": {"USDT": Decimal(250)}}
    assert verdict(proposal(), portfolio, **limit) == "max_position"
    assert verdict(proposal("sell"), portfolio, **limit) is None


def test_after_a_days_loss_only_what_makes_a_position_smaller_is_sent() -> None:
    """Selling what is held goes; buying more, and selling more than is held, doesn't."""
    lost = holding("1", price="100", cash="-200")
    assert verdict(proposal(), lost) == "max_daily_loss"
    assert verdict(proposal("sell"), lost) is None
    wide = BOOK.model_copy(update={"bids": [OrderBookLevel(price=100.0, quantity=9.0)]})
    assert verdict(proposal("sell", "1.5"), lost, wide) == "max_daily_loss"
    assert verdict(proposal(), holding("1", price="100", cash="-199")) is None


@given(
    side=st.sampled_from(["buy", "sell"]),
    quantity=st.decimals("0.001", "2", places=3),
    price=st.none() | st.decimals("1", "200", places=2),
    held=st.decimals("-20", "20", places=3),
)
def test_nothing_passes_that_breaks_a_limit(
    side: str, quantity: Decimal, price: Decimal | None, held: Decimal
) -> None:
    """Whatever is proposed and held: what passes keeps all limits, or makes a position smaller."""
    what = proposal(side, str(quantity), None if price is None else str(price))
    limits: dict[str, Any] = {
        "risk_max_notional": {"USDT": Decimal(150)},
        "risk_max_position": {"USDT": Decimal(1000)},
    }
    if verdict(what, holding(str(held)), **limits) is not None:
        return
    paid = price or (Decimal(101) if side == "buy" else Decimal(100))
    assert quantity * paid <= 150
    assert paid <= Decimal("106.05") if side == "buy" else paid >= 95
    after = held + what.signed
    assert abs(after) * paid <= 1000 or abs(after) < abs(held)


@pytest.mark.parametrize(
    ("side", "price", "reason"),
    [
        ("buy", "100", None),
        ("buy", "100.01", "price_collar"),
        ("sell", "101", None),
        ("sell", "100.99", "price_collar"),
    ],
)
def test_where_the_other_side_is_empty_an_order_must_rest_behind_its_own_side(
    side: str, price: str, reason: str | None
) -> None:
    """Nothing says what it is worth; in an empty book nothing at all is sent."""
    other = "asks" if side == "buy" else "bids"
    one_sided = BOOK.model_copy(update={other: []})
    limits: dict[str, Any] = {"risk_max_notional": {"USDT": Decimal(500)}}
    assert verdict(proposal(side, "0.5", price), None, one_sided, **limits) == reason
    empty = BOOK.model_copy(update={"asks": [], "bids": []})
    assert verdict(proposal(side, "0.5", price), None, empty, **limits) == "price_collar"


@pytest.mark.parametrize(
    ("what", "held", "reason"),
    [
        (proposal("sell", "0.3"), "0.3", None),
        (proposal("sell", "0.29"), "0.29", "dust"),  # two lots are worth 20
        (proposal("sell", "0.1", "400"), "0.1", "dust"),  # one lot is worth enough, and too few
        (proposal("sell", "0.2", "150"), "0.2", None),
        (proposal("sell", "0.09"), "0.09", "dust"),
        (proposal("buy", "0.3"), "0", "dust"),  # 0.297 would be left: two lots
        (proposal("buy", "0.3"), "0.003", None),  # three lots with what is there
        (proposal("buy", "0.31"), "0", None),
        (proposal("buy", "0.3"), "-0.3", None),  # it is the way out
        (proposal("buy", "0.2"), "5", "dust"),  # it is too little by itself
    ],
)
def test_dust_is_neither_sold_nor_bought(what: Proposal, held: str, reason: str | None) -> None:
    """What the exchange doesn't take, and a buy of which too little is left after its fee."""
    refusal = judged(what, holding(held), lots=COARSE)
    assert (refusal and refusal.reason_code) == reason
    if refusal is not None:
        wanted = "binance requires lots of 0.1, at least 0.2, worth at least 30"
        assert refusal.message.endswith(wanted)


def test_a_rest_is_judged_by_what_the_strategy_itself_holds() -> None:
    """Another's position is another's to sell."""
    others = holding("5")
    others.state.holdings["y"] = others.state.holdings.pop("x")
    refusal = judged(proposal("buy", "0.3"), others, lots=COARSE)
    assert refusal is not None
    assert refusal.message.startswith("after its fee 0.297 BTC would be left, too little to be")


def test_what_will_be_refused_whatever_the_market_does_is_known_at_the_start() -> None:
    """A quantity over its limit, and an asset that a limit doesn't name."""
    within = settings(risk_max_quantity={"BTC": Decimal(1)})
    assert limits_against(within, "BTC/USDT", Decimal(1)) == []
    assert limits_against(within, "BTC/USDT", Decimal("1.1")) == [
        "quantity is 1.1 BTC; RISK_MAX_QUANTITY allows 1"
    ]
    assert limits_against(within, "DOGE/EUR", Decimal(1)) == [
        "RISK_MAX_QUANTITY has no limit for DOGE; name one",
        "RISK_MAX_NOTIONAL has no limit for EUR; name one",
        "RISK_MAX_POSITION has no limit for EUR; name one",
        "RISK_MAX_DAILY_LOSS has no limit for EUR; name one",
    ]
