"""What messages accept, what they refuse, and how they look as JSON."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from common_models import (
    AccountBalanceEvent,
    IndicatorValue,
    OrderBook,
    OrderBookLevel,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    PlaceOrderCommand,
    RequestBalanceCommand,
    Ticker,
    Trade,
)
from tests.unit.common_models import strategies
from tests.unit.common_models.messages import MESSAGES, REQUIRED

COMMANDS = [PlaceOrderCommand, RequestBalanceCommand]
EVERY = pytest.mark.parametrize("model", MESSAGES, ids=lambda model: model.__name__)


def parsed(model: type[BaseModel], **changes: Any) -> BaseModel:
    """The message of *model*, with *changes*, read from JSON."""
    return model.model_validate_json(json.dumps({**MESSAGES[model], **changes}))


def refused(model: type[BaseModel], **changes: Any) -> None:
    """The message with *changes* is refused because of the field that was changed."""
    with pytest.raises(ValidationError) as caught:
        parsed(model, **changes)
    assert {str(error["loc"][0]) for error in caught.value.errors()} == set(changes)


@EVERY
def test_a_message_with_the_contracts_fields_validates(model: type[BaseModel]) -> None:
    """And keeps each of them, in the contract's order."""
    content = json.loads(parsed(model).model_dump_json())
    assert list(content)[: len(MESSAGES[model])] == list(MESSAGES[model])
    for name, value in MESSAGES[model].items():
        assert content[name] == value


@EVERY
def test_optional_fields_may_be_left_out_and_no_others(model: type[BaseModel]) -> None:
    """A message with the required fields alone validates; with one of them less it doesn't."""
    fewest = {name: MESSAGES[model][name] for name in REQUIRED[model]}
    model.model_validate_json(json.dumps(fewest))
    for name in fewest:
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps({**fewest, name: None}))
        del_one = {other: value for other, value in fewest.items() if other != name}
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps(del_one))


@EVERY
@given(data=st.data())
def test_a_round_trip_through_json_is_lossless(model: type[BaseModel], data: st.DataObject) -> None:
    """Whatever the message, what is read is what was written."""
    message = data.draw(strategies.models[model])
    assert model.model_validate_json(message.model_dump_json()) == message


@EVERY
@given(data=st.data())
def test_the_json_has_numbers_as_numbers_and_times_with_a_zone(
    model: type[BaseModel], data: st.DataObject
) -> None:
    """Strict JSON (no NaN), readable in any language."""

    def strict(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    message = data.draw(strategies.models[model])
    content = json.loads(message.model_dump_json(), parse_constant=strict)
    left_out = {n for n, field in model.model_fields.items() if field.exclude_if is not None}
    told = [n for n in model.model_fields if n not in left_out or getattr(message, n) is not None]
    assert list(content) == told
    for name, value in message:
        if isinstance(value, float):
            assert type(content[name]) is float
            assert content[name] == value
        elif isinstance(value, datetime):
            assert datetime.fromisoformat(content[name]) == value
            assert datetime.fromisoformat(content[name]).tzinfo is not None


def test_numbers_without_a_fraction_are_numbers_too() -> None:
    """`1` is as good as `1.0`, in commands too."""
    command = parsed(PlaceOrderCommand, quantity=1, price=2)
    assert (command.quantity, command.price) == (1.0, 2.0)  # type: ignore[attr-defined]


@EVERY
def test_unknown_fields_are_refused_in_commands_and_ignored_elsewhere(
    model: type[BaseModel],
) -> None:
    """A typo in an order is an error; a newer writer's field is none."""
    if model in COMMANDS:
        refused(model, stop_price=1.0)
    else:
        assert parsed(model, stop_price=1.0) == parsed(model)


@EVERY
def test_messages_cant_be_changed(model: type[BaseModel]) -> None:
    """They are values: one that was handed on stays what it was."""
    name = next(iter(MESSAGES[model]))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parsed(model), name, MESSAGES[model][name])


# --- numbers

FINITE_AND_POSITIVE = [
    (Ticker, "last_price"),
    (Ticker, "bid_price"),
    (Ticker, "ask_price"),
    (OrderBookLevel, "price"),
    (OrderBookLevel, "quantity"),
    (Trade, "price"),
    (Trade, "quantity"),
    (PlaceOrderCommand, "quantity"),
    (PlaceOrderCommand, "price"),
]
FINITE_AND_NOT_NEGATIVE = [
    (Ticker, "volume_24h"),
    (OrderResponseEvent, "filled_quantity"),
    (OrderStatusUpdateEvent, "filled_quantity"),
    (OrderStatusUpdateEvent, "remaining_quantity"),
    (AccountBalanceEvent, "free"),
    (AccountBalanceEvent, "locked"),
    (AccountBalanceEvent, "total"),
]
FINITE = [
    (OrderResponseEvent, "requested_quantity"),
    (OrderResponseEvent, "requested_price"),
    (IndicatorValue, "value"),
]
NOT_FINITE = [float("nan"), float("inf"), float("-inf"), 10**400]


@pytest.mark.parametrize("value", [0, -0.0, -1, *NOT_FINITE], ids=str)
@pytest.mark.parametrize(("model", "field"), FINITE_AND_POSITIVE)
def test_prices_and_quantities_are_above_zero(
    model: type[BaseModel], field: str, value: float
) -> None:
    """Finite and positive in tickers, books, trades and commands."""
    refused(model, **{field: value})


