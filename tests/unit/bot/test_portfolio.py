"""The bot's books: what its orders made, however often it is told."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import (
    AccountBalanceEvent,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    Trade,
)
from services.bot import saved_state
from services.bot.portfolio import KEEP_ENDED, OrderEvent, Portfolio
from services.bot.portfolio_state import BotOrder, Holding, Unvalued
from services.bot.rejections import Rejections

KEY = "x:binance:BTC/USDT"
MIDNIGHT = 1_795_910_400.0  # 2026-11-29, 00:00 UTC


def order(number: int = 1, side: str = "buy", quantity: str = "2") -> BotOrder:
    """An order that was sent."""
    return BotOrder(
        id=f"bot-{number}",
        strategy=KEY,
        exchange="binance",
        symbol="BTC/USDT",
        side="buy" if side == "buy" else "sell",
        type="market",
        quantity=Decimal(quantity),
        price=None,
        reason="so",
        caused_by=["binance:BTCUSDT:ticker 1-0"],
        sent_at=1.0,
        state="sent",
    )


def status(
    name: str, filled: float = 0.0, price: float | None = None, number: int = 1, fee: float = 0.0
) -> OrderStatusUpdateEvent:
    """What became of it."""
    return OrderStatusUpdateEvent(
        order_id="4711",
        client_order_id=f"bot-{number}",
        symbol="BTC/USDT",
        status=name,
        filled_quantity=filled,
        remaining_quantity=2 - filled,
        average_price=price,
        fee={"USDT": fee} if fee else None,
        exchange="binance",
    )


def at(event: OrderStatusUpdateEvent, seconds: float) -> OrderStatusUpdateEvent:
    """The same, so long after midnight."""
    when = datetime.fromtimestamp(MIDNIGHT + seconds, UTC)
    return event.model_copy(update={"timestamp": when})


def response(name: str, **more: object) -> OrderResponseEvent:
    """An answer."""
    event = OrderResponseEvent(
        client_order_id="bot-1",
        symbol="BTC/USDT",
        requested_quantity=2,
        side="buy",
        type="market",
        status=name,
    )
    return event.model_copy(update=more)


def portfolio_with(*orders: BotOrder) -> Portfolio:
    """Books with these orders."""
    found = Portfolio()
    for each in orders:
        found.add(each)
    return found


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10), st.data())
def test_a_fill_is_applied_once_however_often_it_is_reported(
    cumulative: list[int], data: st.DataObject
) -> None:
    """Events come again, after restarts; the position is the most that was ever filled."""
    fills = sorted(cumulative)
    events = [status("partially_filled", n / 10, 100.0, fee=n / 100) for n in fills]
    told = [e for e in events for _ in range(data.draw(st.integers(1, 3)))]
    portfolio = portfolio_with(order())
    for event in told:
        portfolio.handle_status("binance", event)
    holding = portfolio.state.holdings[KEY]
    assert holding.quantity == Decimal(fills[-1]) / 10
    assert holding.cash == -(holding.quantity * 100 + Decimal(fills[-1]) / 100)


def test_what_was_bought_and_sold_is_profit() -> None:
    """At the market's price; a fee in the base asset is gone from the position, and so is dear."""
    portfolio = portfolio_with(order(), order(2, "sell"))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0, fee=0.5), -60))
    holding = portfolio.state.holdings[KEY]
    portfolio.see("binance", "BTC/USDT", Decimal(110), MIDNIGHT - 1)
    assert holding.profit == Decimal("19.5")
    portfolio.see("luno", "XBT/ZAR", Decimal(1), MIDNIGHT)  # the day begins, wherever it is seen
    assert holding.profit_today == 0
    assert portfolio.lost_today("USDT") == 0
    portfolio.see("binance", "BTC/USDT", Decimal(105), MIDNIGHT + 1)
    assert portfolio.lost_today("USDT") == 10
    in_base = status("filled", 2.0, 105.0, 2).model_copy(update={"fee": {"BTC": 0.01}})
    portfolio.handle_status("binance", at(in_base, 2))
    assert holding.quantity == Decimal("-0.01")
    assert holding.profit == Decimal("19.5") - 10 - Decimal("1.05")


