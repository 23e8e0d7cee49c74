"""Reading commands, each of their five kinds: thousands of messages, in this process."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.answers import unreadable
from services._connector_kit.orders.parse import UnreadableError, parse
from services._connector_kit.orders.ports import Entry
from services._connector_kit.orders.requests import COMMANDS
from tests.fuzz.corpus import IDS, corpus, good, messages

MODELS: dict[str, type[BaseModel]] = {"place_order": PlaceOrderCommand, **COMMANDS}
LONGEST_REFUSAL = 1000


def refusal(command: str, data: bytes) -> UnreadableError | None:
    """Why *data* is refused, told so that it can be shown; None where it is a good command."""
    defaults = {IDS[command]: "x1-0"}
    if command == "request_balance":
        defaults["exchange"] = "binance"
    try:
        read = parse(MODELS[command], data, defaults)
    except UnreadableError as error:
        said = str(error)
        assert said
        assert said.isprintable(), said
        assert len(said) <= LONGEST_REFUSAL, said
        entry = Entry(command, "1-0", data, redelivered=False)
        answer = unreadable(error.fields, entry, said, 1_700_000_000_000)
        assert OrderResponseEvent.model_validate_json(answer).status == "rejected"
        return error
    again = MODELS[command].model_validate_json(read.model_dump_json())
    assert again == read
    return None


def test_every_command_stream_is_fuzzed() -> None:
    """A command that is added here is added there."""
    assert set(MODELS) == set(IDS)


@pytest.mark.parametrize("command", IDS)
def test_a_good_command_is_read(command: str) -> None:
    """The corpus's faults are faults of something that is right without them."""
    assert refusal(command, json.dumps(good(command, "BTC/USDT", "a")).encode()) is None


@pytest.mark.parametrize("command", IDS)
def test_each_fault_is_refused_by_its_name(command: str) -> None:
    """With the field, what stood there, and what would be right; the id where it can be read."""
    for case in corpus(command, "BTC/USDT"):
        error = refusal(command, case.data)
        assert error is not None, case.name
        assert case.says in str(error), (case.name, str(error))
        readable = isinstance(error.fields.get(IDS[command]), str)
        assert readable == case.answerable, (case.name, str(error))


@pytest.mark.parametrize("command", IDS)
@settings(max_examples=500)
@given(data=st.data())
def test_any_message_is_read_or_refused(command: str, data: st.DataObject) -> None:
    """Nothing but a refusal is ever raised, and it can be shown on one line."""
    refusal(command, data.draw(messages(good(command, "BTC/USDT", "drawn"))))
