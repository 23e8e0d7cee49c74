"""Luno's wire format: ids, updates, errors."""

import re

from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.luno.wire import LunoError, order_id, update
from services.exchange_simulator.market import MarketStep, SimulatedMarket
from services.exchange_simulator.matching import Terms

NOW = 1_790_000_000_000
XBT = next(i for i in INSTRUMENTS if i.symbol == "XBT/ZAR")
FIRST = NOW * 1000


@given(st.sets(st.integers(0, 2**62), max_size=50))
def test_order_ids_look_like_lunos_and_never_collide(numbers: set[int]) -> None:
    """BX and thirteen characters, different for each number."""
    ids = {order_id(number) for number in numbers}
    assert len(ids) == len(numbers)
    assert all(re.fullmatch(r"BX[2-9A-HJ-NP-Z]{13}", text) for text in ids)


def test_an_error_has_both_keys() -> None:
    """Without both, the SDK treats an answer as a success."""
    assert LunoError(400, "ErrX", "no").body() == {"error": "no", "error_code": "ErrX"}


def steps(*actions: Terms | int) -> list[MarketStep]:
    """The updates of *actions* on a new market; a number cancels the n-th order."""
    market = SimulatedMarket(XBT, lambda: NOW)
    message: list[MarketStep] = []
    market.subscribe(message.append)
    for action in actions:
        if isinstance(action, Terms):
            market.submit(action)
        else:
            market.cancel(FIRST + action)
    return message


def test_a_new_order_is_a_create() -> None:
    """With side, price and volume as texts; the other keys are empty."""
    (step,) = steps(Terms("a", "sell", 399, 1407042))
    assert update(step, 74538169, XBT) == {
        "sequence": "74538169",
        "trade_updates": [],
        "create_update": {
            "order_id": order_id(FIRST),
            "type": "ASK",
            "price": "1407042.00",
            "volume": "0.000399",
        },
        "delete_update": None,
        "status_update": None,
        "timestamp": NOW,
    }


def test_a_cancel_is_a_delete() -> None:
    """With the id of the order."""
    message = update(steps(Terms("a", "buy", 399, 1407042), 0)[1], 2, XBT)
    assert message["delete_update"] == {"order_id": order_id(FIRST)}
    assert message["create_update"] is None


def test_a_taker_that_rests_has_its_trades_and_its_create_in_one_message() -> None:
    """The filled maker has no delete; the create has the remaining volume."""
    message = update(
        steps(Terms("a", "sell", 399, 1407042), Terms("b", "buy", 1000, 1407050))[1], 2, XBT
    )
    assert message["trade_updates"] == [
        {
            "sequence": FIRST,
            "base": "0.000399",
            "counter": "561.409758",
            "maker_order_id": order_id(FIRST),
            "taker_order_id": order_id(FIRST + 1),
            "order_id": order_id(FIRST),
        }
    ]
    assert message["create_update"] == {
        "order_id": order_id(FIRST + 1),
        "type": "BID",
        "price": "1407050.00",
        "volume": "0.000601",
    }
    assert message["delete_update"] is None


def test_a_market_order_has_trades_only() -> None:
    """Its unfilled quantity isn't on the book, so it isn't published."""
    message = update(steps(Terms("a", "sell", 5, 100), Terms("b", "buy", 9))[1], 2, XBT)
    assert len(message["trade_updates"]) == 1
    assert message["create_update"] is None


def test_a_step_without_a_book_change_is_an_empty_update() -> None:
    """A refused post-only order uses a sequence number too."""
    message = update(
        steps(Terms("a", "sell", 5, 100), Terms("b", "buy", 9, 100, "GTC", post_only=True))[1],
        3,
        XBT,
    )
    assert (message["sequence"], message["trade_updates"]) == ("3", [])
    assert [message[k] for k in ("create_update", "delete_update", "status_update")] == [None] * 3
