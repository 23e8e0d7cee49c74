"""The bot's books: what its orders made, however often it is told."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from common_models import AccountBalanceEvent, OrderResponseEvent, OrderStatusUpdateEvent
from services.bot import memory
from services.bot.portfolio import KEEP_ENDED, Order, Portfolio, Told

KEY = "x:binance:BTC/USDT"


def order(number: int = 1, side: str = "buy", quantity: str = "2") -> Order:
    """An order that was sent."""
    return Order(
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


def portfolio(*orders: Order) -> Portfolio:
    """Books with these orders."""
    found = Portfolio()
    for each in orders:
        found.add(each)
    return found


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10), st.data())
def test_a_fill_is_booked_once_however_often_it_is_told(
    cumulative: list[int], data: st.DataObject
) -> None:
    """Events come again, after restarts; the position is the most that was ever filled."""
    fills = sorted(cumulative)
    events = [status("partially_filled", n / 10, 100.0, fee=n / 100) for n in fills]
    told = [e for e in events for _ in range(data.draw(st.integers(1, 3)))]
    books = portfolio(order())
    for event in told:
        books.take_status("binance", event)
    holding = books.books.holdings[KEY]
    assert holding.quantity == Decimal(fills[-1]) / 10
    assert holding.cash == -(holding.quantity * 100 + Decimal(fills[-1]) / 100)


def test_what_was_bought_and_sold_is_profit() -> None:
    """At the market's price; fees in either asset are money; sells bring it back."""
    books = portfolio(order(), order(2, "sell"))
    books.roll("2026-01-01")
    books.take_status("binance", status("filled", 2.0, 100.0, fee=0.5))
    holding = books.books.holdings[KEY]
    holding.price = Decimal(110)
    assert holding.profit == Decimal("19.5")
    books.roll("2026-01-02")
    assert holding.profit_today == 0
    assert books.lost_today("USDT") == 0
    holding.price = Decimal(105)
    assert books.lost_today("USDT") == 10
    in_base = status("filled", 2.0, 105.0, 2).model_copy(update={"fee": {"BTC": 0.01}})
    books.take_status("binance", in_base)
    assert holding.quantity == 0
    assert holding.profit == Decimal("19.5") - 10 - Decimal("1.05")


def test_an_order_is_pending_until_it_has_ended() -> None:
    """Unknown isn't over; a rejection that was a mistake is taken back; an end stays an end."""
    books = portfolio(order())
    books.take_response("binance", response("unknown"))
    assert books.pending(KEY) is not None
    books.take_response("binance", response("rejected", provisional=True))
    assert books.pending(KEY) is None
    books.take_response("binance", response("accepted"))
    assert books.pending(KEY) is not None
    books.take_status("binance", status("filled", 2.0, 1.0))
    books.take_status("binance", status("open"))
    assert books.books.orders["bot-1"].state == "filled"
    assert books.pending(KEY) is None


def test_others_orders_change_nothing() -> None:
    """Another's id, another exchange's event, a replayed answer; ours that are unknown count."""
    heard: list[Told] = []
    books = portfolio(order())
    books.on_step = lambda _, event: heard.append(event)
    books.take_status("luno", status("filled", 2.0, 1.0))
    books.take_status("binance", status("filled", 2.0, 1.0, number=9))
    books.take_response("binance", response("rejected", replay=True))
    by_hand = status("filled", 2.0, 1.0).model_copy(update={"client_order_id": "mine"})
    books.take_status("binance", by_hand)
    assert (heard, books.books.holdings, books.strangers) == ([], {}, 2)
    assert books.books.orders["bot-1"].state == "sent"


def test_orders_that_ended_long_ago_are_forgotten_and_open_ones_never() -> None:
    """The latest are kept, for events that come late."""
    books = portfolio(order(0))
    for number in range(1, 3 * KEEP_ENDED):
        ended = order(number)
        ended.state = "filled"
        books.add(ended)
    assert len(books.books.orders) <= 2 * KEEP_ENDED + 1
    assert {"bot-0", f"bot-{3 * KEEP_ENDED - 1}"} <= set(books.books.orders)


def test_the_books_survive_being_saved() -> None:
    """All of them, and the balances beside them."""
    books = portfolio(order())
    books.take_status("binance", status("partially_filled", 0.5, 100.0, fee=0.1))
    balance = AccountBalanceEvent(exchange="luno", asset="ZAR", free=1, locked=2, total=3)
    known = memory.decode(memory.Encoder().encode(books.books, [balance], {}))
    assert known.books == books.books
    assert known.balances == [balance]


def test_an_order_that_has_ended_is_saved_as_it_is_now() -> None:
    """A late fill of one that was over is saved too."""
    books, encoder = portfolio(order()), memory.Encoder()
    for filled in (1.0, 1.5):
        books.take_status("binance", status("canceled", filled, 100.0))
        for _ in range(2):
            known = memory.decode(encoder.encode(books.books, [], {}))
            assert known.books == books.books
