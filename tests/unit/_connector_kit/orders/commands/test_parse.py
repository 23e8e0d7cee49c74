"""Reading commands: what is refused, with which words, and that nothing crashes."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.commands.answers import unreadable
from services._connector_kit.orders.commands.parse import MAX_BYTES, UnreadableError, parse
from services._connector_kit.orders.ports import CommandEntry

GOOD: dict[str, Any] = {
    "client_order_id": "a-1",
    "symbol": "BTC/USDT",
    "type": "limit",
    "side": "buy",
    "quantity": 1.5,
    "price": 100,
}
ENTRY = CommandEntry("place_order", "1700000000000-0", b"", redelivered=False)


def read(data: bytes) -> PlaceOrderCommand:
    """The command in *data*, as the desk reads it."""
    return parse(PlaceOrderCommand, data, {"client_order_id": "x1-0"})


def refusal(data: bytes | str | dict[str, Any]) -> UnreadableError:
    """Why that data is refused."""
    if isinstance(data, dict):
        data = json.dumps(data)
    with pytest.raises(UnreadableError) as caught:
        read(data if isinstance(data, bytes) else data.encode())
    return caught.value


def with_raw(field: str, raw: str) -> str:
    """The good command, with *raw* JSON for one field."""
    return json.dumps({**GOOD, field: "RAW"}).replace('"RAW"', raw)


def test_a_good_command_is_read() -> None:
    """Every field arrives."""
    assert read(json.dumps(GOOD).encode()) == PlaceOrderCommand(**GOOD)


def test_a_command_without_an_id_gets_the_default() -> None:
    """The same entry read twice is the same command."""
    without = {name: value for name, value in GOOD.items() if name != "client_order_id"}
    assert read(json.dumps(without).encode()).client_order_id == "x1-0"


@pytest.mark.parametrize(
    "raw",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1", "0", "true", '"1"', "[1]", "null", "9" * 5000],
)
def test_a_quantity_that_is_not_a_positive_number_is_rejected_by_name(raw: str) -> None:
    """The message names the field, and the id can be answered."""
    error = refusal(with_raw("quantity", raw))
    assert str(error).startswith("quantity=")
    assert error.fields["client_order_id"] == "a-1"


@pytest.mark.parametrize("raw", ["\uff11\uff12\uff13", "1_000", "01", "+1", "0x10", "1."])
def test_an_invalid_json_number_is_invalid_json(raw: str) -> None:
    """Full-width digits and other spellings of numbers are not read."""
    assert str(refusal(with_raw("quantity", raw))).startswith("invalid JSON: ")


@pytest.mark.parametrize("text", ["\uff11\uff12\uff13", "1_000", " 1 ", "1"])
def test_a_number_in_quotes_is_refused(text: str) -> None:
    """Also one that Python would take for a number."""
    assert str(refusal({**GOOD, "price": text})).startswith("price=")


def test_a_name_that_stands_twice_is_refused() -> None:
    """Which of the two was meant can't be told, so neither is echoed."""
    error = refusal(json.dumps(GOOD)[:-1] + ', "client_order_id": "b"}')
    assert str(error) == "'client_order_id' is repeated; expected each name once"
    assert "client_order_id" not in error.fields
    assert error.fields["symbol"] == "BTC/USDT"


def test_a_name_that_stands_twice_inside_a_field_leaves_the_id_readable() -> None:
    """An inner object's fields are never taken for the command's."""
    error = refusal(with_raw("symbol", '{"client_order_id": "b", "client_order_id": "c"}'))
    assert "repeated" in str(error)
    assert error.fields.get("client_order_id") is None


@pytest.mark.parametrize("field", ["client_order_id", "symbol"])
def test_a_lone_surrogate_is_invalid_text(field: str) -> None:
    """A lone surrogate can't be written back to Redis."""
    error = refusal(with_raw(field, '"a\\ud800"'))
    assert str(error).startswith(f"'{field}': ")
    assert error.fields[field] == "a?"


def test_an_unknown_field_is_named() -> None:
    """A mistyped field in an order is not dropped in silence."""
    message = str(refusal({**GOOD, "prise": 1}))
    assert message.startswith("prise=1.0: unknown field; expected client_order_id, ")