def test_profit_is_what_was_closed_and_what_is_held() -> None:
    """Bought at 100 and 110, one of it sold at 120: 15 are won, less the fees, and 45 are open."""
    portfolio = portfolio_with(order(), order(2), order(3, "sell"))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0, fee=0.5), -60))
    portfolio.handle_status("binance", at(status("filled", 2.0, 110.0, 2, fee=0.25), -50))
    holding = portfolio.state.holdings[KEY]
    assert (holding.average, holding.realised) == (Decimal(105), Decimal("-0.75"))
    for _ in range(2):  # however often it is told
        portfolio.handle_status("binance", at(status("partially_filled", 1.0, 120.0, 3), -40))
    portfolio.see("binance", "BTC/USDT", Decimal(120), MIDNIGHT - 1)
    assert (holding.quantity, holding.average) == (Decimal(3), Decimal(105))
    assert (holding.realised, holding.unrealised) == (Decimal("14.25"), Decimal(45))
    assert (holding.fees, holding.fees_today) == (Decimal("0.75"), Decimal("0.75"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell"]),
            st.sampled_from([0.5, 1, 2]),
            st.sampled_from(["BTC", "USDT", "BNB"]),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_at_one_price_all_that_is_lost_are_the_fees(
    trades: list[tuple[str, float, str, int]],
) -> None:
    """In whatever asset they were taken; realised and unrealised are the profit."""
    portfolio = Portfolio(lambda *_: Decimal(50))
    for number, (side, quantity, asset, fee) in enumerate(trades, start=1):
        portfolio.add(order(number, side, str(quantity)))
        event = status("filled", quantity, 100.0, number)
        portfolio.handle_status("binance", event.model_copy(update={"fee": {asset: fee / 1000}}))
    holding = portfolio.state.holdings[KEY]
    assert holding.profit is not None
    assert holding.realised is not None
    assert holding.unrealised is not None
    assert round(holding.profit + holding.fees, 12) == 0
    assert round(holding.realised + holding.unrealised - holding.profit, 12) == 0
    assert holding.fees_today == holding.fees


def test_the_fees_of_yesterday_are_not_those_of_today() -> None:
    """A day begins as it does for the profit; one of the day before may be told late."""
    portfolio = portfolio_with(order(), order(2))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0, fee=0.5), -60))
    holding = portfolio.state.holdings[KEY]
    portfolio.see("luno", "XBT/ZAR", Decimal(1), MIDNIGHT)
    assert (holding.fees, holding.fees_today) == (Decimal("0.5"), Decimal(0))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0, 2, fee=0.2), 60))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0, fee=0.6), -1))
    assert (holding.fees, holding.fees_today) == (Decimal("0.8"), Decimal("0.2"))


def test_what_an_earlier_release_held_has_no_average_until_it_is_sold() -> None:
    """A guess would be told as profit."""
    portfolio = portfolio_with(order(), order(2, "sell"))
    saved = b'{"exchange":"binance","symbol":"BTC/USDT","quantity":"1","cash":"-90","price":"100"}'
    held = portfolio.state.holdings[KEY] = msgspec.json.decode(saved, type=Holding)
    assert (held.realised, held.unrealised, held.profit) == (None, None, Decimal(10))
    portfolio.handle_status("binance", status("partially_filled", 1.0, 100.0, 2))
    assert (held.realised, held.unrealised) == (Decimal(10), Decimal(0))


def in_bnb(amount: float, number: int = 1) -> OrderStatusUpdateEvent:
    """An order for 600 USDT, filled, whose fee is in BNB."""
    event = status("filled", 2.0, 300.0, number)
    return event.model_copy(update={"fee": {"BNB": amount}})


