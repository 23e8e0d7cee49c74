"""Orders, put together from their answers and their statuses."""

import json
from typing import Any

from services.tradectl.account import OrderLine, Orders
from services.tradectl.reading import StreamEntry


def entry(at: int, **fields: Any) -> StreamEntry:
    """An entry of some event stream."""
    return StreamEntry("s", f"{at}-0", json.dumps(fields).encode())


def response(at: int, client_order_id: str, status: str = "accepted", **more: Any) -> StreamEntry:
    """An answer."""
    asked = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "requested_quantity": 2.0}
    return entry(at, client_order_id=client_order_id, status=status, **asked, **more)


def status(at: int, order_id: str, status: str, filled: float, **more: Any) -> StreamEntry:
    """A status of an order of 2."""
    numbers = {"filled_quantity": filled, "remaining_quantity": 2.0 - filled}
    return entry(at, order_id=order_id, status=status, symbol="BTC/USDT", **numbers, **more)


def orders_by_update(
    responses: list[StreamEntry], statuses: list[StreamEntry]
) -> dict[str | None, OrderLine]:
    """By client order id."""
    orders = Orders("binance")
    for each in responses:
        orders.add_response(each)
    for each in statuses:
        orders.add_status(each)
    assert orders.orders_by_update() == orders.orders_by_update()  # however often it is asked
    return {line.client_order_id: line for line in orders.orders_by_update()}


def test_an_order_is_its_answer_and_its_latest_status() -> None:
    """Side, type and price come from the answer, all that changes from the status."""
    answers = [response(1, "a", sent_quantity=2.0, sent_price=10.0)]
    told = [
        status(2, "1", "open", 0.0, client_order_id="a"),
        status(3, "1", "partially_filled", 0.5, client_order_id="a", average_price=9.5),
    ]
    (order,) = orders_by_update(answers, told).values()
    assert (order.side, order.type, order.price, order.quantity) == ("buy", "limit", 10.0, 2.0)
    assert (order.status, order.filled, order.average_price) == ("partially_filled", 0.5, 9.5)
    assert order.at == 3


def test_an_order_without_a_status_is_shown_as_it_was_answered() -> None:
    """Accepted a moment ago, unknown, or rejected."""
    found = orders_by_update([response(1, "a"), response(2, "b", "unknown")], [])
    assert [(o.client_order_id, o.status) for o in found.values()] == [
        ("a", "accepted"),
        ("b", "unknown"),
    ]


def test_an_order_from_elsewhere_has_no_side_and_all_of_its_numbers() -> None:
    """Nobody asked us for it."""
    (order,) = orders_by_update([], [status(1, "9", "open", 0.5, external=True)]).values()
    assert (order.side, order.external, order.quantity, order.filled) == (None, True, 2.0, 0.5)


def test_a_refused_other_order_under_the_same_id_does_not_hide_the_first() -> None:
    """`duplicate_id` is said of another command."""
    found = orders_by_update(
        [response(1, "a"), response(2, "a", "rejected", reason_code="duplicate_id")], []
    )
    assert found["a"].status == "accepted"


def test_entries_that_cannot_be_read_are_left_out() -> None:
    """Whatever else lies in the streams."""
    assert (
        orders_by_update(
            [StreamEntry("s", "1-0", b"\xff"), entry(2)], [StreamEntry("s", "3-0", b"[1]")]
        )
        == {}
    )