def test_no_name_steers_a_terminal() -> None:
    """What stands for a field's name is shown without its control characters."""
    message = str(refusal({**GOOD, "\x1b[2J": "\x07"}))
    assert message.startswith("'\\x1b[2J'='\\x07': ")


def test_a_missing_field_is_named() -> None:
    """And so is one that a limit order needs."""
    without = {name: value for name, value in GOOD.items() if name != "symbol"}
    assert str(refusal(without)) == "symbol: Field required"
    assert "Price is required for limit orders" in str(refusal({**GOOD, "price": None}))


def test_many_faults_make_a_short_message() -> None:
    """The first few are named, the others counted; a long name is cut short."""
    error = refusal({**GOOD, **{f"{number}" * 500: number for number in range(1, 40)}})
    assert str(error).endswith("and 34 more")
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "invalid JSON: the entry has no field data"),
        (b"\xff\xfe", "invalid JSON: 'utf-8'"),
        (b"{", "invalid JSON: "),
        (b"[1, 2]", "[1.0, 2.0] is not a JSON object"),
        (b'"text"', "'text' is not a JSON object"),
        (b"null", "None is not a JSON object"),
        (b" " * (MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes; expected at most {MAX_BYTES}"),
        (b"[" * 30_000 + b"]" * 30_000, "invalid JSON: "),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "invalid JSON: "),
    ],
)
def test_json_that_is_not_an_object_is_rejected(data: bytes, words: str) -> None:
    """One clear message for each."""
    assert str(refusal(data)).startswith(words)


def test_deep_nesting_in_a_field_is_refused_without_a_crash() -> None:
    """Whatever depth the decoder still takes."""
    for depth in (10, 100, 300, 900, 990, 5000):
        message = str(refusal(with_raw("symbol", "[" * depth + "]" * depth)))
        assert message.startswith(("symbol=", "'symbol': ", "invalid JSON: "))


def test_thousands_of_names_are_read_at_once() -> None:
    """Looking for names that stand twice doesn't take the square of their number."""
    names = ",".join(f'"{number}":1' for number in range(6000))
    assert "repeated" in str(refusal("{" + names + ',"5999":1}'))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(st.characters(blacklist_categories=()), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(blacklist_categories=()), max_size=5), inner)
    ),
    max_leaves=10,
)


def answer_to(data: bytes) -> OrderResponseEvent | None:
    """What a bot hears about *data*; None where it is a good command."""
    try:
        read(data)
    except UnreadableError as error:
        told = unreadable(error.fields, ENTRY, str(error), 1_700_000_000_000)
        return OrderResponseEvent.model_validate_json(told)
    return None


def assert_read_or_refused(data: bytes) -> None:
    """Either it is a command, or the refusal says why."""
    answer = answer_to(data)
    if answer is not None:
        assert answer.status == "rejected"
        assert answer.error_message


@given(st.binary(max_size=200))
@example(b'{"quantity": 1e999, "price": -1e999}')
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a refusal is ever raised, and the refusal can be answered."""
    assert_read_or_refused(data)


@given(
    st.dictionaries(
        st.sampled_from(sorted(GOOD)) | st.text(st.characters(blacklist_categories=())),
        json_values,
    )
)
@example({"client_order_id": "\ud800", "symbol": "\udfff", "\ud800": 1})
@example({"quantity": 10**300, "price": 10**400})
def test_any_object_is_read_or_refused(changes: dict[str, Any]) -> None:
    """Good fields mixed with anything: the answer is always one that can be read back."""
    assert_read_or_refused(json.dumps({**GOOD, **changes}).encode())


@given(
    quantity=st.floats(min_value=1e-8, max_value=1e9),
    price=st.floats(min_value=1e-8, max_value=1e9),
    client_order_id=st.text(st.characters(codec="utf-8")),
)
def test_every_good_command_survives_the_wire(
    quantity: float, price: float, client_order_id: str
) -> None:
    """What a bot wrote with the model is what the desk reads."""
    command = PlaceOrderCommand(
        **{**GOOD, "quantity": quantity, "price": price, "client_order_id": client_order_id}
    )
    assert read(command.model_dump_json().encode()) == command