def test_a_fee_in_a_third_asset_costs_what_that_is_worth() -> None:
    """A round trip with 0.001 BNB an order, at 600: 1.2 USDT are gone, as if paid in USDT."""
    worth = {("binance", "BNB", "USDT"): Decimal(600)}
    portfolio = Portfolio(lambda *asked: worth.get(asked))
    for number, side in enumerate(("buy", "sell"), start=1):
        portfolio.add(order(number, side))
        for _ in range(2):
            portfolio.handle_status("binance", in_bnb(0.001, number))
    assert portfolio.lost_today("USDT") == Decimal("1.2")
    assert portfolio.state.holdings[KEY].fees_unvalued == {}


def test_a_fee_of_unknown_worth_costs_the_full_rate_until_it_is_known() -> None:
    """Its asset and amount are told; a later valuation leaves what it is worth."""
    worth: dict[tuple[str, ...], Decimal] = {}
    portfolio = Portfolio(lambda *asked: worth.get(asked))
    portfolio.add(order())
    part = status("partially_filled", 1.0, 300.0).model_copy(update={"fee": {"BNB": 0.0004}})
    for event in (part, in_bnb(0.001), in_bnb(0.001)):
        portfolio.handle_status("binance", event)
    holding = portfolio.state.holdings[KEY]
    assert holding.fees_unvalued == {"BNB": Unvalued(Decimal("0.001"), Decimal("0.6"))}
    assert portfolio.lost_today("USDT") == Decimal("0.6")  # a thousandth of 600
    portfolio.value_fees()
    assert portfolio.lost_today("USDT") == Decimal("0.6")
    worth["binance", "BNB", "USDT"] = Decimal(500)
    portfolio.value_fees()
    assert (holding.fees_unvalued, portfolio.lost_today("USDT")) == ({}, Decimal("0.5"))
    assert holding.fees == holding.fees_today == Decimal("0.5")


def test_a_watched_market_values_a_fee_before_the_exchange_does() -> None:
    """It is of this moment; what the exchange told last is up to ten minutes old."""
    for watched, lost in ((None, "0.6"), (Decimal(500), "0.5")):
        portfolio = Portfolio(lambda *_, w=watched: w, lambda *_: Decimal(600))
        portfolio.add(order())
        portfolio.handle_status("binance", in_bnb(0.001))
        assert portfolio.lost_today("USDT") == Decimal(lost)


def test_the_full_rate_of_an_account_that_pays_more_is_its_own() -> None:
    """By exchange and symbol."""
    full = {("binance", "BTC/USDT"): Decimal("0.002")}
    portfolio = Portfolio(full_rate=lambda *asked: full[asked])
    portfolio.add(order())
    portfolio.handle_status("binance", in_bnb(0.001))
    assert portfolio.lost_today("USDT") == Decimal("1.2")


def test_a_fee_reported_after_its_fill_costs_the_rate_of_that_fill() -> None:
    """Where the exchange shows an order's fills later than its end."""
    portfolio = portfolio_with(order())
    portfolio.handle_status("binance", status("filled", 2.0, 300.0))
    portfolio.handle_status("binance", in_bnb(0.001))
    assert portfolio.lost_today("USDT") == Decimal("0.6")


def test_a_loss_while_the_bot_was_away_over_midnight_is_that_of_its_day() -> None:
    """What is known last before midnight is the mark; a fill of yesterday stays yesterday's."""
    portfolio = portfolio_with(order(), order(2))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0), -7200))
    again = Portfolio()
    again.restore(
        saved_state.decode(saved_state.StateEncoder().encode(portfolio.state, [], {})).state
    )
    again.see("binance", "BTC/USDT", Decimal(80), MIDNIGHT + 28_800)
    assert again.lost_today("USDT") == 40
    late = at(status("filled", 2.0, 90.0, number=2), -600)
    again.handle_status("binance", late)  # 90 was the price ten minutes before midnight
    assert again.lost_today("USDT") == 40
    assert again.state.holdings[KEY].profit == -60


