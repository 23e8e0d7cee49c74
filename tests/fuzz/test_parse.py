"""Parsing of all five kinds of commands: thousands of messages, in this process."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import IDS, corpus, good, messages
from tests.fuzz.reading import MODELS, refusal

LIKE = {command: messages(good(command, "BTC/USDT", "drawn")) for command in IDS}


def test_every_command_stream_is_fuzzed() -> None:
    """A new command must be added to the corpus."""
    assert set(MODELS) == set(IDS)


@pytest.mark.parametrize("command", IDS)
def test_a_valid_command_is_parsed(command: str) -> None:
    """The commands of the corpus are valid without their faults."""
    assert refusal(command, json.dumps(good(command, "BTC/USDT", "a")).encode()) is None


@pytest.mark.parametrize("command", IDS)
def test_each_fault_is_refused_by_its_name(command: str) -> None:
    """With the field, its value and the expected form; with the id if it can be read."""
    for case in corpus(command, "BTC/USDT"):
        error = refusal(command, case.data)
        assert error is not None, case.name
        assert case.says in str(error), (case.name, str(error))
        readable = isinstance(error.fields.get(IDS[command]), str)
        assert readable == case.answerable, (case.name, str(error))


@pytest.mark.parametrize("command", IDS)
@settings(max_examples=400)
@given(data=st.data())
def test_any_message_is_parsed_or_refused(command: str, data: st.DataObject) -> None:
    """Only a refusal is raised, and its text is one line."""
    refusal(command, data.draw(LIKE[command]))