@pytest.mark.parametrize("value", [-1, -5e-324, *NOT_FINITE], ids=str)
@pytest.mark.parametrize(("model", "field"), FINITE_AND_NOT_NEGATIVE)
def test_balances_volumes_and_fills_are_not_below_zero(
    model: type[BaseModel], field: str, value: float
) -> None:
    """Finite and not negative; zero is fine."""
    refused(model, **{field: value})
    parsed(model, **{field: 0})


@pytest.mark.parametrize("value", NOT_FINITE, ids=str)
@pytest.mark.parametrize(("model", "field"), FINITE)
def test_indicator_values_and_echoes_are_any_finite_number(
    model: type[BaseModel], field: str, value: float
) -> None:
    """Negative and zero too; infinite or no number never."""
    refused(model, **{field: value})
    parsed(model, **{field: -1})
    parsed(model, **{field: 0})


@pytest.mark.parametrize("field", ["quantity", "price"])
@pytest.mark.parametrize(
    "value",
    [
        *('"1"', '"\uff11\uff12"', '"1e3"', '" 1 "', '"NaN"'),  # \uff11 is a full-width digit
        *("true", "false", "[1]", "{}"),
        *("NaN", "Infinity", "-Infinity", "1e400", "-1e400"),
    ],
)
def test_a_command_takes_json_numbers_only(field: str, value: str) -> None:
    """Nothing that merely looks like a number may become an order's size or price."""
    order = {"symbol": '"BTC/USDT"', "type": '"limit"', "side": '"buy"', "quantity": "1"}
    order |= {"price": "1", field: value}
    text = "{" + ",".join(f'"{name}":{content}' for name, content in order.items()) + "}"
    with pytest.raises(ValidationError) as caught:
        PlaceOrderCommand.model_validate_json(text)
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


# --- words and times


@pytest.mark.parametrize("value", ["", "BUY", "Buy", "bid", "long", None, 1])
@pytest.mark.parametrize("model", [Trade, PlaceOrderCommand])
def test_a_side_is_buy_or_sell(model: type[BaseModel], value: object) -> None:
    """In trades and in commands, in small letters."""
    refused(model, side=value)
    parsed(model, side="buy")
    parsed(model, side="sell")


@pytest.mark.parametrize("value", ["", "LIMIT", "stop", "stop_limit", None, 1])
def test_an_order_type_is_one_we_know(value: object) -> None:
    """Limit or market."""
    with pytest.raises(ValidationError) as caught:
        parsed(PlaceOrderCommand, type=value)
    assert ("type",) in [error["loc"] for error in caught.value.errors()]


WITH_TIME = [model for model, message in MESSAGES.items() if "timestamp" in message]


@pytest.mark.parametrize("value", ["2024-05-01T12:30:00", "2024-05-01", "yesterday", True, None])
@pytest.mark.parametrize("model", WITH_TIME)
def test_a_timestamp_carries_a_zone(model: type[BaseModel], value: object) -> None:
    """A time without a zone could be anywhere."""
    refused(model, timestamp=value)


@pytest.mark.parametrize("model", WITH_TIME)
def test_a_timestamp_may_be_in_any_zone(model: type[BaseModel]) -> None:
    """The instant counts."""
    shifted = parsed(model, timestamp="2024-05-01T14:30:00.123456+02:00")
    assert shifted == parsed(model)


def test_a_limit_order_needs_a_price() -> None:
    """Null or left out, it says so in the contract's words."""
    for order in (
        {"symbol": "BTC/USDT", "type": "limit", "side": "buy", "quantity": 1},
        {"symbol": "BTC/USDT", "type": "limit", "side": "buy", "quantity": 1, "price": None},
    ):
        with pytest.raises(ValidationError, match="Price is required for limit orders"):
            PlaceOrderCommand.model_validate_json(json.dumps(order))


def test_a_market_order_needs_no_price() -> None:
    """It may have one all the same: the contract forbids it nowhere."""
    order = {"symbol": "BTC/USDT", "type": "market", "side": "buy", "quantity": 1}
    assert PlaceOrderCommand.model_validate_json(json.dumps(order)).price is None
    PlaceOrderCommand.model_validate_json(json.dumps({**order, "price": 5.0}))


def test_an_answer_echoes_whatever_was_asked() -> None:
    """A bad command must be answerable: any text, any finite number, 0 and "" if unreadable."""
    parsed(OrderResponseEvent, side="BUY", type="stop", symbol="?", requested_quantity=-3)
    parsed(OrderResponseEvent, side="", type="", symbol="", requested_quantity=0)


def test_an_empty_side_of_a_book_is_a_book() -> None:
    """A thin market may have no bids."""
    book = parsed(OrderBook, bids=[])
    assert json.loads(book.model_dump_json())["bids"] == []


# --- defaults that are made


def test_each_command_gets_a_new_id() -> None:
    """A random UUID, as the contract has it."""
    orders = [
        PlaceOrderCommand(symbol="BTC/USDT", type="market", side="buy", quantity=1.0)
        for _ in range(2)
    ]
    requests = [RequestBalanceCommand(exchange="luno") for _ in range(2)]
    ids = [order.client_order_id for order in orders]
    ids += [request.client_request_id for request in requests]
    assert len({UUID(text) for text in ids}) == 4


@pytest.mark.parametrize(
    "model", [model for model in WITH_TIME if "timestamp" not in REQUIRED[model]]
)
def test_an_events_time_is_now_in_utc(model: type[BaseModel]) -> None:
    """Where the writer gives none."""
    content = {name: value for name, value in MESSAGES[model].items() if name != "timestamp"}
    before = datetime.now(UTC)
    made = model.model_validate(content).timestamp  # type: ignore[attr-defined]
    assert before <= made <= datetime.now(UTC)
    assert made.utcoffset() == timedelta(0)