@pytest.mark.parametrize("jump", [-90_000, 90_000])
def test_a_time_that_jumps_takes_no_loss_back(jump: float) -> None:
    """An exchange's time that runs ahead is held back by Redis's, and the other way round."""
    portfolio = portfolio_with(order(), order(2, "sell"))
    portfolio.handle_status("binance", at(status("filled", 2.0, 100.0), 60), MIDNIGHT + 60)
    portfolio.see("binance", "BTC/USDT", Decimal(90), MIDNIGHT + 70)
    assert portfolio.lost_today("USDT") == 20
    portfolio.see("binance", "BTC/USDT", Decimal(90), MIDNIGHT + 80 + min(jump, 0))
    jumped = at(status("open", number=2), 90 + jump)
    portfolio.handle_status("binance", jumped, MIDNIGHT + 90)
    assert portfolio.today == "2026-11-29"
    assert portfolio.lost_today("USDT") == 20


def test_a_fee_is_booked_once_in_each_asset_it_is_taken_in() -> None:
    """Cumulative, as it is told; what is no amount counts as nothing."""
    portfolio = portfolio_with(order())
    for fee in ({"BTC": 0.001}, {"BTC": 0.002, "USDT": 1}, {"USDT": 1}, {"BTC": 0.002}, None):
        event = status("filled", 2.0, 100.0).model_copy(update={"fee": fee})
        portfolio.handle_status("binance", event)
    for nonsense in (float("nan"), float("inf"), "1", None):
        event = status("filled", 2.0, 100.0).model_copy(update={"fee": {"BTC": nonsense}})
        portfolio.handle_status("binance", event)
    holding = portfolio.state.holdings[KEY]
    assert (holding.quantity, holding.cash) == numbers("1.998", "-201")


def test_an_order_is_pending_until_it_has_ended() -> None:
    """Unknown isn't over; a rejection that was a mistake is taken back; an end stays an end."""
    portfolio = portfolio_with(order())
    portfolio.handle_response("binance", response("unknown"))
    assert portfolio.pending(KEY)
    portfolio.handle_response("binance", response("rejected", provisional=True))
    assert not portfolio.pending(KEY)
    portfolio.handle_response("binance", response("accepted"))
    assert portfolio.pending(KEY)
    portfolio.handle_status("binance", status("filled", 2.0, 1.0))
    portfolio.handle_status("binance", status("open"))
    assert portfolio.state.orders["bot-1"].state == "filled"
    assert not portfolio.pending(KEY)


def test_others_orders_change_nothing() -> None:
    """Another's id, another exchange's event, a replayed answer; ours that are unknown count."""
    heard: list[OrderEvent] = []
    portfolio = portfolio_with(order())
    portfolio.on_step = lambda _, event: heard.append(event)
    portfolio.handle_status("luno", status("filled", 2.0, 1.0))
    portfolio.handle_status("binance", status("filled", 2.0, 1.0, number=9))
    portfolio.handle_response("binance", response("rejected", replay=True))
    by_hand = status("filled", 2.0, 1.0).model_copy(update={"client_order_id": "mine"})
    portfolio.handle_status("binance", by_hand)
    assert (heard, portfolio.state.holdings, portfolio.unknown_orders) == ([], {}, 2)
    assert portfolio.state.orders["bot-1"].state == "sent"


def test_a_rejected_order_uses_up_no_pace_and_is_remembered() -> None:
    """Once, however often it is told; until an order of its kind is taken."""
    portfolio = portfolio_with(order(), order(2), order(3))
    portfolio.state.sent = [1.0, 1.0, 5.0]
    no = response("rejected", reason_code="-2010", error_message="no money")
    for _ in range(2):
        portfolio.handle_response("binance", no, 7.0)
    portfolio.handle_status("binance", status("rejected", number=2), 8.0)
    assert portfolio.state.sent == [5.0]
    name = f"{KEY} buy"
    assert portfolio.state.rejections == {
        name: Rejections(8.0, "rejected", "the order is rejected", 2)
    }
    portfolio.handle_response("binance", response("accepted", client_order_id="bot-3"), 9.0)
    assert portfolio.state.rejections == {}


