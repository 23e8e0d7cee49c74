"""Reads messages of the streams, which anybody may have written; what is wrong fits in a line."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

# The deepest book that a connector publishes has a tenth of it.
MOST_BYTES = 1 << 20
# Names in messages come from anybody too.
LONGEST_NAME = 50


class MessageError(ValueError):
    """It is no message of its stream; says why."""


def read(model: type[M], data: bytes) -> M:
    """The message in the field `data` of an entry.

    Raises:
        MessageError: it can't be read.
    """
    if len(data) > MOST_BYTES:
        raise MessageError(f"{len(data)} bytes; want at most {MOST_BYTES}")
    try:
        return model.model_validate_json(data)
    except ValidationError as e:
        raise MessageError(what_is_wrong(e)) from None


def what_is_wrong(error: ValidationError) -> str:
    """The first fault, and where it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:LONGEST_NAME] for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
