"""Luno's way of writing: ids, updates, errors."""

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
    """They begin with BX; thirteen characters follow, others for each number."""
    ids = {order_id(number) for number in numbers}
    assert len(ids) == len(numbers)
    assert all(re.fullmatch(r"BX[2-9A-HJ-NP-Z]{13}", text) for text in ids)


def test_an_error_has_both_keys() -> None:
    """Without both, the SDK takes an answer for a success."""
    assert LunoError(400, "ErrX", "no").body() == {"error": "no", "error_code": "ErrX"}


def steps(*actions: Terms | int) -> list[MarketStep]:
    """What a fresh market tells of *actions*; a number cancels the n-th order."""
    market = SimulatedMarket(XBT, lambda: NOW)
    told: list[MarketStep] = []
    market.subscribe(told.append)
    for action in actions:
        if isinstance(action, Terms):
            market.submit(action)
        else:
            market.cancel(FIRST + action)
    return told


def test_a_new_order_is_a_create() -> None:
    """With side, price and volume as texts; the other keys are there and empty."""
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
    """Naming the order."""
    told = update(steps(Terms("a", "buy", 399, 1407042), 0)[1], 2, XBT)
    assert told["delete_update"] == {"order_id": order_id(FIRST)}
    assert told["create_update"] is None


def test_a_taker_that_rests_has_its_trades_and_its_rest_in_one_message() -> None:
    """The maker is filled without a delete; the create has what is left."""
    told = update(
        steps(Terms("a", "sell", 399, 1407042), Terms("b", "buy", 1000, 1407050))[1], 2, XBT
    )
    assert told["trade_updates"] == [
        {
            "sequence": FIRST,
            "base": "0.000399",
            "counter": "561.409758",
            "maker_order_id": order_id(FIRST),
            "taker_order_id": order_id(FIRST + 1),
            "order_id": order_id(FIRST),
        }
    ]
    assert told["create_update"] == {
        "order_id": order_id(FIRST + 1),
        "type": "BID",
        "price": "1407050.00",
        "volume": "0.000601",
    }
    assert told["delete_update"] is None


def test_a_market_order_is_trades_alone() -> None:
    """What it leaves unfilled isn't on the book, so it isn't told."""
    told = update(steps(Terms("a", "sell", 5, 100), Terms("b", "buy", 9))[1], 2, XBT)
    assert len(told["trade_updates"]) == 1
    assert told["create_update"] is None


def test_a_step_the_book_didnt_feel_is_an_empty_update() -> None:
    """A refused post-only order still takes a number."""
    told = update(
        steps(Terms("a", "sell", 5, 100), Terms("b", "buy", 9, 100, "GTC", post_only=True))[1],
        3,
        XBT,
    )
    assert (told["sequence"], told["trade_updates"]) == ("3", [])
    assert [told[k] for k in ("create_update", "delete_update", "status_update")] == [None] * 3