def test_the_end_of_an_order_is_reported_once() -> None:
    """With the event that ended it; that one which was taken for over has filled is no end."""
    ends: list[str] = []
    portfolio = portfolio_with(order(), order(2))
    portfolio.on_end = lambda ended, told: ends.append(f"{ended.id} {told.status}")
    for event in (status("open"), status("canceled"), status("canceled")):
        portfolio.handle_status("binance", event)
    rejected = response("rejected", client_order_id="bot-2", provisional=True)
    for _ in range(2):
        portfolio.handle_response("binance", rejected)
    portfolio.handle_status("binance", status("filled", 2.0, 100.0, number=2))
    assert ends == ["bot-1 canceled", "bot-2 rejected"]


OURS = "1700000000000-1"
ANOTHERS = "1700000000000-2"


@pytest.mark.parametrize("name", ["accepted", "rejected", "unknown"])
def test_the_answer_to_another_command_with_our_id_is_not_ours(name: str) -> None:
    """By the command's entry: whatever it says, our order is as it was, and is asked about."""
    portfolio = portfolio_with(order())
    needs_query: list[BotOrder] = []
    portfolio.on_uncertain = needs_query.append
    mine = portfolio.state.orders["bot-1"]
    mine.command_id = OURS
    portfolio.handle_response("binance", response(name, command_id=ANOTHERS, order_id="1"))
    assert (mine.state, mine.order_id, needs_query) == ("sent", None, [mine])
    portfolio.handle_response("binance", response("rejected", command_id=OURS))
    assert mine.state == "rejected"
    portfolio.handle_response("binance", response(name, command_id=ANOTHERS))
    assert needs_query == [mine]  # there is nothing to ask about one that has ended


def test_a_repeated_answer_to_our_own_command_is_its_answer() -> None:
    """Redis lost the command before it and its books, and the same was decided again."""
    portfolio = portfolio_with(order())
    mine = portfolio.state.orders["bot-1"]
    mine.command_id = OURS
    portfolio.handle_response("binance", response("rejected", command_id=OURS, replay=True))
    assert mine.state == "rejected"


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": "ETH/USDT"},
        {"side": "sell"},
        {"type": "limit"},
        {"requested_quantity": 2.5},
        {"requested_price": 99.0},
        {"reason_code": "duplicate_id"},
        {"replay": True},
    ],
)
def test_without_the_commands_entry_an_answer_is_known_by_its_content(
    other: dict[str, object],
) -> None:
    """As an order has none that an earlier release wrote, or whose XADD's reply was lost."""
    portfolio = portfolio_with(order())
    needs_query: list[BotOrder] = []
    portfolio.on_uncertain = needs_query.append
    mine = portfolio.state.orders["bot-1"]
    for command_id in (None, ANOTHERS):
        answer = response("rejected", command_id=command_id, **other)
        portfolio.handle_response("binance", answer)
    assert (mine.state, needs_query) == ("sent", [mine, mine])
    portfolio.handle_response("binance", response("accepted", command_id=OURS))
    assert mine.state == "open"


def test_a_limit_orders_answer_has_its_price_where_it_has_one() -> None:
    """The contract lets a connector leave it out."""
    for price, state in ((99.0, "open"), (None, "open"), (98.0, "sent")):
        limit = order()
        limit.type, limit.price = "limit", Decimal(99)
        portfolio = portfolio_with(limit)
        portfolio.handle_response(
            "binance", response("accepted", type="limit", requested_price=price)
        )
        assert limit.state == state


def test_a_status_of_another_order_with_our_id_is_not_ours() -> None:
    """On another symbol, or under another exchange id than the one that is known."""
    portfolio = portfolio_with(order())
    mine = portfolio.state.orders["bot-1"]
    other = status("filled", 2.0, 1.0).model_copy(update={"symbol": "ETH/USDT"})
    portfolio.handle_status("binance", other)
    assert (mine.state, portfolio.unknown_orders) == ("sent", 1)
    portfolio.handle_response("binance", response("accepted", order_id="4711"))
    other = status("filled", 2.0, 1.0).model_copy(update={"order_id": "4712"})
    portfolio.handle_status("binance", other)
    assert (mine.state, portfolio.unknown_orders, portfolio.state.holdings) == ("open", 2, {})
    portfolio.handle_status("binance", status("filled", 2.0, 1.0))
    assert mine.state == "filled"


