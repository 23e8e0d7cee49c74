"""Reads stream messages from untrusted writers; each fault fits in one line."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

# The largest accepted message; the deepest published book has a tenth of this.
MOST_BYTES = 1 << 20
# Field names in a fault are cut to this length: they come from the message.
LONGEST_NAME = 50


class MessageError(ValueError):
    """An invalid message; the text says why."""


def read(model: type[M], data: bytes) -> M:
    """Parse the message in the field `data` of an entry.

    Raises:
        MessageError: it is invalid or too large.
    """
    if len(data) > MOST_BYTES:
        raise MessageError(f"{len(data)} bytes; expected at most {MOST_BYTES}")
    try:
        return model.model_validate_json(data)
    except ValidationError as e:
        raise MessageError(what_is_wrong(e)) from None


def what_is_wrong(error: ValidationError) -> str:
    """The first fault, with the path of its field."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:LONGEST_NAME] for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
