"""Commands as they come: bytes from anybody, read strictly."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

# No command of ours comes near it.
MOST_BYTES = 64 * 1024


class UnreadableError(ValueError):
    """A command that can't be read; `fields` is what could be made out of it."""

    def __init__(self, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


def parse(model: type[M], data: bytes, defaults: Mapping[str, str]) -> M:
    """The command that *data* holds; *defaults* stand in for fields that it doesn't carry.

    Raises:
        UnreadableError: it is no JSON object of the model's form; the message names each fault.
    """
    fields = {**defaults, **_object(data)}
    try:
        return model.model_validate(fields)
    except ValidationError as e:
        faults = "; ".join(_fault(error) for error in e.errors(include_url=False))
        raise UnreadableError(faults, fields) from None


def _object(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise UnreadableError(f"{len(data)} bytes; want at most {MOST_BYTES}")
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as e:
        raise UnreadableError(f"no JSON: {e}") from None
    if not isinstance(found, dict):
        raise UnreadableError("want a JSON object")
    return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"{twice[:50]!r} stands there twice", found)
    return found


def _no_constant(name: str) -> None:
    raise UnreadableError(f"{name} is no number here")


def _fault(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in ("missing", "extra_forbidden"):
        return f"{where}: {message}"
    return f"{where}={str(error['input'])[:50]!r}: {message}"
