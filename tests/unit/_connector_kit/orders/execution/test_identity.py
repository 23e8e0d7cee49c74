"""Which venue order belongs to which command."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import PlaceOrderCommand
from services._connector_kit.orders.execution.identity import (
    CLOCK_ERROR_MS,
    best_match,
    is_ours,
    same_terms,
)
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import VenueOrder

SENT_AT = 1_700_000_000_000
COMMAND = PlaceOrderCommand(
    client_order_id="a", symbol="BTC/USDT", type="limit", side="buy", quantity=0.0045, price=100.5
)
ORDER = VenueOrder("7", "a", "0", "BTC/USDT", "buy", "limit", "0.004", "100.5", SENT_AT)


def record(command: PlaceOrderCommand = COMMAND, **fields: Any) -> Record:
    """A record of that command, sized to the venue's lot."""
    rounded_order: dict[str, Any] = {"sent_quantity": "0.004", "sent_price": "100.5"}
    return Record(
        client_order_id=command.client_order_id,
        entry_id="1-0",
        command=command.model_dump_json(exclude_defaults=True),
        timestamp=SENT_AT,
        validity=5000,
        sendable=True,
        **(rounded_order | fields),
    )


def market(side: str) -> PlaceOrderCommand:
    """The same without a price."""
    return COMMAND.model_copy(update={"type": "market", "price": None, "side": side})


def test_an_order_with_the_terms_that_were_sent_is_ours() -> None:
    """All of them."""
    assert is_ours(ORDER, record())


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": "ETH/USDT"},
        {"side": "sell"},
        {"type": "stop_loss_limit"},
        {"type": "market"},
        {"quantity": "0.005"},
        {"price": "100.7"},
        {"price": "100.3"},
    ],
)
def test_an_order_with_another_term_is_not_ours(other: dict[str, Any]) -> None:
    """Each term counts."""
    assert not is_ours(replace(ORDER, **other), record())


@pytest.mark.parametrize("term", ["symbol", "side", "type", "quantity", "price"])
def test_a_term_that_the_venue_does_not_name_is_not_compared(term: str) -> None:
    """Luno's market orders have neither price nor volume."""
    unknown: dict[str, Any] = {term: None}
    assert is_ours(replace(ORDER, **unknown), record())


@pytest.mark.parametrize(
    ("created", "ours"),
    [
        (SENT_AT, True),
        (SENT_AT - CLOCK_ERROR_MS, True),
        (SENT_AT - CLOCK_ERROR_MS - 1, False),
        (0, False),
    ],
)
def test_a_smaller_order_is_ours_only_if_it_was_created_after_ours_was_sent(
    created: int, ours: bool
) -> None:
    """It may have been amended since. An older one is somebody else's."""
    assert is_ours(replace(ORDER, quantity="0.001", created=created), record()) is ours


def test_an_older_order_between_what_was_sent_and_what_was_asked_is_ours() -> None:
    """It was sent before Redis lost data, on a finer lot."""
    assert is_ours(replace(ORDER, quantity="0.0045", created=1), record())


@pytest.mark.parametrize(("quantity", "ours"), [("0.0045", True), ("0.0046", False)])
def test_an_order_that_could_not_be_sized_is_compared_with_what_was_asked(
    quantity: str, ours: bool
) -> None:
    """The rules refuse it now; an earlier claim may have sent it."""
    unsized = record(sent_quantity=None, sent_price=None)
    assert is_ours(replace(ORDER, quantity=quantity, created=1), unsized) is ours
    assert not is_ours(replace(ORDER, price="101.0", created=1), unsized)


@pytest.mark.parametrize("order_type", ["market", "limit"])
def test_a_market_order_may_be_a_capped_limit_order_at_the_venue(order_type: str) -> None:
    """The cap follows the book of the moment: its price isn't compared."""
    found = replace(ORDER, type=order_type, price="180.0")
    assert is_ours(found, record(market("buy"), sent_price=None))
    assert not is_ours(replace(found, type="take_profit"), record(market("buy")))


def test_of_several_orders_with_the_id_the_one_that_fits_comes_first() -> None:
    """Binance takes an id again once its order has closed."""
    other = replace(ORDER, order_id="6", side="sell")
    stranger = replace(ORDER, order_id="5", client_order_id="b")
    assert best_match([stranger, other, ORDER], record()) == ORDER
    assert best_match([stranger, other], record()) == other
    assert best_match([stranger], record()) is None


@given(price=st.floats(0.01, 1e6), off=st.floats(-0.0009, 0.0009))
def test_a_price_on_a_neighbouring_tick_is_ours(price: float, off: float) -> None:
    """The tick may have changed since it was sent."""
    command = COMMAND.model_copy(update={"price": price})
    found = replace(ORDER, price=str(price * (1 + off)))
    assert is_ours(found, record(command, sent_price=str(price)))


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "ETH/USDT"},
        {"side": "sell"},
        {"quantity": 1.1},
        {"price": 2.1},
        {"type": "market", "price": None},
        {"time_in_force": "IOC"},
        {"post_only": True},
    ],
)
def test_commands_that_differ_in_any_field_ask_for_another_order(change: dict[str, Any]) -> None:
    """Every field counts."""
    assert not same_terms(COMMAND.model_copy(update=change), COMMAND)


def test_how_a_command_is_written_does_not_matter() -> None:
    """Neither how its numbers look, nor whether its defaults stand there."""
    again = PlaceOrderCommand.model_validate_json(
        '{"client_order_id": "a", "symbol": "BTC/USDT", "type": "limit", "side": "buy", '
        '"quantity": 0.00450, "price": 100.50, "time_in_force": null, "post_only": false}'
    )
    assert same_terms(again, COMMAND)
    assert same_terms(record().order, COMMAND)
    assert b"post_only" not in msgspec.json.encode(record())


@pytest.mark.parametrize(("quantity", "ours"), [("20.3", True), ("20.4", False)])
@pytest.mark.parametrize("sent", ["20.3", None])
def test_float_noise_in_what_was_asked_for_makes_no_other_order(
    quantity: str, sent: str | None, *, ours: bool
) -> None:
    """29 * 0.7 is less than 20.3, which is sent for it."""
    noisy = record(COMMAND.model_copy(update={"quantity": 29 * 0.7}), sent_quantity=sent)
    assert is_ours(replace(ORDER, quantity=quantity), noisy) == ours