@pytest.mark.parametrize("end", ["lost", "rejected"])
def test_a_lost_order_with_a_new_event_is_no_longer_lost(end: str) -> None:
    """Neither it nor a rejection is the exchange's word; what is filled counts."""
    portfolio = portfolio_with(order(), order(2))
    for mine in portfolio.state.orders.values():
        mine.state = end
    assert portfolio.open == []
    portfolio.handle_response("binance", response("accepted"))
    portfolio.handle_status("binance", status("partially_filled", 0.5, 100.0, number=2))
    assert [mine.state for mine in portfolio.open] == ["open", "partially_filled"]
    assert portfolio.state.holdings[KEY].quantity == Decimal("0.5")


def numbers(*found: int | str) -> tuple[Decimal, ...]:
    """As the books hold them."""
    return tuple(Decimal(each) for each in found)


def fill(number: int, quantity: float = 1.0, price: float = 100.0) -> Trade:
    """One fill of an order."""
    return Trade(
        symbol="BTC/USDT",
        timestamp=datetime.now(UTC),
        price=price,
        quantity=quantity,
        side="buy",
        trade_id=str(number),
        exchange="binance",
    )


def test_fills_reported_after_the_end_are_counted_once() -> None:
    """`fills_complete` was false: the same status comes again with the rest of its fills."""
    portfolio = portfolio_with(order())
    first = status("filled", 2.0, fee=0.1).model_copy(update={"trades": [fill(1, 0.5, 90.0)]})
    portfolio.handle_status("binance", first)
    holding, mine = portfolio.state.holdings[KEY], portfolio.state.orders["bot-1"]
    assert (holding.quantity, holding.cash) == numbers(2, "-180.1")  # as if all were as the first
    rest = [fill(1, 0.5, 90.0), fill(2, 0.5, 100.0), fill(3, 1.0, 110.0)]
    second = status("filled", 2.0, fee=0.4).model_copy(update={"trades": rest})
    for event in (second, second, first):
        portfolio.handle_status("binance", event)
        assert mine.state == "filled"
        assert (mine.filled, mine.spent) == numbers(2, 205)
        assert (holding.quantity, holding.cash) == numbers(2, "-205.4")


def test_an_average_price_reported_after_the_end_is_applied() -> None:
    """The quantity is known from the first on; nothing but the money changes."""
    portfolio = portfolio_with(order(1, "sell"))
    portfolio.handle_status("binance", status("canceled", 1.0, 100.0))
    portfolio.handle_status("binance", status("canceled", 1.0, 101.0, fee=0.5))
    portfolio.handle_status(
        "binance", status("canceled", 1.0)
    )  # without an average nothing changes
    holding = portfolio.state.holdings[KEY]
    assert (holding.quantity, holding.cash) == numbers(-1, "100.5")


def test_an_order_without_a_reported_price_counts_at_its_own_price() -> None:
    """Then as its fills were; the quantity isn't late."""
    limit = order()
    limit.price = Decimal(95)
    portfolio = portfolio_with(limit)
    for event in (status("filled", 2.0), status("filled", 2.0)):
        portfolio.handle_status("binance", event)
        assert portfolio.state.holdings[KEY].cash == -190
    told = status("filled", 2.0).model_copy(update={"trades": [fill(1, 2.0, 94.0)]})
    portfolio.handle_status("binance", told)
    assert portfolio.state.holdings[KEY].cash == -188


def test_fills_without_an_id_count_where_the_order_has_grown() -> None:
    """Luno gives its fills none: the cumulative quantity tells them apart."""
    nameless = fill(1).model_copy(update={"trade_id": None})
    portfolio = portfolio_with(order())
    for filled in (1.0, 1.0, 2.0, 1.0, 2.0):
        event = status("partially_filled", filled).model_copy(update={"trades": [nameless]})
        portfolio.handle_status("binance", event)
    holding = portfolio.state.holdings[KEY]
    assert (holding.quantity, holding.cash) == numbers(2, -200)


