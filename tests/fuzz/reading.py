"""Reads commands in this process, and looks at every refusal."""

from pydantic import BaseModel

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.commands.answers import unreadable
from services._connector_kit.orders.commands.parse import UnreadableError, parse
from services._connector_kit.orders.commands.request_consumer import COMMANDS
from services._connector_kit.orders.ports import CommandEntry
from tests.fuzz.corpus import IDS

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
        entry = CommandEntry(command, "1-0", data, redelivered=False)
        answer = unreadable(error.fields, entry, said, 1_700_000_000_000)
        assert OrderResponseEvent.model_validate_json(answer).status == "rejected"
        return error
    again = MODELS[command].model_validate_json(read.model_dump_json())
    assert again == read
    return None
