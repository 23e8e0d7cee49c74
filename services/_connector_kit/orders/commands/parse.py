"""Parses commands strictly: their bytes may come from any client."""

import json
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services._runtime.redis_parser import original_size

M = TypeVar("M", bound=BaseModel)

# Bytes; valid commands are far smaller.
MAX_BYTES = 64 * 1024

# Faults that a rejection names; it counts the others.
MAX_FAULTS = 5

EXPECTED_OBJECT = 'expected an object, e.g. {"symbol": "BTC/USDT"}'

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 50
_short.maxlevel = 2


class UnreadableError(ValueError):
    """A command that can't be parsed; `fields` holds the fields that could be.

    Lone surrogates in their texts are replaced by question marks.
    """

    def __init__(self, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: _encodable(value) for name, value in (fields or {}).items()}


def parse(model: type[M], data: bytes, defaults: Mapping[str, str]) -> M:
    """Parse *data* as *model*; *defaults* are used for fields that it lacks.

    Raises:
        UnreadableError: *data* is not a valid JSON object for *model*; the message says why.
    """
    if not data:
        raise UnreadableError(
            f"invalid JSON: the entry has no field data, or an empty one; {EXPECTED_OBJECT}"
        )
    fields = {**defaults, **_object(data)}
    try:
        return model.model_validate(fields)
    except ValidationError as e:
        errors = e.errors(include_url=False)
        faults = [_fault(error, model) for error in errors[:MAX_FAULTS]]
        if len(errors) > MAX_FAULTS:
            faults.append(f"and {len(errors) - MAX_FAULTS} more")
        raise UnreadableError("; ".join(faults), fields) from None


def _object(data: bytes) -> dict[str, Any]:
    """Parse the JSON object in *data*; reject repeated names and lone surrogates."""
    if (size := original_size(data)) > MAX_BYTES:
        raise UnreadableError(f"{size} bytes; expected at most {MAX_BYTES}")
    repeated: set[str] = set()

    def note_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                repeated.add(name)
            found[name] = value
        return found

    try:
        # Numbers become floats: an integer of a thousand digits is infinite and can't crash.
        found = json.loads(data.decode(), object_pairs_hook=note_repeated, parse_int=float)
    except (ValueError, RecursionError) as e:
        raise UnreadableError(
            f"invalid JSON: {e}; it begins {data[:40]!r}, {EXPECTED_OBJECT}"
        ) from None
    if not isinstance(found, dict):
        raise UnreadableError(f"{_short.repr(found)} is not a JSON object; {EXPECTED_OBJECT}")
    if repeated:
        sure = {name: value for name, value in found.items() if name not in repeated}
        fault = f"{_short.repr(min(repeated))} is repeated; expected each name once"
        raise UnreadableError(fault, sure)
    for name, value in found.items():
        if not _is_text([name, value]):
            fault = f"{_short.repr(name)}: {_short.repr(value)} contains a lone surrogate"
            raise UnreadableError(f"{fault}; expected valid text", found)
    return found


def _encodable(value: object) -> object:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _is_text(value: object) -> bool:
    """True if *value* can be encoded as UTF-8, which a lone surrogate can't."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _fault(error: Any, model: type[BaseModel]) -> str:
    # A client chooses the names too: they are shortened, and control characters escaped.
    where = ".".join(str(part) for part in error["loc"])
    where = where if len(where) <= 50 and where.isprintable() else _short.repr(where)
    if error["type"] == "missing":
        return f"{where}: {error['msg']}"
    value = _short.repr(error["input"])
    if error["type"] == "extra_forbidden":
        return f"{where}={value}: unknown field; expected {', '.join(model.model_fields)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}={value}: {message}"