def saved_before(fees: str, side: str = "buy") -> bytes:
    """An order as the release before saved it."""
    return (
        f'{{"id":"bot-1","strategy":"{KEY}","exchange":"binance","symbol":"BTC/USDT",'
        f'"side":"{side}","type":"market","quantity":"2","price":null,"reason":"so",'
        '"caused_by":[],"sent_at":1.0,"state":"partially_filled","order_id":"4711","filled":"1",'
        f'"spent":"90","fees":"{fees}","cancel_asked_at":0.0}}'
    ).encode()


@pytest.mark.parametrize(
    ("side", "fee", "left"),
    [("buy", {"BTC": 0.002}, ("1.998", "-190")), ("sell", {"USDT": 0.18}, ("-2", "189.82"))],
)
def test_fees_that_the_release_before_took_for_money_are_what_they_were(
    side: str, fee: dict[str, float], left: tuple[str, str]
) -> None:
    """Of a buy they are gone from the position, and what is told next is no second fee."""
    sign = 1 if side == "buy" else -1
    rest = (
        f'{{"sent":[],"holdings":{{"{KEY}":{{"exchange":"binance","symbol":"BTC/USDT",'
        f'"quantity":"{sign}","cash":"{-90 * sign - Decimal("0.09")}","price":"90","day":"",'
        '"profit_at_midnight":"0"}},"balances":[],"strategies":{}}'
    )
    fields = {"order:bot-1": saved_before("0.09", side), "rest": rest.encode()}
    portfolio = Portfolio()
    portfolio.state = saved_state.decode(fields).state
    event = status("filled", 2.0, 95.0).model_copy(update={"fee": fee})
    portfolio.handle_status("binance", event)
    holding = portfolio.state.holdings[KEY]
    assert (holding.quantity, holding.cash) == numbers(*left)


def test_an_order_of_the_release_before_goes_on() -> None:
    """Its state has no entry of its command, and no fills that were told one by one."""
    old = msgspec.json.decode(saved_before("0"), type=BotOrder)
    portfolio = portfolio_with(old)
    portfolio.handle_response("binance", response("accepted", order_id="4711", command_id=OURS))
    event = status("filled", 2.0, 95.0).model_copy(update={"trades": [fill(2, 1.0, 100.0)]})
    portfolio.handle_status("binance", event)
    assert old.state == "filled"
    assert old.spent == 190


def test_old_closed_orders_are_deleted_and_open_ones_never() -> None:
    """The latest are kept, for events that come late."""
    portfolio = portfolio_with(order(0))
    for number in range(1, 3 * KEEP_ENDED):
        ended = order(number)
        ended.state = "filled"
        portfolio.add(ended)
    assert len(portfolio.state.orders) <= 2 * KEEP_ENDED + 1
    assert {"bot-0", f"bot-{3 * KEEP_ENDED - 1}"} <= set(portfolio.state.orders)


def test_the_books_survive_being_saved() -> None:
    """All of them, and the balances beside them."""
    portfolio = portfolio_with(order(), order(2))
    portfolio.handle_status("binance", status("partially_filled", 0.5, 100.0, fee=0.1))
    portfolio.handle_response("binance", response("rejected", client_order_id="bot-2"), 7.0)
    balance = AccountBalanceEvent(exchange="luno", asset="ZAR", free=1, locked=2, total=3)
    known = saved_state.decode(saved_state.StateEncoder().encode(portfolio.state, [balance], {}))
    assert known.state == portfolio.state
    assert known.balances == [balance]


def test_an_order_that_has_ended_is_saved_as_it_is_now() -> None:
    """A late fill of one that was over is saved too."""
    portfolio, encoder = portfolio_with(order()), saved_state.StateEncoder()
    for filled in (1.0, 1.5):
        portfolio.handle_status("binance", status("canceled", filled, 100.0))
        for _ in range(2):
            known = saved_state.decode(encoder.encode(portfolio.state, [], {}))
            assert known.state == portfolio.state
